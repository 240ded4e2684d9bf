# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of kubectl diff as a text before and a text after, the same each time it is asked.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

# Values that the API server makes up for each dry run.
_VOLATILE = re.compile(r"^\s*(uid|creationTimestamp|resourceVersion|generation): ")
_HEADER = re.compile(r"^diff .*/(?P<object>[^/\s]+)$")


def before_and_after(unified: str) -> t.Tuple[str, str]:
    """Both sides of a unified diff of many objects."""
    before: t.List[str] = []
    after: t.List[str] = []
    in_hunk = False
    for line in unified.splitlines():
        header = _HEADER.match(line)
        if header:
            in_hunk = False
            before.append(f"# {header.group('object')}")
            after.append(f"# {header.group('object')}")
        elif line.startswith("@@"):
            in_hunk = True
        elif in_hunk and line[:1] in (" ", "-", "+") and not _VOLATILE.match(line[1:]):
            if line[0] != "+":
                before.append(line[1:])
            if line[0] != "-":
                after.append(line[1:])
    return _text(before), _text(after)


def _text(lines: t.Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
