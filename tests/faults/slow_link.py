# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A network in front of a server on loopback: what it answers arrives no faster than the link carries it."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time

CHUNK = 1 << 16


class SlowLink(socketserver.ThreadingTCPServer):
    """Relays connections to a server, and all its answers together at a bandwidth in bytes a second."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, server: str, bandwidth: int) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        name, _colon, port = server.rpartition(":")
        self.target = (name, int(port))
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self._bandwidth = bandwidth
        self._free = 0.0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._closed.set()
        self.shutdown()
        self.server_close()

    def carry(self, size: int) -> None:
        """Wait until so many more bytes are through."""
        with self._lock:
            self._free = max(self._free, time.monotonic()) + size / self._bandwidth
            arrival = self._free
        self._closed.wait(max(0.0, arrival - time.monotonic()))


class _Relay(socketserver.BaseRequestHandler):
    server: SlowLink
    request: socket.socket

    def handle(self) -> None:
        # a client that is killed ends its connection in the middle
        with contextlib.suppress(ConnectionError), socket.create_connection(self.server.target) as upstream:
            # a link passes on what it has, however little
            for side in (self.request, upstream):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._ask, args=(upstream,), daemon=True).start()
            for data in iter(lambda: upstream.recv(CHUNK), b""):
                self.server.carry(len(data))
                self.request.sendall(data)

    def _ask(self, upstream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for data in iter(lambda: self.request.recv(CHUNK), b""):
                upstream.sendall(data)
        with contextlib.suppress(OSError):
            upstream.shutdown(socket.SHUT_WR)
