# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bytes of an answer's body, as they can be had without waiting.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import threading
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError

PIECE = 256 * 1024
LARGEST_PIECE = 1024 * 1024
GROWING_PIECE = 128 * 1024

_END = memoryview(b"")
_Piece = t.Union[bytes, memoryview]


class Feed(t.Protocol):
    """Gives bytes: ``peek`` shows the same ones again until ``advance`` says how many of them went out."""

    def peek(self) -> t.Optional[memoryview]:
        """The next bytes, valid until this thread peeks again; empty at the end, None when they are not there yet."""

    def advance(self, count: int) -> None:
        """So many of the bytes seen are no longer needed."""

    def ready(self) -> bool:
        """Whether peek would give bytes, or raise, now."""


class Content(t.Protocol):
    """What this needs of sources.Content."""

    def fileno(self) -> t.Optional[int]:
        """A file that holds all the bytes, None while they are still coming."""


class Pieces(t.Protocol):
    """What this needs of answers.BlobBody."""

    content: Content
    start: int
    length: int

    def next_piece(self, limit: int) -> t.Optional[_Piece]:
        """Up to so many bytes; empty at the end, None when they are not there yet."""

    def ready(self) -> bool:
        """Whether next_piece would give bytes, or raise, now."""


class FileFeed:
    """A part of a file, read into a buffer that each thread has one of: a client that waits holds no memory.

    Pieces become larger for a client that takes them at once; of one that does not, each is read several times.
    """

    _buffers = threading.local()

    def __init__(self, descriptor: int, start: int, length: int) -> None:
        self._descriptor = descriptor
        self._offset = start
        self._left = length
        self._piece = PIECE
        self._reads = 0

    def peek(self) -> t.Optional[memoryview]:
        """The next piece, read again each time: TLS wants the same bytes again after a socket was full."""
        if not self._left:
            return _END
        self._reads += 1
        view = self._buffer()[: min(self._piece, self._left)]
        count = os.preadv(self._descriptor, [view], self._offset)
        if count < len(view):
            raise MirrorError("a blob became shorter while it was read", why=f"{self._left - count} bytes are missing")
        return view

    def advance(self, count: int) -> None:
        """So many bytes went out."""
        at_once = self._reads == 1 and count == self._piece
        self._piece = min(2 * self._piece, LARGEST_PIECE) if at_once else PIECE
        self._reads = 0
        self._offset += count
        self._left -= count

    def ready(self) -> bool:
        """Always."""
        return True

    def _buffer(self) -> memoryview:
        held = getattr(self._buffers, "held", None)
        if held is None:
            held = self._buffers.held = memoryview(bytearray(LARGEST_PIECE))
        return t.cast(memoryview, held)


class GrowingFeed:
    """A part of a blob that is still coming."""

    def __init__(self, body: Pieces) -> None:
        self._body = body
        self._held = _END

    def peek(self) -> t.Optional[memoryview]:
        """The next piece, None when it is not there yet."""
        if not self._held:
            piece = self._body.next_piece(GROWING_PIECE)
            if piece is None:
                return None
            self._held = memoryview(piece)
        return self._held

    def advance(self, count: int) -> None:
        """So many bytes went out."""
        self._held = self._held[count:]

    def ready(self) -> bool:
        """Whether there is something to send."""
        return bool(self._held) or self._body.ready()


class IteratorFeed:
    """A body of any other kind."""

    def __init__(self, body: t.Iterable[bytes]) -> None:
        self._pieces = iter(body)
        self._held = _END

    def peek(self) -> t.Optional[memoryview]:
        """The next item that is not empty."""
        while not self._held:
            item = next(self._pieces, None)
            if item is None:
                return _END
            self._held = memoryview(item)
        return self._held

    def advance(self, count: int) -> None:
        """So many bytes went out."""
        self._held = self._held[count:]

    def ready(self) -> bool:
        """Always: to iterate may block."""
        return True


class Outgoing:
    """An answer on its way out: its head, then so many bytes of its body."""

    def __init__(self, head: bytes, feed: t.Optional[Feed] = None, length: t.Optional[int] = 0) -> None:
        self._head = memoryview(head)
        self._feed = feed
        self._left = length
        self.sent = 0

    def peek(self) -> t.Optional[memoryview]:
        """The next bytes; empty at the end, None when they are not there yet. Raises MirrorError, OSError."""
        if self._head or self._feed is None:
            return self._head
        if self._left == 0:
            return _END
        view = self._feed.peek()
        if view is None or self._left is None:
            return view
        if not view:
            raise MirrorError("the content ended early", why=f"{self._left} bytes are missing")
        return view[: self._left] if len(view) > self._left else view

    def advance(self, count: int) -> None:
        """So many bytes went out."""
        self.sent += count
        if self._head:
            self._head = self._head[count:]
        elif self._feed is not None:
            self._feed.advance(count)
            self._left = None if self._left is None else self._left - count

    def ready(self) -> bool:
        """Whether peek would give bytes, or raise, now."""
        return bool(self._head) or self._feed is None or self._feed.ready()


def feed_of(body: t.Any) -> Feed:
    """How to send this WSGI body."""
    if not hasattr(body, "next_piece"):
        return IteratorFeed(body)
    descriptor = body.content.fileno()
    return GrowingFeed(body) if descriptor is None else FileFeed(descriptor, body.start, body.length)
