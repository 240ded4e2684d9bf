# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the mirror's processes share clients: who has more than another leaves him the next one, for a moment.

All processes wait for clients at the same socket. Left alone, whoever is awake first takes all that come at once, and
a node's few connections keep one processor busy while the others idle.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import mmap
import struct
import time
import typing as t

SECONDS = 0.002
"""For how long a process that has enough leaves new clients to others."""

_PLACES = 256
_FRESH_SECONDS = 3.0
_GRANT_SECONDS = 0.05
_ENTRY = struct.Struct("=dQ")


class Share:
    """Made before the processes are; each then enters, and tells at least once a second how many clients it has."""

    def __init__(self) -> None:
        self._board = mmap.mmap(-1, _PLACES * _ENTRY.size)
        self._place = 0
        self._granted = 0
        self._granted_until = 0.0

    def enter(self, number: int) -> None:
        """This is the process of this number."""
        self._place = number % _PLACES

    def tell(self, clients: int) -> None:
        """So many clients are here."""
        _ENTRY.pack_into(self._board, self._place * _ENTRY.size, time.monotonic(), clients)

    def leave(self) -> None:
        """This process takes no clients any more."""
        _ENTRY.pack_into(self._board, self._place * _ENTRY.size, 0.0, 0)

    def may_take(self, clients: int) -> bool:
        """Whether to take a client now, with so many here; if not, ask again after a moment.

        Where the others have not taken it by then they are busy: some are granted.
        """
        now = time.monotonic()
        least = min(self._others(now), default=clients)
        if clients <= least + least // 8:
            return True
        if now < self._granted_until and self._granted:
            self._granted -= 1
            return True
        self._granted, self._granted_until = max(1, clients // 4), now + _GRANT_SECONDS
        return False

    def _others(self, now: float) -> t.Iterator[int]:
        for place, (told, clients) in enumerate(_ENTRY.iter_unpack(self._board)):
            if told > now - _FRESH_SECONDS and place != self._place:
                yield clients
