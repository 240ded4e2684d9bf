# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A blob that is coming: one state for all who read it in this process, whichever process writes it.

Private to the collection: may change at any time.

Who writes the partial file holds its lock. Bytes of one inode never change, so what was read stays right as long as
that inode becomes the blob. The last byte is held back until it has.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import partial_path, stands_at
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import Incoming

LOOK_SECONDS = 0.005
CHECK_SECONDS = 0.25

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW


class Growing:
    """What there is of a blob by now. Threads share it.

    ``take_over`` is called when nobody writes the blob any more: whoever gave it begins a thread that leads.
    ``may_finish`` tells whether a blob that stands in the store may be read instead. ``unsized``: its size is not known
    before all of it is here.
    """

    def __init__(
        self, layout: Layout, digest: Digest, take_over: t.Callable[[], None], may_finish: t.Callable[[], bool]
    ) -> None:
        self.digest = digest
        self.size: t.Optional[int] = None
        self.unsized = False
        self.available = 0
        self.whole = False
        self.error: t.Optional[Exception] = None
        self.spoilt = False
        self.leading = False
        self.changed = threading.Condition(threading.RLock())
        self._blob = layout.blob_path(digest)
        self._partial = partial_path(self._blob)
        self._incoming = Incoming(layout)
        self._take_over = take_over
        self._may_finish = may_finish
        self._closed = False
        self._handle = -1
        self._given = False
        self._watched = False
        self._look_at = 0.0
        self._check_at = 0.0

    # what a leader in this process tells

    def attach(self) -> None:
        """The partial file that stands there now is written by this process."""
        with self.changed:
            self._open(self._partial)

    def grew(self, offset: int) -> None:
        """So many bytes are there; the last of all is not given out yet."""
        with self.changed:
            if self.size is not None and min(offset, self.size - 1) > self.available:
                self.available = min(offset, self.size - 1)
                self.changed.notify_all()

    def sized(self, size: int) -> None:
        """It will be this long."""
        with self.changed:
            self.size = size
            self.changed.notify_all()

    def finish(self, size: int) -> None:
        """The bytes are checked, all of them."""
        with self.changed:
            if self.size not in (None, size):
                self.fail(MirrorError(f"it has {size} bytes, not {self.size}"), spoilt=True)
            elif self.error is None:
                self.size = self.available = size
                self.whole = True
            self.changed.notify_all()

    def finish_stored(self) -> bool:
        """The blob stands in the store: it is this, unless readers were given bytes of something else."""
        with self.changed:
            if not self._may_finish() or not self._open(self._blob):
                return False
            self.finish(os.fstat(self._handle).st_size)
            return True

    def fail(self, error: Exception, spoilt: bool = False) -> None:
        """It will never be whole; what is spoilt is not read any further, else what is there still is."""
        with self.changed:
            if not self.whole and self.error is None:
                self.error, self.spoilt = error, spoilt
            self.changed.notify_all()

    # what readers ask

    @property
    def settled(self) -> bool:
        """Whether nothing will change any more."""
        return self.whole or self.error is not None

    def ready(self, offset: int) -> bool:
        """Whether a read there gives bytes, the end or an error now."""
        if offset < self.available or self.settled or offset == self.size:
            return True
        self.look()
        return offset < self.available or self.settled

    def read_at(self, offset: int, length: int) -> t.Optional[bytes]:
        """Bytes from there on, as many as there are; None when there are none yet."""
        if not self.ready(offset):
            return None
        if self.error is not None and (self.spoilt or offset >= self.available):
            raise _cut(self.error)
        if not self._given:
            with self.changed:
                self._given = True
        count = min(length, self.available - offset)
        data = os.pread(self._handle, count, offset) if count > 0 else b""
        if not data and count > 0 and not self.whole:
            return None
        if not data and count > 0:
            raise MirrorError("a blob became shorter while it was read", where=str(self.digest))
        return data

    def wait(self, condition: t.Callable[[], bool], seconds: float) -> bool:
        """Block until that is so; answers whether it is."""
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            if left <= 0:
                return False
            with self.changed:
                if not condition():
                    self._rest(left)
            self.look()
        return True

    def _rest(self, seconds: float) -> None:
        """Wait for a change; while the leader is elsewhere, one of those who wait looks after it."""
        looks = not self._watched and not self.leading
        self._watched = self._watched or looks
        try:
            self.changed.wait(min(seconds, LOOK_SECONDS if looks else CHECK_SECONDS))
        finally:
            if looks:
                self._watched = False

    def fileno(self) -> t.Optional[int]:
        """A file that has all the bytes, when they are checked."""
        return self._handle if self.whole else None

    def close(self) -> None:
        """Nobody reads it any more."""
        with self.changed:
            self._closed = True
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1

    # following a leader elsewhere

    def look(self) -> None:
        """See how far a leader in another process is; at most every few milliseconds, however often it is called."""
        now = time.monotonic()
        if self.leading or self.settled or now < self._look_at or not self.changed.acquire(blocking=False):
            return
        try:
            if not (self.leading or self.settled or self._closed) and now >= self._look_at:
                self._look_at = now + LOOK_SECONDS
                self._follow(now)
        finally:
            self.changed.release()

    def _follow(self, now: float) -> None:
        if self._handle < 0:
            self._open(self._partial)
        if self.size is None:
            note = self._incoming.read(self.digest)
            if note is not None and note.size is not None:
                self.sized(note.size)
        there = os.fstat(self._handle).st_size if self._handle >= 0 else 0
        if self.size is not None and there:
            self.grew(there)
            if there >= self.size and stands_at(self._handle, self._blob):
                self.finish(self.size)
        if not self.settled and now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            self._check_leader()

    def _check_leader(self) -> None:
        if self.finish_stored() or self.settled:
            return
        if self._handle < 0 or not stands_at(self._handle, self._partial):
            self._open(self._partial)
        if not self.settled and (self._handle < 0 or self._is_left()):
            self._take_over()

    def _is_left(self) -> bool:
        """Whether nobody holds the lock of the partial file."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(self._handle, fcntl.LOCK_UN)
        return True

    def _open(self, path: str) -> bool:
        """Read from this file from now on. Where readers were given bytes of another, they are cut off."""
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(path, _OPEN)
            if self._handle < 0:
                self._handle = handle
            elif os.path.sameopenfile(self._handle, handle):
                os.close(handle)
            elif self._given:
                os.close(handle)
                self.fail(MirrorError("the bytes that were there are thrown away"), spoilt=True)
            else:
                os.dup2(handle, self._handle, inheritable=False)
                os.close(handle)
                self.available = 0
            return True
        return False


class GrowingContent:
    """One reader of a growing blob."""

    def __init__(self, growing: Growing, size: int, leave: t.Callable[[], None]) -> None:
        self.digest = growing.digest
        self.size = size
        self._growing = growing
        self._leave: t.Optional[t.Callable[[], None]] = leave

    def read_at(self, offset: int, length: int) -> t.Optional[bytes]:
        """Up to that many bytes; None when they are not here yet; raises MirrorError when they never will be."""
        return self._growing.read_at(offset, length)

    def ready(self, offset: int) -> bool:
        """Whether read_at would give bytes or raise now."""
        return self._growing.ready(offset)

    def wait(self, offset: int, seconds: float) -> bool:
        """Wait up to that long until ready."""
        return self._growing.wait(lambda: self._growing.ready(offset), seconds)

    def fileno(self) -> t.Optional[int]:
        """A file that has all the bytes, when they are here and checked."""
        return self._growing.fileno()

    def close(self) -> None:
        """Read no more."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


def _cut(error: Exception) -> MirrorError:
    return MirrorError("the rest of a blob cannot be fetched", why=str(error))
