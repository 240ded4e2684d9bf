# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/benchmarks.md: each benchmark writes its own section and leaves the others' as they are."""

from __future__ import annotations

import pathlib
import typing as t

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
_HEAD = "# Benchmarks\n\nWritten by `make bench`.\n"
_MARK = "\n## "


def write(title: str, lines: t.Sequence[str]) -> None:
    """Put this section in place of the one with the same title, or at the end."""
    before = DOCUMENT.read_text() if DOCUMENT.exists() else _HEAD
    head, *sections = before.split(_MARK)
    named = {section.partition("\n")[0]: section.rstrip("\n") for section in sections}
    named[title] = "\n".join([title, "", *lines]).rstrip("\n")
    DOCUMENT.write_text("\n".join([head.rstrip("\n"), *(f"\n## {section}" for section in named.values())]) + "\n")
