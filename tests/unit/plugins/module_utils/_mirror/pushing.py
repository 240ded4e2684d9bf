# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A mirror that can be pushed to, without a network."""

from __future__ import annotations

import base64
import json
import logging
import os
import pathlib
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import Hash
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.compose import Farther, application
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import canonical_json
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.serving import Answer, Client

NAME = "registry.sealer.local"
CONFIG = b"{}"


def basic(name: str, password: str) -> str:
    """The header of HTTP Basic."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def users(path: pathlib.Path) -> pathlib.Path:
    """A users' file whose hashes cost nothing: ``ci`` may push, ``node`` may pull."""
    key = Hash(1, 1, 1, b"salt", bytes(32)).derive(b"secret")
    told = str(Hash(1, 1, 1, b"salt", key))
    path.write_text(json.dumps({"ci": {"hash": told, "push": True}, "node": {"hash": told}}))
    return path


def code(answer: Answer) -> str:
    """The error code in an answer of the spec's form, checked to be one."""
    assert answer.headers["Content-Type"] == "application/json"
    (error,) = json.loads(answer.body)["errors"]
    assert set(error) == {"code", "message", "detail"}
    return str(error["code"])


def descriptor(data: bytes, media_type: str = media.LAYER_TAR_GZIP, **more: t.Any) -> dict[str, t.Any]:
    """How a document names a blob."""
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data), **more}


def image(*layers: bytes, config: bytes = CONFIG, **more: t.Any) -> bytes:
    """An image's manifest."""
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": descriptor(config, media.OCI_CONFIG),
        "layers": [descriptor(layer) for layer in layers],
        **more,
    }
    return canonical_json(document)


def index(*manifests: bytes, **more: t.Any) -> bytes:
    """An index of manifests."""
    entries = [descriptor(manifest, media.OCI_MANIFEST) for manifest in manifests]
    return canonical_json({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": entries, **more})


@dataclass
class Pushing:
    """A mirror, its store, and calls of a client that may push."""

    layout: Layout
    client: Client
    authorization: str = basic("ci", "secret")

    @classmethod
    def over(
        cls, directory: pathlib.Path, layout: Layout, farther: t.Optional[Farther] = None, **settings: t.Any
    ) -> Pushing:
        """A mirror of this store."""
        value = {
            "store": layout.path,
            "listen": ["127.0.0.1:0"],
            "users_file": str(users(directory / "users.json")),
            **settings,
        }
        log = logging.getLogger("test")
        return cls(layout, Client(application(Config.parse(value), log, farther=farther)))

    def __call__(self, method: str, path: str, body: t.Optional[bytes] = None, **headers: str) -> Answer:
        headers.setdefault("authorization", self.authorization)
        path, _mark, query = path.partition("?")
        return self.client(path, query, method, body, **headers)

    def blob(self, repository: str, data: bytes) -> Digest:
        """Push a blob."""
        digest = Digest.of(data)
        answer = self("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
        assert answer.status == 201, answer
        return digest

    def manifest(self, repository: str, what: t.Union[str, Digest], raw: bytes, status: int = 201) -> Answer:
        """Push a manifest."""
        answer = self("PUT", f"/v2/{repository}/manifests/{what}", raw, content_type=json.loads(raw)["mediaType"])
        assert answer.status == status, answer
        return answer

    def push(self, repository: str, tag: str, *layers: bytes, **more: t.Any) -> Digest:
        """Push an image whole."""
        for data in (CONFIG, *layers):
            self.blob(repository, data)
        raw = image(*layers, **more)
        self.manifest(repository, tag, raw)
        return Digest.of(raw)

    def index_names(self) -> dict[str, str]:
        """What index.json names."""
        with open(os.path.join(self.layout.path, "index.json"), "rb") as stream:
            entries = json.load(stream)["manifests"]
        return {entry["annotations"][media.ANNOTATION_REF]: entry["digest"] for entry in entries}
