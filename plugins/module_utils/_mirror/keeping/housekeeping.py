# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeping a store in order while it is served: bounds, leftovers, scrubs. One process of all that serve it does so.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.eviction import Evictor
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.scrub import Scrub
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import FILE_MODE, make_directories
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PULLED, PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_check import remove_leftovers

ELECTION_SECONDS = 10.0
BOUNDS_SECONDS = 60.0
LEFTOVER_SECONDS = 3600.0
SCRUB_BYTES_A_SECOND = 8 * 1024 * 1024

_IDLE_SECONDS = 5.0
_LOCK = ".housekeeper.lock"


class Chore:
    """Something to be done now and then."""

    def __init__(self, name: str, seconds: float, action: t.Callable[[], object]) -> None:
        self.name = name
        self._seconds = seconds
        self._action = action
        self._due = float("-inf")

    def do_if_due(self, now: float) -> None:
        """Do it, unless it was done lately."""
        if now >= self._due:
            self._due = now + self._seconds
            self._action()


class Housekeeper:
    """A thread that waits to be elected, and then keeps order until it is told to stop."""

    def __init__(self, store: str, chores: t.Sequence[Chore], scrub: Scrub, log: logging.Logger) -> None:
        self._lock = os.path.join(store, PULLED, _LOCK)
        self._chores = chores
        self._scrub = scrub
        self._pieces: t.Optional[t.Iterator[int]] = None
        self._log = log
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float = 5.0) -> None:
        """End, and let another process do it."""
        self._stopped.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                handle = self._elected()
            except OSError as error:
                self._log.warning("the store is not kept in order by this service: %s: %s", self._lock, error.strerror)
                return
            if handle is None:
                self._stopped.wait(ELECTION_SECONDS)
                continue
            try:
                while not self._stopped.wait(self._keep_order()):
                    pass
            finally:
                os.close(handle)

    def _elected(self) -> t.Optional[int]:
        """The lock's file, when nobody else holds it."""
        make_directories(os.path.dirname(self._lock))
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def _keep_order(self) -> float:
        """Do what is due; gives the seconds until more may be."""
        for chore in self._chores:
            try:
                chore.do_if_due(time.monotonic())
            except (SealerError, OSError) as error:
                self._log.error("%s: %s", chore.name, error)
        try:
            return self._scrub_on()
        except (SealerError, OSError) as error:
            self._pieces = None
            self._log.error("hashing what is stored: %s", error)
            return BOUNDS_SECONDS

    def _scrub_on(self) -> float:
        if self._pieces is None and self._scrub.is_due():
            self._pieces = self._scrub.go_on()
        cost = next(self._pieces, None) if self._pieces is not None else None
        if cost is None:
            self._pieces = None
            return _IDLE_SECONDS
        return cost / SCRUB_BYTES_A_SECOND


def start(
    config: Config,
    layout: Layout,
    records: PulledRecords,
    metrics: Counts,
    log: logging.Logger,
    more: t.Sequence[Chore] = (),
) -> Housekeeper:
    """Begin in this process; one of all that serve the store is elected."""
    evictor = evictor_of(config, layout, records, metrics)
    chores = [
        Chore("keeping room", BOUNDS_SECONDS, evictor.keep_bounds),
        Chore("removing leftovers", LEFTOVER_SECONDS, lambda: remove_leftovers(layout)),
        Chore("forgetting records", LEFTOVER_SECONDS, records.drop_hollow),
        *more,
    ]
    keeper = Housekeeper(layout.path, chores, Scrub(layout, records, metrics, log, config.scrub_days), log)
    keeper.start()
    return keeper


def evictor_of(config: Config, layout: Layout, records: PulledRecords, metrics: Counts) -> Evictor:
    """What keeps the bounds of the configuration; fetches want one, too."""
    return Evictor(layout, records, metrics, cache_size=config.cache_size, keep_free=config.keep_free)
