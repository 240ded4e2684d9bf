# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The server's loop in this process, with an application that tests steer."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused, refusal
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import BLOCKING_KEY, WRITE
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.connection import Service
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.exchange import Environ, Exchange, Heads
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.loop import Loop
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.share import Share
from gunicorn.config import Config

LIMIT = 30.0
BIG = bytes(range(256)) * 4096 * 16


class Growing:
    """A blob that is still coming: a double of answers.BlobBody."""

    def __init__(self, size: int) -> None:
        self.content = self
        self.start, self.length = 0, size
        self.data = bytearray()
        self.failure: t.Optional[Exception] = None
        self.closed = threading.Event()
        self.waited_for = threading.Event()
        self._position = 0

    def fileno(self) -> t.Optional[int]:
        return None

    def next_piece(self, limit: int) -> t.Optional[bytes]:
        if self._position == self.length:
            return b""
        if self._position == len(self.data):
            if self.failure is not None:
                raise self.failure
            self.waited_for.set()
            return None
        piece = bytes(self.data[self._position : self._position + limit])
        self._position += len(piece)
        return piece

    def ready(self) -> bool:
        return self._position < len(self.data) or self._position == self.length or self.failure is not None

    def close(self) -> None:
        self.closed.set()


@dataclass
class Served:
    """A loop that serves, what its application is given, and what it tells."""

    port: int
    bodies: t.Dict[str, t.Any] = field(default_factory=dict)
    headers: t.List[t.Tuple[str, str]] = field(default_factory=list)
    told: t.List[t.Tuple[str, str, int, bool]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    release: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    alive: bool = True
    tls: t.Optional[ssl.SSLContext] = None

    def application(self, environ: Environ, start_response: t.Any) -> t.Iterable[bytes]:
        """/echo gives back what was sent, /wait waits, /fail fails, anything else is looked up in ``bodies``."""
        path = environ["PATH_INFO"]
        if path == "/wait":
            self.entered.release()
            self.release.wait(LIMIT)
        if path == "/fail":
            raise LookupError("the application is broken")
        body = self.bodies.get(path, (path.encode("latin-1"),))
        if path == "/echo":
            try:
                environ[BLOCKING_KEY].enter(WRITE, environ["REMOTE_ADDR"])
            except Refused as refused:
                reply = refusal(refused)
                start_response(reply.status_line, reply.headers)
                return reply.body
            body = (environ["wsgi.input"].read(),)
        length = len(b"".join(body)) if isinstance(body, tuple) else body.length
        start_response("200 OK", [("Content-Length", str(length)), *self.headers])
        return t.cast("t.Iterable[bytes]", body)

    def access(self, exchange: Exchange, sent: int, complete: bool) -> None:
        with self.changed:
            self.told.append((exchange.path, exchange.status, sent, complete))
            self.changed.notify_all()

    def wait_for(self, path: str) -> t.Tuple[str, str, int, bool]:
        """What is told of this path, when it is."""
        with self.changed:
            assert self.changed.wait_for(lambda: any(one[0] == path for one in self.told), LIMIT)
            return next(one for one in self.told if one[0] == path)

    def service(self, tls: t.Optional[ssl.SSLContext] = None) -> Service:
        """What a loop serves this with."""
        settings = Config()
        for name, value in {"limit_request_fields": 64, "limit_request_field_size": 16384}.items():
            settings.set(name, value)
        log = logging.getLogger("test.loop")
        return Service(self.application, Heads(settings), tls, log, self.access, lambda: self.alive)

    def connect_to(self, port: int, receive_buffer: int = 4096) -> socket.socket:
        """A client's socket that takes little at a time."""
        plain = socket.socket()
        plain.settimeout(LIMIT)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect(("127.0.0.1", port))
        return plain

    def connect(self, receive_buffer: int = 0) -> socket.socket:
        """A client's socket, over TLS where the server speaks it."""
        plain = self.connect_to(self.port, receive_buffer)
        return plain if self.tls is None else self.tls.wrap_socket(plain, server_hostname="127.0.0.1")

    def ask(self, text: bytes) -> bytes:
        """Everything that comes back to this, up to the end of the connection."""
        with self.connect() as client:
            client.sendall(text)
            return read_all(client)

    def get(self, path: str) -> bytes:
        """The body at this path."""
        return self.ask(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()).partition(b"\r\n\r\n")[
            2
        ]


def wait_until(condition: t.Callable[[], bool]) -> bool:
    """Whether it becomes so."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def read_all(client: socket.socket) -> bytes:
    """What comes until the end; a reset counts as one."""
    parts = []
    try:
        for data in iter(lambda: client.recv(65536), b""):
            parts.append(data)
    except (ConnectionResetError, ssl.SSLError):
        parts.append(b"")
    return b"".join(parts)


def read_answer(client: socket.socket) -> t.Tuple[bytes, bytes]:
    """Head and body of one answer with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        assert more, data
        data += more
    head, _end, body = data.partition(b"\r\n\r\n")
    length = int(next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split()[1])
    while len(body) < length:
        more = client.recv(65536)
        assert more, "the body is broken off"
        body += more
    return head, body


class Host:
    """Runs a loop: the part that a gunicorn worker has."""

    def __init__(
        self,
        server_tls: t.Optional[ssl.SSLContext] = None,
        client_tls: t.Optional[ssl.SSLContext] = None,
        *,
        threads: int = 8,
        most: int = 1000,
        share: t.Optional[Share] = None,
    ) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.setblocking(False)
        self.served = Served(listener.getsockname()[1], tls=client_tls)
        self.loop = Loop([listener], self.served.service(server_tls), threads, most, share)
        self.loop.start()
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._over.is_set():
            assert self.loop.watch()

    def stop_watching(self) -> None:
        self._over.set()
        self.loop.stir()
        self._watcher.join(LIMIT)

    def close(self) -> None:
        self.stop_watching()
        self.served.alive = False
        self.served.release.set()
        self.loop.drain(0.1, lambda: None)
