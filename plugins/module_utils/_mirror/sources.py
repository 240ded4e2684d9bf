# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the mirror's content comes from: the interface, and the store that is served in place.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import threading
import typing as t
from collections import OrderedDict
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import DOCUMENT_LIMIT, Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Index,
    Manifest,
    parse_document,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

CACHE_LIMIT = 16 * 1024 * 1024

Document = t.Union[Manifest, Index]
_Signature = t.Tuple[int, int, int]


@dataclass(frozen=True)
class Blob:
    """An open blob; whoever gets it closes the stream."""

    digest: Digest
    stream: t.BinaryIO
    size: int


class Source(t.Protocol):
    """One place to look for content. The application asks its sources in order and takes the first that has it."""

    def manifest(self, reference: Reference) -> t.Optional[Document]:
        """The document of this tag or digest, None when it is not here."""

    def blob(self, reference: Reference) -> t.Optional[Blob]:
        """The blob of this digest, None when it is not here."""

    def status(self) -> t.Dict[str, t.Any]:
        """What there is to say about it; raises OciError or OSError when it cannot serve."""


class StoreSource:
    """A store, read in place.

    Tags are the store's names. Content asked for by digest is found under any name: the digest says all there is to
    check, and a name that an image was never stored under (a pin of another registry's copy) leads to the same bytes.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._signature: t.Optional[_Signature] = None
        self._names: t.Dict[str, Descriptor] = {}
        self._layout: t.Optional[Layout] = None
        self._documents = _DocumentCache(CACHE_LIMIT)

    def manifest(self, reference: Reference) -> t.Optional[Document]:
        """The document of this tag or digest, None when it is not here."""
        digest, media_type = reference.digest, None
        if digest is None:
            named = self._catalog().get(str(reference))
            if named is None:
                return None
            digest, media_type = named.digest, named.media_type
        return self._document(digest, media_type)

    def blob(self, reference: Reference) -> t.Optional[Blob]:
        """The blob of this digest, None when it is not here."""
        if reference.digest is None:
            return None
        layout = self._open()
        if not layout.has(reference.digest):
            return None
        stream = layout.open_blob(reference.digest)
        return Blob(reference.digest, stream, os.fstat(stream.fileno()).st_size)

    def status(self) -> t.Dict[str, t.Any]:
        """How many names there are."""
        return {"source": "store", "names": len(self._catalog())}

    def _open(self) -> Layout:
        if self._layout is None:
            self._layout = Layout.open(self._path)
        return self._layout

    def _catalog(self) -> t.Dict[str, Descriptor]:
        found = os.stat(os.path.join(self._path, "index.json"))
        signature = (found.st_mtime_ns, found.st_size, found.st_ino)
        with self._lock:
            if signature != self._signature:
                self._names = dict(self._open().names())
                self._signature = signature
            return self._names

    def _document(self, digest: Digest, media_type: t.Optional[str]) -> t.Optional[Document]:
        layout = self._open()
        if not layout.has(digest):
            return None
        cached = self._documents.get(digest)
        if cached is not None:
            return cached
        if os.stat(layout.blob_path(digest)).st_size > DOCUMENT_LIMIT:
            return None
        raw = layout.read_blob(digest, limit=DOCUMENT_LIMIT)
        try:
            document = parse_document(raw, media_type)
        except OciError:
            return None
        self._documents.put(document)
        return document


class _DocumentCache:
    """The documents used last, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()
        self._documents: OrderedDict[Digest, Document] = OrderedDict()

    def get(self, digest: Digest) -> t.Optional[Document]:
        with self._lock:
            document = self._documents.get(digest)
            if document is not None:
                self._documents.move_to_end(digest)
            return document

    def put(self, document: Document) -> None:
        with self._lock:
            if document.digest in self._documents:
                return
            self._documents[document.digest] = document
            self._held += len(document.raw)
            while self._held > self._limit:
                _digest, dropped = self._documents.popitem(last=False)
                self._held -= len(dropped.raw)
