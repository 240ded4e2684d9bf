# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the mirror's content comes from: the interface, and the store that is served in place.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import functools
import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import ANYWHERE, Blocking
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Document, Names, Store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import BLOBS
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

__all__ = ["Asked", "Content", "Document", "Found", "Source", "StoreSource", "StoredContent"]


@dataclass(frozen=True)
class Asked:
    """What a client wants, and how it wants it.

    The reference names the registry that the client meant. In the mirror's own namespace (``own``) that is the mirror's
    own name, whichever of its names the client used: no upstream has such content, only peers and parents may. Where
    the client named no registry at all, the application asks every source for the own reference first, then again
    for the one of docker.io (``own`` is false then). ``blocking`` tells a source whether it may wait for an upstream.
    """

    reference: Reference
    own: bool = False
    via: t.Tuple[str, ...] = ()
    cached_only: bool = False
    blocking: Blocking = field(default=ANYWHERE, compare=False, repr=False)

    @property
    def repository(self) -> t.Optional[str]:
        """The repository of the mirror's own namespace that is meant, None for all others."""
        return self.reference.repository if self.own else None


@dataclass(frozen=True)
class Found:
    """A document. Stale: its tag could not be checked with the upstream; age: seconds since it was.

    ``here`` tells that the document was not fetched for this; of what the first source has, that is known anyway.
    """

    document: Document
    stale: bool = False
    age: t.Optional[int] = None
    here: bool = False
    again: t.Optional[t.Callable[[], bool]] = None


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
        """The document of this tag or digest, None when it is not here. Raises WouldBlock."""

    def blob(self, asked: Asked) -> t.Optional[Content]:
        """The blob of this digest, None when it is not here. Raises WouldBlock."""

    def status(self) -> t.Dict[str, t.Any]:
        """What there is to say about it; raises SealerError or OSError when it cannot serve."""


class StoreSource:
    """What is in the store. Tags are the store's names; content by digest is found wherever it may be seen."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        """The document of this tag or digest, None when it is not here."""
        digest = asked.reference.digest
        again: t.Callable[[Document], bool]
        if digest is not None:
            document = self._store.document_in(asked.repository, digest)
            again = functools.partial(self._is_seen, asked.repository)
        else:
            names = self._store.names()
            named = names.entries.get(str(asked.reference))
            document = None if named is None else self._store.document(named.digest, named.media_type)
            again = functools.partial(self._is_named, names)
        if document is None:
            return None
        self._store.touch(document.digest)
        return Found(document, again=functools.partial(again, document))

    def blob(self, asked: Asked) -> t.Optional[Content]:
        """The blob of this digest, None when it is not here."""
        digest = asked.reference.digest
        if digest is None:
            return None
        content = StoredContent.open(digest, self._store.layout().blob_path(digest))
        if content is not None and not self._store.sees(asked.repository, BLOBS, digest):
            content.close()
            return None
        if content is not None:
            self._store.touch(digest)
        return content

    def _is_seen(self, repository: t.Optional[str], document: Document) -> bool:
        self._store.touch(document.digest)
        return self._store.document_in(repository, document.digest) is document

    def _is_named(self, names: Names, document: Document) -> bool:
        self._store.touch(document.digest)
        return self._store.names() is names

    def status(self) -> t.Dict[str, t.Any]:
        """How many names there are."""
        return {"source": "store", "names": len(self._store.names().entries)}
