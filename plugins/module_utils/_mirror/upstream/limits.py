# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much is asked of one upstream at once and a second, over all processes; and leaving alone one that is away.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    FILE_MODE,
    make_directories,
    os_errors,
    replace_file,
)

LONGEST_WAIT = 30.0
LONGEST_REST = 30.0

_FIRST_REST = 2.0
_TRIAL = 10.0
_BURST_SECONDS = 1.0
_POLL = 0.02
_TOO_FAR = 3600.0

Clock = t.Callable[[], float]


class Busy(RegistryError):
    """So much is asked of an upstream already that this would have to wait for too long."""

    def __init__(self, name: str, wait: float) -> None:
        super().__init__(
            "too much is asked of an upstream",
            where=name,
            why="its limits in the mirror's settings are reached",
            status=429,
            codes=("TOOMANYREQUESTS",),
            temporary=True,
            retry_after=max(1.0, wait),
        )


class Resting(RegistryError):
    """An upstream that is left alone because it did not answer lately."""

    def __init__(self, name: str, left: float) -> None:
        super().__init__(
            "an upstream is left alone",
            where=name,
            why="it could not be reached lately",
            temporary=True,
            retry_after=max(1.0, left),
        )


class Limits:
    """At most so many requests at once, and so many begun a second.

    They count for all who share the directory: each of its slots is a file's lock, and a file tells when the next
    request may begin. Without a directory they count for this process. 0 means without limit.
    """

    def __init__(
        self,
        name: str,
        concurrency: int = 0,
        per_second: float = 0.0,
        directory: str = "",
        *,
        longest_wait: float = LONGEST_WAIT,
        clock: Clock = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._slots = concurrency
        self._gate = threading.BoundedSemaphore(concurrency) if concurrency else None
        self._per_second = per_second
        self._directory = directory
        self._longest_wait = longest_wait
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def enter(self) -> t.Callable[[], None]:
        """Wait for a turn; what it gives has to be called when the request is over. Raises Busy."""
        until = self._clock() + self._longest_wait
        with contextlib.ExitStack() as stack:
            if self._gate is not None:
                if not self._gate.acquire(timeout=self._longest_wait):
                    raise Busy(self._name, self._longest_wait)
                stack.callback(self._gate.release)
                if self._directory:
                    stack.callback(os.close, self._slot(until))
            if self._per_second:
                self._wait_for_turn(until)
            return stack.pop_all().close

    def _slot(self, until: float) -> int:
        """The handle of a file whose lock is ours now."""
        with os_errors("cannot limit what is asked of an upstream", self._directory):
            make_directories(self._directory)
            while True:
                for number in range(self._slots):
                    handle = _try_lock(os.path.join(self._directory, f"slot-{number}"))
                    if handle is not None:
                        return handle
                if self._clock() >= until:
                    raise Busy(self._name, self._longest_wait)
                self._sleep(_POLL)

    def _wait_for_turn(self, until: float) -> None:
        with self._lock, self._shared_turn() as turn:
            now = self._clock()
            planned = turn.read() if turn.read() - now < _TOO_FAR else now
            begin = max(now, planned - _BURST_SECONDS)
            if begin > until:
                raise Busy(self._name, begin - now)
            turn.write(max(now, planned) + 1.0 / self._per_second)
        if begin > now:
            self._sleep(begin - now)

    @contextlib.contextmanager
    def _shared_turn(self) -> t.Iterator[_Turn]:
        if not self._directory:
            turn = _Turn(self._next)
            yield turn
            self._next = turn.read()
            return
        path = os.path.join(self._directory, "turn")
        with os_errors("cannot limit what is asked of an upstream", path):
            make_directories(self._directory)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            turn = _Turn(_number(os.pread(handle, 64, 0)))
            yield turn
            os.pwrite(handle, f"{turn.read():<32.6f}".encode("ascii"), 0)
        finally:
            os.close(handle)


class _Turn:
    """When, were requests begun evenly, the next one would begin."""

    def __init__(self, value: float) -> None:
        self._value = value

    def read(self) -> float:
        return self._value

    def write(self, value: float) -> None:
        self._value = value


class Breaker:
    """Remembers that a URL is away, and lets one request at a time try whether it still is.

    With a path, all processes that share it know. Times are those of the host's clock since it started: a file of
    before the last start tells of times too far away, and does not count.
    """

    def __init__(self, name: str, path: str = "", *, clock: Clock = time.monotonic) -> None:
        self._name = name
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._failures = 0
        self._trying = False
        self._shared = False

    def check(self) -> None:
        """Before a request: raise Resting while it is to be left alone; afterwards, one request is to try it."""
        with self._lock:
            self._refuse_if_open()
            if self._failures:
                self._trying = True
                self._until = self._clock() + _TRIAL
                self._store()

    def refuse_if_open(self) -> None:
        """Raise Resting while it is to be left alone."""
        with self._lock:
            self._refuse_if_open()

    @property
    def is_open(self) -> bool:
        """Whether it is left alone now."""
        with self._lock:
            self._load()
            return self._until > self._clock()

    def worked(self) -> None:
        """It answered."""
        with self._lock:
            if self._failures or self._until:
                self._until, self._failures, self._trying = 0.0, 0, False
                if self._path:
                    with contextlib.suppress(OSError):
                        os.unlink(self._path)

    def failed(self) -> None:
        """It did not answer. Of many requests that find this out at once, one counts."""
        with self._lock:
            now = self._clock()
            if self._until > now and not self._trying:
                return
            self._failures = min(self._failures + 1, 16)
            self._trying = False
            self._until = now + min(LONGEST_REST, _FIRST_REST * 2.0 ** (self._failures - 1))
            self._store()

    def _refuse_if_open(self) -> None:
        self._load()
        left = self._until - self._clock()
        if left > 0:
            raise Resting(self._name, left)

    def _load(self) -> None:
        if not self._path or self._trying:
            return
        try:
            with open(self._path, "rb") as stream:
                told = json.loads(stream.read(256))
                until, failures = float(told[0]), int(told[1])
        except FileNotFoundError:
            if self._shared:
                self._until, self._failures = 0.0, 0
            return
        except (OSError, ValueError, TypeError, LookupError):
            return
        if abs(until - self._clock()) < _TOO_FAR:
            self._until, self._failures = until, failures

    def _store(self) -> None:
        """Tell the others; where that cannot be, each finds out by itself."""
        if not self._path:
            return
        told = json.dumps([self._until, self._failures]).encode("ascii")
        try:
            make_directories(os.path.dirname(self._path))
            replace_file(self._path, told, durable=False)
            self._shared = True
        except OSError:
            self._shared = False


def _try_lock(path: str) -> t.Optional[int]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _number(raw: bytes) -> float:
    try:
        return float(raw.decode("ascii"))
    except ValueError:
        return 0.0
