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

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError, OciError
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
class Asked:
    """What a client wants, and how it wants it.

    The reference names the registry that the client meant. In the mirror's own namespace (``own``) that is the mirror's
    own name, whichever of its names the client used: no upstream has such content, only peers and parents may. Where
    the client named no registry at all, the application asks every source for the own reference first, then again
    for the one of docker.io (``own`` is false then).
    """

    reference: Reference
    own: bool = False
    via: t.Tuple[str, ...] = ()
    cached_only: bool = False
    if_none_match: str = ""


@dataclass(frozen=True)
class Found:
    """A document. Stale: its tag could not be checked with the upstream; age: seconds since it was."""

    document: Document
    stale: bool = False
    age: t.Optional[int] = None


class Content(t.Protocol):
    """A blob's bytes, whole or still coming. Whoever gets it closes it; each has one reader."""

    @property
    def digest(self) -> Digest:
        """What the bytes hash to."""

    @property
    def size(self) -> int:
        """How many bytes there are when all are there."""

    def read_at(self, offset: int, length: int) -> t.Optional[bytes]:
        """Up to that many bytes; None when they are not there yet; raises SealerError when they never will be."""

    def ready(self, offset: int) -> bool:
        """Whether ``read_at`` would give bytes or raise now; cheap, never blocks."""

    def wait(self, offset: int, seconds: float) -> bool:
        """Block up to that long until ready; answers whether it is."""

    def fileno(self) -> t.Optional[int]:
        """A file that holds all the bytes from its first on, None while they are still coming."""

    def close(self) -> None:
        """Let go of it; more than once does no harm."""


class StoredContent:
    """The bytes of a file that is whole."""

    def __init__(self, digest: Digest, handle: int) -> None:
        self.digest = digest
        self._handle = handle
        self.size = os.fstat(handle).st_size

    @classmethod
    def open(cls, digest: Digest, path: str) -> t.Optional[StoredContent]:
        """The file at this path, None when there is none."""
        try:
            return cls(digest, os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_at(self, offset: int, length: int) -> t.Optional[bytes]:
        """Up to that many bytes; raises MirrorError where the file has become shorter."""
        data = os.pread(self._handle, length, offset)
        if not data and length and offset < self.size:
            raise MirrorError("a blob became shorter while it was read", why=f"{self.size - offset} bytes are missing")
        return data

    def ready(self, offset: int) -> bool:
        """Always: nothing is still to come."""
        return offset >= 0

    def wait(self, offset: int, seconds: float) -> bool:
        """At once."""
        return self.ready(offset) or seconds < 0

    def fileno(self) -> t.Optional[int]:
        """The file."""
        return self._handle if self._handle >= 0 else None

    def close(self) -> None:
        """Close the file."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


class Source(t.Protocol):
    """One place to look for content. The application asks its sources in order and takes the first that has it."""

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        """The document of this tag or digest, None when it is not here."""

    def blob(self, asked: Asked) -> t.Optional[Content]:
        """The blob of this digest, None when it is not here."""

    def status(self) -> t.Dict[str, t.Any]:
        """What there is to say about it; raises SealerError or OSError when it cannot serve."""


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

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        """The document of this tag or digest, None when it is not here."""
        digest, media_type = asked.reference.digest, None
        if digest is None:
            named = self._catalog().get(str(asked.reference))
            if named is None:
                return None
            digest, media_type = named.digest, named.media_type
        document = self._document(digest, media_type)
        return None if document is None else Found(document)

    def blob(self, asked: Asked) -> t.Optional[Content]:
        """The blob of this digest, None when it is not here."""
        digest = asked.reference.digest
        return None if digest is None else StoredContent.open(digest, self._open().blob_path(digest))

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
