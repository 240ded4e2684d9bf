# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing one blob of a layout: under its digest's lock, resumable, verified, durable, then visible at once.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import types
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Digest, DigestMismatch, check
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    FILE_MODE,
    READ_ONLY,
    make_directories,
    open_anew,
    open_partial,
    os_errors,
    partial_path,
    sync_directory,
    write_all,
)


def is_blob(path: str, size: t.Optional[int]) -> bool:
    """Whether a file of this size (any, when None) stands there."""
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return size is None or found.st_size == size


class Busy(OciError):
    """Somebody else writes this blob just now."""


class BlobWriter:
    """A context manager that brings one blob into the layout.

    On entering, it waits for another writer of the same blob, or raises Busy. Then ``done`` tells whether the blob is
    there already, else ``offset`` how many bytes of it an earlier, broken-off writer left: write what follows them, or
    ``restart()``. ``commit()`` checks, makes durable and shows the blob. Leaving without commit keeps the bytes for the
    next writer.

    Who reads the partial file while it is written may trust this: bytes of one inode never change. ``restart()`` begins
    another one.

    ``record`` is where a blob that was pulled through has its record: the blob becomes ordinary content when a writer
    that was given it finds the blob there, so that no eviction takes it away before it is named. With ``again`` the
    blob is written anew though it is there.
    """

    def __init__(
        self,
        path: str,
        digest: Digest,
        size: t.Optional[int],
        session: t.ContextManager[None],
        *,
        wait: bool = True,
        again: bool = False,
        record: str = "",
    ) -> None:
        self.digest = digest
        self.size = size
        self.offset = 0
        self.done = False
        self._path = path
        self._partial = partial_path(path)
        self._session = session
        self._wait = wait
        self._again = again
        self._record = record
        self._stack = contextlib.ExitStack()
        self._handle = -1
        self._hash = digest.hasher()

    def __enter__(self) -> BlobWriter:
        with contextlib.ExitStack() as stack, os_errors(f"cannot write blob {self.digest}", self._path):
            stack.enter_context(self._session)
            self._enter(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: t.Optional[t.Type[BaseException]],
        error: t.Optional[BaseException],
        trace: t.Optional[types.TracebackType],
    ) -> None:
        with self._stack:
            if self._handle >= 0 and not self.done and self.offset == 0:
                self.discard()

    def write(self, data: t.Union[bytes, memoryview]) -> None:
        """The bytes that come next."""
        self._require_open()
        if self.size is not None and self.offset + len(data) > self.size:
            self.discard()
            raise DigestMismatch(
                f"content of {self.digest} has the wrong size", where=self._path, why=f"more than {self.size} bytes"
            )
        with os_errors(f"cannot write blob {self.digest}", self._path):
            try:
                write_all(self._handle, data)
            except OSError:
                self._step_back()
                raise
        self._hash.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        """Forget the bytes that are there and begin at the first."""
        self._require_open()
        if os.fstat(self._handle).st_size:
            with os_errors(f"cannot write blob {self.digest}", self._path):
                self._begin_anew()
        self.offset = 0
        self._hash = self.digest.hasher()

    def discard(self) -> None:
        """Give up, and leave no bytes behind."""
        if self._handle < 0:
            return
        with os_errors(f"cannot remove the rest of blob {self.digest}", self._partial):
            os.unlink(self._partial)
        self._close()

    def check(self) -> None:
        """Raise DigestMismatch unless the bytes are the blob's, all of them."""
        self._require_open()
        check(self.digest, self.size, self._hash.hexdigest(), self.offset, self._path)

    def commit(self) -> None:
        """Check the bytes and make them the blob; wrong ones are thrown away with DigestMismatch."""
        if self.done:
            return
        try:
            self.check()
        except DigestMismatch:
            self.discard()
            raise
        with os_errors(f"cannot write blob {self.digest}", self._path):
            os.fchmod(self._handle, FILE_MODE)
            os.fsync(self._handle)
            os.replace(self._partial, self._path)
            sync_directory(os.path.dirname(self._path))
        self.done = True
        self._close()

    def _enter(self, stack: contextlib.ExitStack) -> None:
        self.done = self._is_there()
        if self.done and not (self._record and os.path.exists(self._record)):
            return
        try:
            make_directories(os.path.dirname(self._path))
            self._handle = open_partial(self._partial, wait=self._wait)
        except BlockingIOError as error:
            raise Busy(f"blob {self.digest} is being written", where=self._path) from error
        except OSError as error:
            if self.done and error.errno in READ_ONLY:
                return
            raise
        stack.callback(self._close)
        self.done = self._is_there()
        if self.done:
            self._adopt()
            return
        self._take_up()

    def _is_there(self) -> bool:
        return not self._again and is_blob(self._path, self.size)

    def _adopt(self) -> None:
        if self._record:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._record)
        os.unlink(self._partial)
        self._close()

    def _begin_anew(self) -> None:
        handle = open_anew(os.path.join(os.path.dirname(self._path), f".{self.digest.hex}.anew"), self._partial)
        self._close()
        self._handle = handle

    def _step_back(self) -> None:
        """Forget what a write that failed has written."""
        os.ftruncate(self._handle, self.offset)
        os.lseek(self._handle, self.offset, os.SEEK_SET)

    def _take_up(self) -> None:
        if self.size is not None and os.fstat(self._handle).st_size > self.size:
            self._begin_anew()
        while True:
            data = os.read(self._handle, CHUNK)
            if not data:
                return
            self._hash.update(data)
            self.offset += len(data)

    def _close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _require_open(self) -> None:
        if self._handle < 0:
            raise OciError(f"writer of blob {self.digest} is not open", where=self._path)
