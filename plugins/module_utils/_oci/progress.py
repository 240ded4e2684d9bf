# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress of long work, told as JSON lines to whoever started the module.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import typing as t

VARIABLE = "SEALER_PROGRESS"

_INTERVAL = 0.25


class Progress:
    """What long work tells; safe to call from many threads at once."""

    def total(self, size: int, items: int) -> None:
        """So much more is to be done: every call adds."""
        raise NotImplementedError

    def add(self, size: int) -> None:
        """So many bytes more are done."""
        raise NotImplementedError

    def item(self, name: str) -> None:
        """One item more is done."""
        raise NotImplementedError

    def doing(self, what: str) -> t.ContextManager[None]:
        """Long work, for instance "building kubelet", for as long as it lasts."""
        raise NotImplementedError

    def done(self) -> None:
        """The work is over: nothing follows."""
        raise NotImplementedError


class NullProgress(Progress):
    """Nobody listens."""

    def total(self, size: int, items: int) -> None:
        """Nothing."""

    def add(self, size: int) -> None:
        """Nothing."""

    def item(self, name: str) -> None:
        """Nothing."""

    def doing(self, what: str) -> t.ContextManager[None]:
        """Nothing."""
        del what
        return contextlib.nullcontext()

    def done(self) -> None:
        """Nothing."""


class EnvProgress(Progress):
    """Writes one JSON line at most every quarter of a second, and always one where long work begins or ends.

    Work never fails because nobody can be told: when the file cannot be written, telling ends.
    """

    def __init__(self, phase: str, path: str, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._phase = phase
        self._clock = clock
        self._lock = threading.Lock()
        self._next = clock()
        self._bytes = [0, 0]
        self._items = [0, 0]
        self._text = ""
        self._doing: t.List[str] = []
        self._file = _open(path)

    def total(self, size: int, items: int) -> None:
        """So much more is to be done: every call adds."""
        with self._lock:
            self._bytes[1] += size
            self._items[1] += items
            self._tell()

    def add(self, size: int) -> None:
        """So many bytes more are done."""
        with self._lock:
            self._bytes[0] += size
            self._tell()

    def item(self, name: str) -> None:
        """One item more is done."""
        with self._lock:
            self._items[0] += 1
            self._text = name
            self._tell()

    @contextlib.contextmanager
    def doing(self, what: str) -> t.Iterator[None]:
        """Long work for as long as it lasts; of several at once, the one that began first is told."""
        with self._lock:
            self._doing.append(what)
            self._tell_now()
        try:
            yield
        finally:
            with self._lock:
                self._doing.remove(what)
                self._tell_now()

    def done(self) -> None:
        """The last line, and nothing after it."""
        with self._lock:
            self._tell_now()
            self._close()

    def _tell_now(self) -> None:
        self._next = self._clock()
        self._tell()

    def _tell(self) -> None:
        now = self._clock()
        if self._file is None or now < self._next:
            return
        self._next = now + _INTERVAL
        line = {
            "phase": self._phase,
            "done": self._bytes[0],
            "total": self._bytes[1],
            "items_done": self._items[0],
            "items_total": self._items[1],
            "text": self._text,
            "doing": self._doing[0] if self._doing else "",
        }
        try:
            os.write(self._file, json.dumps(line).encode("ascii") + b"\n")
        except OSError:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def from_environment(phase: str) -> Progress:
    """Progress to the file that the environment names, else to nobody."""
    path = os.environ.get(VARIABLE)
    return EnvProgress(phase, path) if path else NullProgress()


def _open(path: str) -> t.Optional[int]:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError:
        return None
