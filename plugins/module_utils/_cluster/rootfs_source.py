# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host gets blobs from: a store on its own disk, else mirrors or another registry, one after the other.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import http.client
import io
import os
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.registry_access import Registry, read_all
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, Readable, VerifyingReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import MANIFEST_TYPES
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Manifest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

_PAUSES = (0.5, 1.0, 2.0, 4.0)
_MANIFEST_LIMIT = 4 * 1024 * 1024
_BROKEN = (OSError, http.client.HTTPException)


class Source:
    """Blobs and manifests by digest, checked while they are read."""

    def __init__(
        self,
        reference: Reference,
        *,
        store: t.Optional[str] = None,
        registries: t.Sequence[Registry] = (),
        pause: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._reference = reference
        self._store = store
        self._registries = list(registries)
        self._pause = pause
        self.downloaded = 0

    def manifest(self, digest: Digest) -> Manifest:
        """The manifest of that digest."""
        stream = self._stored(digest) or _Resuming(self, "manifests", digest)
        raw = VerifyingReader(io.BytesIO(read_all(stream, _MANIFEST_LIMIT, f"manifest {digest}")), digest).read()
        return Manifest.parse(raw)

    def blob(self, digest: Digest, size: int) -> VerifyingReader:
        """The content of a blob; reading it to the end proves it."""
        return VerifyingReader(self._stored(digest) or _Resuming(self, "blobs", digest, size), digest, size)

    def _stored(self, digest: Digest) -> t.Optional[t.BinaryIO]:
        if self._store is None:
            return None
        try:
            return open(os.path.join(self._store, "blobs", digest.algorithm, digest.hex), "rb")
        except FileNotFoundError:
            return None

    def request(self, kind: str, digest: Digest, offset: int) -> Readable:
        """The answer of the first registry that has it, from that byte on."""
        told: t.Dict[str, str] = {}
        asked = list(self._registries)
        for wait in (*_PAUSES, None):
            for registry in list(asked):
                try:
                    return self._ask(registry, kind, digest, offset)
                except RegistryError as error:
                    told[registry.url] = str(error)
                    if not error.temporary:
                        asked.remove(registry)
                except _BROKEN as error:
                    told[registry.url] = f"{registry.host}: {error}"
            if not asked or wait is None:
                break
            self._pause(wait)
        raise ClusterError(
            f"{digest} of {self._reference} cannot be had",
            why="; ".join(told.values()) or f"it is not in {self._store}, and no mirror is given",
            fix="Look whether the registry hosts run sealer-mirror.service and were given this image;"
            " the playbook sealer.cluster.sync gives it to another registry",
        )

    def _ask(self, registry: Registry, kind: str, digest: Digest, offset: int) -> Readable:
        repository = self._reference.repository
        # A mirror is told which registry is meant.
        meant = "" if registry.host == self._reference.registry else f"?ns={self._reference.registry}"
        headers = {"Accept": ", ".join(sorted(MANIFEST_TYPES))} if kind == "manifests" else {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        answer = registry.get(f"{repository}/{kind}/{digest}{meant}", repository, headers)
        if answer.status not in (200, 206):
            answer.close()
            raise registry.refusal(f"{registry.url}/v2/{repository}/{kind}/{digest}", answer.status)
        if offset and answer.status != 206:
            _skip(answer, offset)
        return answer


class _Resuming:
    """Reads on from where a connection broke off."""

    def __init__(self, source: Source, kind: str, digest: Digest, size: t.Optional[int] = None) -> None:
        self._source = source
        self._kind = kind
        self._digest = digest
        self._size = size
        self._seen = 0
        self._broken = 0
        self._stream: t.Optional[Readable] = None

    def read(self, size: int = -1) -> bytes:
        while True:
            try:
                if self._stream is None:
                    self._stream = self._source.request(self._kind, self._digest, self._seen)
                data = self._stream.read(size)
                if data or size == 0 or self._size is None or self._seen >= self._size:
                    break
                raise http.client.IncompleteRead(b"", self._size - self._seen)
            except _BROKEN as error:
                self._stream = None
                self._broken += 1
                if self._broken > len(_PAUSES):
                    raise ClusterError(
                        f"fetching {self._digest} broke off {self._broken} times", why=str(error)
                    ) from error
        self._seen += len(data)
        self._source.downloaded += len(data)
        return data


def _skip(stream: Readable, count: int) -> None:
    while count > 0:
        data = stream.read(min(count, 1 << 20))
        if not data:
            raise http.client.IncompleteRead(b"", count)
        count -= len(data)
