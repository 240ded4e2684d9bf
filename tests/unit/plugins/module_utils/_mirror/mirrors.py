# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole mirrors in the test's process, on ports of the loopback, and a client of them."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import pathlib
import socketserver
import threading
import typing as t
import wsgiref.simple_server
from dataclasses import dataclass
from urllib.parse import urlencode

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.assembly import assemble
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config


@dataclass
class Got:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error in the form of the specification."""
        return str(json.loads(self.body)["errors"][0]["code"])


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_arguments: t.Any) -> None:
        """Keep quiet."""

    def get_stderr(self) -> t.Any:
        """A blob that breaks off is part of the tests."""
        return open("/dev/null", "w", encoding="ascii")


class Mirror:
    """One mirror. It has its port at once; it serves when it is started with the settings that needed the port."""

    def __init__(self, directory: pathlib.Path, instance: str) -> None:
        self.instance = instance
        self.store = directory / instance
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread: threading.Thread | None = None
        self._application: t.Any = None

    def start(self, **settings: t.Any) -> Mirror:
        """Serve with this configuration."""
        value = {"store": str(self.store), "listen": [self.host], "instance": self.instance, "keep_free": 0, **settings}
        self._application = assemble(Config.parse(value), logging.getLogger(f"test.{self.instance}"))
        self._server.set_app(self._application)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
            self._application.close()
        self._server.server_close()

    def get(self, path: str, method: str = "GET", headers: dict[str, str] | None = None, **query: str) -> Got:
        """Ask it."""
        with contextlib.closing(http.client.HTTPConnection(self.host, timeout=30)) as connection:
            connection.request(method, f"{path}?{urlencode(query)}", headers=headers or {})
            answer = connection.getresponse()
            return Got(answer.status, dict(answer.getheaders()), answer.read())


def neighbour(mirror: Mirror) -> dict[str, t.Any]:
    """The settings of a parent or peer."""
    return {"url": mirror.url, "insecure": True}
