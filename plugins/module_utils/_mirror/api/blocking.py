# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where an answer may wait: for upstreams, for the hash of a password, for a client that sends or a disk that writes.

Private to the collection: may change at any time.

What is on disk is answered by threads that never wait. Whoever is about to wait says so first, and for what: where the
thread may not, the request is made again in one that may. A server that has a thread for each request lets all wait.
"""

from __future__ import annotations

import typing as t

UPSTREAM = "upstream"
LOGIN = "login"
WRITE = "write"

BLOCKING_KEY = "sealer.blocking"
"""Where in the WSGI environment a server says who may wait; without it, all may."""


class WouldBlock(Exception):
    """The request has to be made again, in a thread that may wait for this kind of thing.

    ``key`` tells those apart who wait for different things: none of them gets all the threads. ``urgent``: the request
    can be answered in another way where no such thread is free at once.
    """

    def __init__(self, kind: str, key: str, urgent: bool) -> None:
        super().__init__(kind)
        self.kind = kind
        self.key = key
        self.urgent = urgent


class Blocking(t.Protocol):
    """Says whether the thread that runs a request may wait."""

    def enter(self, kind: str, key: str) -> None:
        """Return where this thread may wait. Raises WouldBlock where another one may, Refused where too many wait."""

    def enter_if_free(self, kind: str, key: str) -> bool:
        """Whether this thread may wait; if not, no other one is free either. Raises WouldBlock where one is."""


class Anywhere:
    """All threads may wait for everything."""

    def enter(self, kind: str, key: str) -> None:
        """At once."""

    def enter_if_free(self, kind: str, key: str) -> bool:
        """Always."""
        return bool(kind or key)


ANYWHERE = Anywhere()
