# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client that calls the application without a network, and the running program."""

from __future__ import annotations

import io
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.app import Application
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.tests.unit.sample_image import Sample

CLUSTER_IMAGE = "registry.example.com:5000/clusters/shop:1.0"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Calls a WSGI application as a server would."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(
        self, path: str, query: str = "", method: str = "GET", body: t.Optional[bytes] = None, **headers: str
    ) -> Answer:
        environ: dict[str, t.Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "wsgi.input": io.BytesIO(body or b""),
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        if body is not None:
            environ.setdefault("CONTENT_LENGTH", str(len(body)))
        environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE", "")
        if "HTTP_CONTENT_LENGTH" in environ:
            environ["CONTENT_LENGTH"] = environ.pop("HTTP_CONTENT_LENGTH")
        told: list[t.Any] = []
        answer = self._application(environ, lambda status, given: told.extend((status, given)))
        try:
            content = b"".join(answer)
        finally:
            getattr(answer, "close", lambda: None)()
        names = [name for name, _value in told[1]]
        assert len(set(names)) == len(names), "a header stands twice"
        return Answer(int(told[0].split()[0]), dict(told[1]), content)


@dataclass
class Shop:
    """The store, what is in it, and a client of it."""

    layout: Layout
    made: Sample
    get: Client

    @property
    def layer(self) -> Digest:
        return self.made.layers["linux/amd64"]
