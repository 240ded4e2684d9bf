# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host gets blobs from: a store on its own disk, else the mirrors, one after the other.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import http.client
import io
import os
import time
import typing as t
import urllib.error

from ansible.module_utils.urls import open_url
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, Readable, VerifyingReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import MANIFEST_TYPES
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Manifest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

_open: t.Callable[..., t.Any] = open_url
_PAUSES = (0.5, 1.0, 2.0, 4.0)
_TRY_SECONDS = 60
_MANIFEST_LIMIT = 4 * 1024 * 1024
_WORTH_ANOTHER_TRY = (408, 429, 500, 502, 503, 504)
_BROKEN = (OSError, http.client.HTTPException)


class Source:
    """Blobs and manifests by digest, checked while they are read."""

    def __init__(
        self,
        reference: Reference,
        *,
        store: t.Optional[str] = None,
        mirrors: t.Sequence[str] = (),
        ca_path: t.Optional[str] = None,
        username: t.Optional[str] = None,
        password: t.Optional[str] = None,
        pause: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._reference = reference
        self._store = store
        self._mirrors = [mirror.rstrip("/") for mirror in mirrors]
        self._ca_path = ca_path
        self._login = base64.b64encode(f"{username}:{password or ''}".encode()).decode("ascii") if username else ""
        self._pause = pause
        self.downloaded = 0

    def manifest(self, digest: Digest) -> Manifest:
        """The manifest of that digest."""
        stream = self._stored(digest) or _Resuming(self, "manifests", digest)
        raw = VerifyingReader(io.BytesIO(_all(stream, _MANIFEST_LIMIT, digest)), digest).read()
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
        """The answer of the first mirror that has it, from that byte on."""
        told: t.Dict[str, str] = {}
        asked = list(self._mirrors)
        for wait in (*_PAUSES, None):
            for mirror in list(asked):
                url = f"{mirror}/v2/{self._reference.repository}/{kind}/{digest}?ns={self._reference.registry}"
                try:
                    return self._ask(url, offset)
                except urllib.error.HTTPError as error:
                    told[mirror] = f"{mirror} answers {error.code}"
                    if error.code not in _WORTH_ANOTHER_TRY:
                        asked.remove(mirror)
                except _BROKEN as error:
                    told[mirror] = f"{mirror}: {error}"
            if not asked or wait is None:
                break
            self._pause(wait)
        raise ClusterError(
            f"{digest} of {self._reference} cannot be had",
            why="; ".join(told.values()) or f"it is not in {self._store}, and no mirror is given",
            fix="Look whether the registry hosts run sealer-mirror.service and were given this image",
        )

    def _ask(self, url: str, offset: int) -> Readable:
        headers = {"Accept": ", ".join(sorted(MANIFEST_TYPES))} if "/manifests/" in url else {}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        if self._login:
            headers["Authorization"] = f"Basic {self._login}"
        answer = _open(
            url,
            headers=headers,
            unredirected_headers=["Authorization"],
            timeout=_TRY_SECONDS,
            ca_path=self._ca_path,
            use_proxy=False,
        )
        if offset and answer.getcode() != 206:
            _skip(answer, offset)
        return t.cast(Readable, answer)


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


def _all(stream: Readable, limit: int, digest: Digest) -> bytes:
    found = b""
    while len(found) <= limit:
        data = stream.read(limit + 1 - len(found))
        if not data:
            return found
        found += data
    raise ClusterError(f"manifest {digest} is bigger than {limit} bytes")


def _skip(stream: Readable, count: int) -> None:
    while count > 0:
        data = stream.read(min(count, 1 << 20))
        if not data:
            raise http.client.IncompleteRead(b"", count)
        count -= len(data)
