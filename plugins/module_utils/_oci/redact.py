# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be shown of URLs and of values that came from a registry.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import reprlib
import typing as t
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["printable", "quoted", "redact_url"]

_QUOTED_LIMIT = 400
_QUOTED = reprlib.Repr()
_QUOTED.maxstring = _QUOTED.maxother = _QUOTED.maxlong = _QUOTED_LIMIT
_MASK = "REDACTED"
_HARMLESS_PARAMETERS = frozenset({"digest", "from", "last", "mount", "n", "ns", "scope", "service"})


def redact_url(url: str) -> str:
    """The URL without user information, fragment, or the value of any query parameter not known to be harmless."""
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "an unreadable URL"
    shown = [(name, value if name in _HARMLESS_PARAMETERS else _MASK) for name, value in query]
    netloc = parts.netloc.rpartition("@")[2]
    return printable(urlunsplit((parts.scheme, netloc, parts.path, urlencode(shown, safe="/:,"), "")), limit=2000)


def printable(text: t.Any, *, limit: int = 300) -> str:
    """A foreign text on one line: no control characters, no more than ``limit`` characters."""
    begin = str(text)[: 4 * limit]
    line = " ".join("".join(char if char.isprintable() else " " for char in begin).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def quoted(value: t.Any) -> str:
    """A foreign value as Python writes it, cut short where it is long."""
    text = _QUOTED.repr(value)
    return text if len(text) <= _QUOTED_LIMIT else text[: _QUOTED_LIMIT - 1] + "…"
