# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dropping what was pulled through and not used for longest, so that the disk does not fill up.

Private to the collection: may change at any time.

What a name reaches, or a push keeps, is pinned. Nobody names anything while a few blobs are dropped, and a blob is
dropped only under its own lock: who writes or adopts it just now keeps it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts, NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import os_errors
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import INDEX, Layout, Pruned
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import Pulled, PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_check import pinned

FUTURE_SECONDS = 60.0

_BATCH = 64
_COUNT_SECONDS = 1.0
_COUNT_SHARE = 20.0
_SPARE = 20

_Signature = t.Tuple[int, int, int]


@dataclass(frozen=True)
class _Goal:
    """What is to go: so many bytes, and whatever was used last before a moment."""

    bytes_to_free: int = 0
    before: float = float("-inf")

    def takes(self, used: float, freed: int) -> bool:
        return freed < self.bytes_to_free or used < self.before


class Evictor:
    """Keeps what was pulled through below ``cache_size`` (0: any size), and ``keep_free`` bytes of the disk free."""

    def __init__(
        self,
        layout: Layout,
        records: PulledRecords,
        metrics: t.Optional[Counts] = None,
        *,
        cache_size: int = 0,
        keep_free: int = 0,
    ) -> None:
        self._layout = layout
        self._records = records
        self._metrics = metrics or NoCounts()
        self._cache_size = cache_size
        self._keep_free = keep_free
        self._lock = threading.Lock()
        self._pins: t.Tuple[t.Optional[_Signature], t.Set[Digest]] = (None, set())
        self._count_at = float("-inf")
        self._counted = 0

    def make(self, size: int, spare: int = 0) -> bool:
        """Drop what was not used for longest until so much fits, and some to spare where any has to go.

        Answers whether the disk has room for it.
        """
        with self._lock:
            lacking = self._lacking(size)
            if lacking > 0:
                lacking += spare
                self._evict(self._entries(), _Goal(bytes_to_free=lacking))
            self._counted += size
            return self._free() - self._keep_free >= size

    def keep_bounds(self) -> None:
        """The same for what is there already; and repair the times of use after the clock has jumped."""
        with self._lock:
            now, entries = time.time(), self._entries()
            for entry in entries:
                if entry.used > now + FUTURE_SECONDS:
                    self._records.set_used(entry.digest, now)
            self._metrics.cached(len(entries), self._counted)
            lacking = self._lacking(0)
            if lacking > 0:
                self._evict(entries, _Goal(bytes_to_free=lacking))

    def evict(
        self,
        *,
        bytes_to_free: int = 0,
        older_than: t.Optional[float] = None,
        everything: bool = False,
        dry_run: bool = False,
    ) -> t.List[Pruned]:
        """Drop so many bytes, what was not used for longest first; what was not used for so many seconds; or all."""
        before = float("inf") if everything else float("-inf") if older_than is None else time.time() - older_than
        with self._lock:
            return self._evict(self._entries(), _Goal(bytes_to_free, before), dry_run)

    def _lacking(self, size: int) -> int:
        """How many bytes have to go before so many more fit; a little more, where the cache is full."""
        lacking = size + self._keep_free - self._free()
        if self._cache_size:
            over = self._used() + size - self._cache_size
            if over > 0:
                lacking = max(lacking, over + self._cache_size // _SPARE)
        return lacking

    def _free(self) -> int:
        with os_errors("cannot tell how full the disk is", self._layout.path):
            found = os.statvfs(self._layout.path)
        return found.f_bavail * found.f_frsize

    def _used(self) -> int:
        """What others added is counted now and then: seldom, where that takes long."""
        if time.monotonic() >= self._count_at:
            self._entries()
        return self._counted

    def _entries(self) -> t.List[Pulled]:
        """What was pulled through and is here, what was not used for longest first."""
        now, began = time.time(), time.monotonic()
        entries = []
        for entry in self._records.entries():
            with contextlib.suppress(FileNotFoundError):
                entries.append(replace(entry, size=os.stat(self._layout.blob_path(entry.digest)).st_size))
        self._counted = sum(entry.size for entry in entries)
        ended = time.monotonic()
        self._count_at = ended + max(_COUNT_SECONDS, _COUNT_SHARE * (ended - began))
        return sorted(entries, key=lambda entry: (min(entry.used, now), entry.used, entry.digest))

    def _evict(self, entries: t.Sequence[Pulled], goal: _Goal, dry_run: bool = False) -> t.List[Pruned]:
        result: t.List[Pruned] = []
        freed = 0
        for start in range(0, len(entries), _BATCH):
            if not goal.takes(entries[start].used, freed):
                break
            with self._layout.names_held():
                pins = self._pinned()
                for entry in entries[start : start + _BATCH]:
                    if entry.digest in pins or not goal.takes(entry.used, freed):
                        continue
                    size = entry.size if dry_run else self._drop(entry)
                    if size is not None:
                        freed += size
                        result.append(Pruned(entry.digest, size))
        return result

    def _drop(self, entry: Pulled) -> t.Optional[int]:
        size = self._records.evict(entry)
        if size is not None:
            self._metrics.evicted(size)
            self._counted -= size
        return size

    def _pinned(self) -> t.Set[Digest]:
        """What may not go; read again when a name was given or taken away."""
        found = os.stat(os.path.join(self._layout.path, INDEX))
        signature = (found.st_mtime_ns, found.st_size, found.st_ino)
        if signature != self._pins[0]:
            self._pins = (signature, pinned(self._layout))
        return self._pins[1]


def prune(
    layout: Layout,
    *,
    bytes_to_free: int = 0,
    older_than: t.Optional[float] = None,
    all_unpinned: bool = False,
    dry_run: bool = False,
) -> t.List[Pruned]:
    """Drop of what was pulled through and nothing names, while services go on serving; see Evictor.evict."""
    evictor = Evictor(layout, PulledRecords(layout))
    return evictor.evict(bytes_to_free=bytes_to_free, older_than=older_than, everything=all_unpinned, dry_run=dry_run)
