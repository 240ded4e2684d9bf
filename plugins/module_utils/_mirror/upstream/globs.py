# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patterns of hosts and repositories, in which ``*`` stands for anything and ``?`` for one character.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import functools
import re
import typing as t


def matches_any(text: str, patterns: t.Iterable[str]) -> bool:
    """Whether the whole text is like one of the patterns. Brackets mean themselves: they stand in addresses."""
    return any(_compiled(pattern).fullmatch(text) for pattern in patterns)


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> t.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern), re.DOTALL)
