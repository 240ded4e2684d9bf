# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One client's connection: a state machine that never waits, but for a request's body.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import logging
import select
import socket
import ssl
import struct
import termios
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import ANYWHERE, Blocking, WouldBlock
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.exchange import (
    Address,
    Application,
    BadRequest,
    Exchange,
    Heads,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.feeds import Outgoing, feed_of

HANDSHAKE_SECONDS = 10
HEAD_SECONDS = 10
IDLE_SECONDS = 75
STALLED_SECONDS = 60
LINGER_SECONDS = 2
HEAD_LIMIT = 32 * 1024
BURST = 2 * 1024 * 1024
RECEIVE = 64 * 1024

_END_OF_HEAD = b"\r\n\r\n"
_BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Want(enum.Enum):
    """What a connection waits for."""

    READ = "bytes from the client"
    WRITE = "room for bytes to the client"
    CONTENT = "content that is still coming"
    WORK = "a thread that may wait"
    GONE = "nothing: it is over"


class Stage(enum.Enum):
    """Where a connection is."""

    HANDSHAKE = "handshake"
    IDLE = "idle"
    HEAD = "head"
    SENDING = "sending"
    LINGERING = "lingering"


@dataclass
class Service:
    """What connections are served with."""

    application: Application
    heads: Heads
    tls: t.Optional[ssl.SSLContext]
    log: logging.Logger
    access: t.Callable[[Exchange, int, bool], None]
    alive: t.Callable[[], bool]


class Connection:
    """A client. One thread at a time may call anything here."""

    __slots__ = (
        "deadline", "descriptor", "exchange", "stage", "want", "_body", "_buffer", "_continued", "_out", "_peer",
        "_queued", "_searched", "_service", "_socket",
    )  # fmt: skip

    def __init__(self, client: socket.socket, peer: Address, service: Service) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stage = Stage.IDLE
        if service.tls is not None:
            client = service.tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
            self.stage = Stage.HANDSHAKE
        self.descriptor = client.fileno()
        self.deadline = time.monotonic() + HANDSHAKE_SECONDS
        self.want = Want.READ
        self.exchange: t.Optional[Exchange] = None
        self._socket = client
        self._peer = peer
        self._service = service
        self._buffer = bytearray()
        self._searched = 0
        self._continued = False
        self._body: t.Any = None
        self._out = Outgoing(b"")
        self._queued = 0

    def advance(self) -> Want:
        """Go on as far as it goes without waiting; what is to be waited for then."""
        try:
            self.want = _STEPS[self.stage](self)
        except _BLOCKED as blocked:
            self.want = Want.READ if isinstance(blocked, ssl.SSLWantReadError) else Want.WRITE
        except (OSError, ValueError) as error:
            self._service.log.debug("connection of %s: %s", self._peer[0], error)
            self.want = Want.GONE
        return self.want

    def work(self, blocking: Blocking = ANYWHERE) -> Want:
        """Have the application answer, and send what there is. Raises WouldBlock where it cannot without waiting."""
        exchange = self.exchange
        if exchange is None:
            raise RuntimeError("there is no request")
        try:
            if not self._repeat(exchange):
                self._body = exchange.answer(self._service.application, blocking)
                self._prepare(exchange)
        except WouldBlock:
            raise
        except Exception:
            self._service.log.exception("cannot answer %s %s", exchange.method, exchange.path)
            self._close_body()
            self._answer_text(exchange, "500 Internal Server Error", "the mirror has failed")
        self.stage = Stage.SENDING
        return self.advance()

    def expire(self) -> bool:
        """Its deadline is over: whether that ends it. Who takes bytes, however slowly, is given more time."""
        if self.stage is not Stage.SENDING:
            return True
        queued = self._in_socket()
        if queued >= self._queued:
            return True
        self._queued = queued
        self.deadline = time.monotonic() + STALLED_SECONDS
        return False

    @property
    def has_sent(self) -> bool:
        """Whether some of the answer's body is on its way."""
        return self._out.sent > 0

    def content_ready(self) -> bool:
        """Whether there is something to send now, for a connection that wants content."""
        return self._out.ready()

    def close(self) -> None:
        """Let go of everything; an answer that is not complete is broken off."""
        self._end_exchange(complete=False)
        with contextlib.suppress(OSError):
            self._socket.close()

    def receive(self) -> bytes:
        """Some bytes of a request's body; waits for them. Raises OSError."""
        exchange = self.exchange
        if exchange is not None and exchange.waits_for_continue and not self._continued:
            self._continued = True
            self._socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while True:
            try:
                return self._socket.recv(RECEIVE)
            except _BLOCKED as blocked:
                self._wait(select.POLLOUT if isinstance(blocked, ssl.SSLWantWriteError) else select.POLLIN)

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self.descriptor, event)
        if not poll.poll(STALLED_SECONDS * 1000):
            raise TimeoutError(f"the client sends nothing for {STALLED_SECONDS} s")

    def _shake(self) -> Want:
        t.cast(ssl.SSLSocket, self._socket).do_handshake()
        self.stage = Stage.IDLE
        return self._listen()

    def _listen(self) -> Want:
        """Read until a request's head is there."""
        while True:
            if self._buffer:
                want = self._take_head()
                if want is not None:
                    return want
            self._wait_for_head()
            data = self._socket.recv(RECEIVE)
            if not data:
                return Want.GONE
            self._buffer += data

    def _wait_for_head(self) -> None:
        now = time.monotonic()
        if not self._buffer:
            self.stage, self.deadline = Stage.IDLE, now + IDLE_SECONDS
        elif self.stage is Stage.IDLE:
            self.stage, self.deadline = Stage.HEAD, now + HEAD_SECONDS

    def _take_head(self) -> t.Optional[Want]:
        while self._buffer[:2] == b"\r\n":
            del self._buffer[:2]
            self._searched = 0
        end = self._buffer.find(_END_OF_HEAD, max(0, self._searched - 3))
        if end > HEAD_LIMIT or (end < 0 and len(self._buffer) > HEAD_LIMIT):
            return self._reject(BadRequest("431 Request Header Fields Too Large", "the request's head is too long"))
        if end < 0:
            self._searched = len(self._buffer)
            return None
        head = bytes(self._buffer[: end + len(_END_OF_HEAD)])
        del self._buffer[: len(head)]
        self._searched = 0
        self._continued = False
        try:
            self.exchange = Exchange(self._service.heads.read(head), self._buffer, self._peer, self)
        except BadRequest as error:
            return self._reject(error)
        return Want.WORK

    def _reject(self, error: BadRequest) -> Want:
        """Answer what is no request, then end: what comes behind it means nothing."""
        self._service.log.info("%s %s: %r", self._peer[0], error.status, error.what)
        text = f"{error.what}\n".encode("ascii", "replace")
        head = f"HTTP/1.1 {error.status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        self._out = Outgoing(head.encode("ascii") + b"Connection: close\r\n\r\n" + text)
        self.stage = Stage.SENDING
        return self._send()

    def _repeat(self, exchange: Exchange) -> bool:
        found = exchange.repeat() if self._service.alive() else None
        if found is not None:
            self._out = Outgoing(b"".join(found))
            self._out.sent = -len(found[0])
        return found is not None

    def _prepare(self, exchange: Exchange) -> None:
        body = self._body
        exchange.closing = exchange.closing or exchange.takes_input or not self._service.alive()
        head = exchange.head(body)
        if not exchange.has_body:
            self._out = Outgoing(head)
        elif isinstance(body, (tuple, list)):
            self._out = Outgoing(b"".join((head, *body)))
        else:
            self._out = Outgoing(head, feed_of(body), exchange.length)
        self._out.sent = -len(head)

    def _answer_text(self, exchange: Exchange, status: str, text: str) -> None:
        exchange.closing, exchange.length = True, None
        exchange.start_response(status, [("Content-Type", "text/plain")])
        self._body = (f"{text}\n".encode("ascii"),)
        self._prepare(exchange)
        self.stage = Stage.SENDING

    def _send(self) -> Want:
        """Send until the socket is full, the content ends or the others' turn has come."""
        left = BURST
        while left > 0:
            try:
                view = self._out.peek()
            except (SealerError, OSError) as error:
                self._service.log.error("an answer is broken off: %s", error)
                return Want.GONE
            if view is None:
                return Want.CONTENT
            if not view:
                return self._end_answer()
            try:
                count = self._socket.send(view)
            except _BLOCKED:
                self._wait_for_client()
                raise
            left -= count
            self._out.advance(count)
        self._wait_for_client()
        return Want.WRITE

    def _wait_for_client(self) -> None:
        self._queued = self._in_socket()
        self.deadline = time.monotonic() + STALLED_SECONDS

    def _end_answer(self) -> Want:
        exchange = self.exchange
        self._end_exchange(complete=True)
        self._out = Outgoing(b"")
        if exchange is not None and not exchange.closing:
            self.stage = Stage.IDLE
            if self._buffer:
                return self._listen()
            self._wait_for_head()
            return Want.READ
        self._say_end()
        if exchange is not None and not exchange.takes_input:
            return Want.GONE
        self.stage, self.deadline = Stage.LINGERING, time.monotonic() + LINGER_SECONDS
        return self._linger()

    def _say_end(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.unwrap()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _linger(self) -> Want:
        """Take what the client still sends: closed with bytes unread, it would lose the answer."""
        for _turn in range(16):
            if not self._socket.recv(RECEIVE):
                return Want.GONE
        return Want.READ

    def _end_exchange(self, complete: bool) -> None:
        exchange, self.exchange = self.exchange, None
        self._close_body()
        if exchange is not None:
            self._service.access(exchange, max(0, self._out.sent), complete)

    def _close_body(self) -> None:
        body, self._body = self._body, None
        close = getattr(body, "close", None)
        if close is not None:
            close()

    def _in_socket(self) -> int:
        """How many bytes the client has not taken yet."""
        packed = fcntl.ioctl(self.descriptor, termios.TIOCOUTQ, b"\0" * 4)
        return int(struct.unpack("i", packed)[0])


_STEPS: t.Dict[Stage, t.Callable[[Connection], Want]] = {
    Stage.HANDSHAKE: Connection._shake,
    Stage.IDLE: Connection._listen,
    Stage.HEAD: Connection._listen,
    Stage.SENDING: Connection._send,
    Stage.LINGERING: Connection._linger,
}
