# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request's body, read from the client as the application asks for it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError

LINE_LIMIT = 4096
TRAILER_LIMIT = 16384

_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")


class BrokenBody(MirrorError):
    """The client did not send the body that it announced."""


class Source(t.Protocol):
    """Where a body's bytes come from."""

    def receive(self) -> bytes:
        """Some bytes; waits for them, up to a limit. Empty when the client has ended. Raises OSError."""


class Input:
    """``wsgi.input``: as much as the request's head announced, whichever way the client sends it.

    ``length`` is None for the chunked coding. ``rest`` is what came behind the head; what comes behind the body stays
    there.
    """

    def __init__(self, source: Source, rest: bytearray, length: t.Optional[int]) -> None:
        self._source = source
        self._rest = rest
        self._chunked = length is None
        self._left = length or 0
        self._ended = length == 0
        self._first = True

    @property
    def ended(self) -> bool:
        """Whether all of the body has been read."""
        return self._ended

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all; fewer at the end only. Raises BrokenBody."""
        parts, wanted = [], size
        while wanted and not self._ended:
            part = self._part(wanted)
            wanted -= len(part) if size >= 0 else 0
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def __iter__(self) -> t.Iterator[bytes]:
        return iter(lambda: self.read(65536), b"")

    def _part(self, wanted: int) -> bytes:
        if not self._left:
            self._begin_chunk()
            if self._ended:
                return b""
        if not self._rest:
            self._more()
        size = min(self._left, len(self._rest))
        size = min(size, wanted) if wanted > 0 else size
        part = bytes(memoryview(self._rest)[:size])
        del self._rest[:size]
        self._left -= size
        if not self._left and not self._chunked:
            self._ended = True
        return part

    def _more(self) -> None:
        data = self._source.receive()
        if not data:
            raise BrokenBody("the client ended before the request's body was complete")
        self._rest += data

    def _begin_chunk(self) -> None:
        if not self._first and self._line(2):
            raise BrokenBody("a chunk of the request's body is longer than its head says")
        self._first = False
        found = _CHUNK_HEAD.fullmatch(self._line(LINE_LIMIT))
        if found is None:
            raise BrokenBody("a chunk of the request's body has no valid head")
        self._left = int(found.group(1), 16)
        if not self._left:
            self._skip_trailers()
            self._ended = True

    def _skip_trailers(self) -> None:
        left = TRAILER_LIMIT
        while True:
            line = self._line(min(left, LINE_LIMIT))
            if not line:
                return
            left -= len(line) + 2
            if left <= 2:
                raise BrokenBody("the trailers of the request's body are too long")

    def _line(self, limit: int) -> bytes:
        searched = 0
        while True:
            end = self._rest.find(b"\r\n", searched)
            if end > limit - 2 or (end < 0 and len(self._rest) > limit):
                raise BrokenBody("a line in the request's body is too long")
            if end >= 0:
                line = bytes(self._rest[:end])
                del self._rest[: end + 2]
                return line
            searched = max(0, len(self._rest) - 1)
            self._more()
