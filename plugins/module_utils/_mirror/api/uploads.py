# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploads of blobs: files in the store that grow by chunks, whichever process takes them, and then become blobs.

Private to the collection: may change at any time.

An upload is one file, ``uploads/<hash of the repository>.<id>``: how long it is says how far it is, and its lock who
writes. Nothing is kept in memory between two requests.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
import typing as t
import uuid
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Digest, Hasher
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    FILE_MODE,
    make_directories,
    remove_if_free,
    stands_at,
    sync_directory,
    write_all,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import BLOBS, UPLOADS

KEPT_SECONDS = 24 * 3600.0

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RANGE = re.compile(r"([0-9]{1,19})-([0-9]{1,19})", re.ASCII)
_CLEAN_SECONDS = 3600.0


class Input(t.Protocol):
    """A request's body."""

    def read(self, size: int, /) -> bytes:
        """Up to that many bytes; none at the end."""


class OutOfOrder(MirrorError):
    """A chunk that does not follow the last one; ``size`` bytes are here."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the chunk has to begin at byte {size}")
        self.size = size


class Chunk(t.NamedTuple):
    """A part of a blob as a request brings it. ``start`` and ``length`` are what its headers say, if they do."""

    body: Input
    start: t.Optional[int] = None
    length: t.Optional[int] = None

    @classmethod
    def of(cls, body: Input, content_range: str, content_length: str) -> Chunk:
        """The chunk with these headers; Refused (400) when they contradict each other or cannot be read."""
        length = int(content_length) if content_length.isascii() and content_length.isdigit() else None
        if not content_range:
            return cls(body, None, length)
        found = _RANGE.fullmatch(content_range.strip())
        if found is None:
            raise _invalid("the header Content-Range has to be FIRST-LAST")
        start, last = int(found.group(1)), int(found.group(2))
        if last < start or (length is not None and length != last + 1 - start):
            raise Refused(HTTPStatus.BAD_REQUEST, "SIZE_INVALID", "Content-Range and Content-Length do not fit")
        return cls(body, start, last + 1 - start)


class Uploads:
    """The uploads of one store. Threads and processes may share them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cleaned = 0.0

    def begin(self, repository: str) -> str:
        """A new upload, empty; its id."""
        self._clean_sometimes()
        directory = self._directory()
        make_directories(directory)
        name = str(uuid.uuid4())
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(self._path(repository, name), flags, FILE_MODE))
        return name

    def size(self, repository: str, name: str) -> int:
        """How many bytes are here."""
        try:
            return os.stat(self._path(repository, name)).st_size
        except FileNotFoundError as error:
            raise _unknown(name) from error

    def append(self, repository: str, name: str, chunk: Chunk) -> int:
        """Write what comes next; how many bytes are here then. Raises OutOfOrder, Refused."""
        with self._held(repository, name) as handle:
            return _append(handle, chunk, None)

    def finish(self, repository: str, name: str, digest: Digest, chunk: Chunk) -> None:
        """Write the last bytes and make the blob; wrong bytes are thrown away with Refused (400)."""
        with self._held(repository, name) as handle:
            hasher = digest.hasher()
            before = os.fstat(handle).st_size
            size = _append(handle, chunk, hasher if not before else None)
            if before:
                _hash(handle, hasher)
            path = self._path(repository, name)
            if hasher.hexdigest() != digest.hex:
                os.unlink(path)
                raise Refused(
                    HTTPStatus.BAD_REQUEST,
                    "DIGEST_INVALID",
                    "the digest is not that of the bytes that came",
                    detail=f"{size} bytes, {digest.algorithm}:{hasher.hexdigest()}",
                )
            self._show(repository, path, handle, digest, size)

    def cancel(self, repository: str, name: str) -> None:
        """Throw the upload away."""
        with self._held(repository, name):
            os.unlink(self._path(repository, name))

    def forget(self, repository: str, name: str) -> None:
        """Throw the upload away where it still is."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(repository, name))

    def clean(self) -> int:
        """Remove the uploads that nobody has gone on with for a day; how many they were."""
        count = 0
        with contextlib.suppress(FileNotFoundError):
            for entry in list(os.scandir(self._directory())):
                with contextlib.suppress(FileNotFoundError):
                    if abs(time.time() - entry.stat().st_mtime) > KEPT_SECONDS and remove_if_free(entry.path):
                        count += 1
        return count

    def _show(self, repository: str, path: str, handle: int, digest: Digest, size: int) -> None:
        """Make the whole upload the blob, unless that is there, and have the repository hold it."""
        layout, own = self._store.layout(), self._store.own()
        with layout.session():
            if layout.has(digest, size):
                os.unlink(path)
            else:
                target = layout.blob_path(digest)
                os.fsync(handle)
                own.mark(digest)
                make_directories(os.path.dirname(target))
                os.replace(path, target)
                sync_directory(os.path.dirname(target))
            own.hold(repository, BLOBS, digest)

    def _clean_sometimes(self) -> None:
        now = time.monotonic()
        if not self._cleaned or now - self._cleaned > _CLEAN_SECONDS:
            self._cleaned = now
            self.clean()

    def _directory(self) -> str:
        return os.path.join(self._store.layout().path, UPLOADS)

    def _path(self, repository: str, name: str) -> str:
        if _ID.fullmatch(name) is None:
            raise _unknown(name)
        owner = hashlib.sha256(repository.encode("utf-8")).hexdigest()[:16]
        return os.path.join(self._directory(), f"{owner}.{name}")

    @contextlib.contextmanager
    def _held(self, repository: str, name: str) -> t.Iterator[int]:
        """The upload's file, to be written by nobody else."""
        path = self._path(repository, name)
        try:
            handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise _unknown(name) from error
        try:
            _lock(handle, name)
            if not stands_at(handle, path):
                raise _unknown(name)
            yield handle
        finally:
            os.close(handle)


def _lock(handle: int, name: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        what = "another request is writing this upload"
        raise Refused(HTTPStatus.CONFLICT, "BLOB_UPLOAD_INVALID", what, detail=name) from error


def _append(handle: int, chunk: Chunk, hasher: t.Optional[Hasher]) -> int:
    size = os.fstat(handle).st_size
    if chunk.start is not None and chunk.start != size:
        raise OutOfOrder(size)
    came = 0
    while chunk.length is None or came < chunk.length:
        data = chunk.body.read(CHUNK if chunk.length is None else min(CHUNK, chunk.length - came))
        if not data:
            break
        write_all(handle, data)
        came += len(data)
        if hasher is not None:
            hasher.update(data)
    if chunk.length is not None and came != chunk.length:
        raise Refused(HTTPStatus.BAD_REQUEST, "SIZE_INVALID", f"{came} bytes came, not {chunk.length}")
    return size + came


def _hash(handle: int, hasher: Hasher) -> None:
    position = 0
    while True:
        data = os.pread(handle, CHUNK, position)
        if not data:
            return
        hasher.update(data)
        position += len(data)


def _invalid(what: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "BLOB_UPLOAD_INVALID", what)


def _unknown(name: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN", "there is no such upload", detail=name[:64])
