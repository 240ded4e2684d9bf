# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What headers of foreign servers say, read in time proportional to their length.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError

__all__ = ["HEADER_LIMIT", "content_range", "next_page", "number"]

HEADER_LIMIT = 16 * 1024

_MOST_DIGITS = 18
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
_PARAMETER = re.compile(r"""\s*;\s*([A-Za-z0-9*_-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]*)))?""")


def number(header: t.Optional[str]) -> t.Optional[int]:
    """The number that is all that a header says (Content-Length, Age); None for anything else."""
    text = (header or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def content_range(header: t.Optional[str]) -> t.Optional[t.Tuple[int, t.Optional[int]]]:
    """The first byte, and the size of the whole if it is told, out of a Content-Range header (RFC 9110, 14.4)."""
    found = _CONTENT_RANGE.fullmatch((header or "").strip())
    return (int(found.group(1)), number(found.group(2))) if found else None


def next_page(header: str) -> str:
    """Where a Link header (RFC 8288) says that a list goes on; empty when it does not. Raises OciError."""
    if len(header) > HEADER_LIMIT:
        raise OciError(
            "cannot tell where a list goes on", why=f"the header Link has {len(header)} bytes, more than {HEADER_LIMIT}"
        )
    position = 0
    while True:
        begin = header.find("<", position)
        end = header.find(">", begin)
        if begin < 0 or end < 0:
            return ""
        relations, position = _relations(header, end + 1)
        if "next" in relations:
            return header[begin + 1 : end]


def _relations(header: str, position: int) -> t.Tuple[t.List[str], int]:
    """The relation types among the parameters that begin here, and where the parameters end."""
    found: t.List[str] = []
    parameter = _PARAMETER.match(header, position)
    while parameter is not None:
        name, quoted, bare = parameter.groups()
        if name.lower() == "rel":
            found += (quoted or bare or "").lower().split()
        position = parameter.end()
        parameter = _PARAMETER.match(header, position)
    return found, position
