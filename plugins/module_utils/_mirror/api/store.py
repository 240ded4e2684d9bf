# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store as the mirror sees it: names and documents kept in memory, and what may be seen where.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import threading
import typing as t
from collections import OrderedDict
from dataclasses import replace

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import DEFAULT_NAME
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import DOCUMENT_LIMIT, INDEX, Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import BLOBS, MANIFESTS, OwnContent
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


class Names:
    """What one state of index.json names. Never changes."""

    def __init__(self, entries: t.Mapping[str, Descriptor]) -> None:
        self.entries = entries
        self._tags: t.Optional[t.Dict[str, t.List[str]]] = None

    def tags(self, repository: str) -> t.Optional[t.List[str]]:
        """The tags of a repository (``registry/name``) in ASCII order; None where nothing is named."""
        return self._by_repository().get(repository)

    def repositories(self) -> t.List[str]:
        """All repositories, each with its registry."""
        return sorted(self._by_repository())

    def _by_repository(self) -> t.Dict[str, t.List[str]]:
        found = self._tags
        if found is None:
            found = {}
            for name in sorted(self.entries):
                repository, colon, tag = name.rpartition(":")
                if colon and "/" not in tag and "@" not in repository:
                    found.setdefault(repository, []).append(tag)
            self._tags = found
        return found


class Store:
    """A store, read in place; it need not be there yet. Threads may share it.

    Content asked for by digest is found under any name: the digest says all there is to check, and a name that an image
    was never stored under (a pin of another registry's copy) leads to the same bytes. What came by a push alone is
    found in the repositories that it was pushed to.
    """

    def __init__(self, path: str, name: str = DEFAULT_NAME) -> None:
        self.path = path
        self.name = name
        self._index = os.path.join(path, INDEX)
        self._lock = threading.Lock()
        self._signature: t.Optional[_Signature] = None
        self._names = Names({})
        self._layout: t.Optional[Layout] = None
        self._records: t.Optional[PulledRecords] = None
        self._documents = _DocumentCache(CACHE_LIMIT)
        self._shared: t.Tuple[t.Optional[Names], t.Set[Digest]] = (None, set())

    def layout(self) -> Layout:
        """The layout; raises OciError while there is none."""
        if self._layout is None:
            self._layout = Layout.open(self.path)
        return self._layout

    def touch(self, digest: Digest) -> None:
        """The content is used now; cheap. What was pulled through and is not used for longest goes first."""
        if self._records is None:
            self._records = PulledRecords(self.layout())
        self._records.touch(digest)

    def own(self) -> OwnContent:
        """What was pushed into it."""
        return OwnContent(self.layout())

    def names(self) -> Names:
        """What index.json names now."""
        found = os.stat(self._index)
        signature = (found.st_mtime_ns, found.st_size, found.st_ino)
        with self._lock:
            if signature != self._signature:
                self._names = Names(dict(self.layout().names()))
                self._signature = signature
            return self._names

    def tagged(self, reference: Reference) -> t.Optional[Descriptor]:
        """What the name without digest means here."""
        return self.names().entries.get(str(reference))

    def sees(self, repository: t.Optional[str], kind: str, digest: Digest) -> bool:
        """Whether content that is here may be seen in this repository of our own; None: anywhere else."""
        own = self.own()
        if repository is not None and own.holds(repository, kind, digest):
            return True
        return not own.is_marked(digest) or self._is_shared(digest)

    def sees_blob(self, repository: t.Optional[str], digest: Digest, size: t.Optional[int] = None) -> bool:
        """Whether the blob is here and may be seen there."""
        return self.layout().has(digest, size) and self.sees(repository, BLOBS, digest)

    def document(self, digest: Digest, media_type: t.Optional[str] = None) -> t.Optional[Document]:
        """The document named by a tag; None when there is none of this digest."""
        return self._documents.get(digest) or self._read(digest, media_type)

    def document_in(self, repository: t.Optional[str], digest: Digest) -> t.Optional[Document]:
        """The document of this digest where it may be seen there."""
        if not self.layout().has(digest) or not self.sees(repository, MANIFESTS, digest):
            return None
        return self.document(digest)

    def _read(self, digest: Digest, media_type: t.Optional[str]) -> t.Optional[Document]:
        layout = self.layout()
        try:
            size = os.stat(layout.blob_path(digest)).st_size
        except FileNotFoundError:
            return None
        if size > DOCUMENT_LIMIT:
            return None
        raw = layout.read_blob(digest, limit=DOCUMENT_LIMIT)
        try:
            document = parse_document(raw, media_type)
        except OciError:
            return None
        if document.digest != digest:
            document = replace(document, digest=digest)
        self._documents.put(document)
        return document

    def _is_shared(self, digest: Digest) -> bool:
        """Whether pushed content is here on other grounds, too: pulled through, or part of what an operator named."""
        if PulledRecords(self.layout()).has(digest):
            return True
        names = self.names()
        known, shared = self._shared
        if known is not names:
            shared = self._operators(names)
            self._shared = (names, shared)
        return digest in shared

    def _operators(self, names: Names) -> t.Set[Digest]:
        layout, own, ours = self.layout(), self.own(), f"{self.name}/"
        found: t.Set[Digest] = set()
        for name, entry in names.entries.items():
            repository = name[len(ours) :].rpartition(":")[0] if name.startswith(ours) else ""
            if not repository or not own.holds(repository, MANIFESTS, entry.digest):
                found.update(part.digest for part in layout.reachable(entry))
        return found


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
