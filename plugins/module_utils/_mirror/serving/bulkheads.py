# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Threads apart for what waits, so that whatever comes of it, those that serve what is on disk are never used up.

Private to the collection: may change at any time.

There is a bulkhead for each kind of waiting: so many threads, and a queue before them in which requests stand that hold
none. Of both, nobody gets more than a part as long as others could want them: a slow upstream leaves threads for other
upstreams, a client that guesses passwords leaves room for others.
"""

from __future__ import annotations

import logging
import threading
import typing as t
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import (
    LOGIN,
    UPSTREAM,
    WRITE,
    WouldBlock,
)

QUEUE_SECONDS = 30.0
LOGINS = 2
"""Passwords that are hashed at once: that takes a processor."""

_LOGIN_QUEUE = 16
_RETRY_AFTER = "5"
_BUSY = {
    UPSTREAM: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", "too many requests wait for upstreams already"),
    LOGIN: (HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "too many logins"),
    WRITE: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", "too many uploads at once"),
}

Job = t.Callable[[], None]


@dataclass(frozen=True)
class Ticket:
    """A request that wants a thread: ``run`` it there, or ``give_up`` when there was none in time."""

    run: Job
    give_up: Job
    until: float


class Bulkhead:
    """So many threads, of which each key gets at most ``share``, and room for so many tickets in the queue.

    Keys take turns. Threads are made when they are needed, and end when nothing is left for them.
    """

    def __init__(self, name: str, threads: int, share: int, queue: int, log: logging.Logger) -> None:
        self._name = name
        self._threads = threads
        self._share = share
        self._queue = queue
        self._log = log
        self._lock = threading.Lock()
        self._running: t.Counter[str] = Counter()
        self._busy = 0
        self._waiting: OrderedDict[str, t.Deque[Ticket]] = OrderedDict()
        self._ended = False

    def is_free(self, key: str) -> bool:
        """Whether there is a thread for this key now."""
        return self._busy < self._threads and self._running[key] < self._share

    def admits(self, key: str) -> bool:
        """Whether there is a thread for this key, or room in the queue; nobody has more than half of that."""
        if self.is_free(key):
            return True
        with self._lock:
            waiting = len(self._waiting.get(key, ()))
            return waiting < max(1, self._queue // 2) and sum(map(len, self._waiting.values())) < self._queue

    def submit(self, key: str, ticket: Ticket, urgent: bool = False) -> None:
        """Have it run as soon as there is a thread; what is urgent is given up where there is none at once."""
        with self._lock:
            starts = self.is_free(key)
            if starts:
                self._take(key)
            elif not urgent:
                self._waiting.setdefault(key, deque()).append(ticket)
        if starts:
            self._start(key, ticket)
        elif urgent:
            ticket.give_up()

    def expired(self, now: float) -> t.List[Ticket]:
        """The tickets whose time is over; they are in the queue no more."""
        found: t.List[Ticket] = []
        with self._lock:
            for key, tickets in list(self._waiting.items()):
                while tickets and tickets[0].until <= now:
                    found.append(tickets.popleft())
                if not tickets:
                    del self._waiting[key]
        return found

    def end(self) -> None:
        """Begin nothing more; waits for none."""
        self._ended = True

    def _start(self, key: str, ticket: Ticket) -> None:
        try:
            threading.Thread(target=self._work, args=(key, ticket), name=self._name, daemon=True).start()
        except RuntimeError as error:
            self._log.error("there is no thread for what waits for %s: %s", self._name, error)
            with self._lock:
                self._leave(key)
            ticket.give_up()

    def _work(self, key: str, ticket: Ticket) -> None:
        found: t.Optional[t.Tuple[str, Ticket]] = (key, ticket)
        while found is not None:
            key, ticket = found
            try:
                ticket.run()
            except Exception:
                self._log.exception("a thread of the server failed")
            with self._lock:
                self._leave(key)
                found = self._next()

    def _take(self, key: str) -> None:
        self._busy += 1
        self._running[key] += 1

    def _leave(self, key: str) -> None:
        self._busy -= 1
        self._running[key] -= 1
        if not self._running[key]:
            del self._running[key]

    def _next(self) -> t.Optional[t.Tuple[str, Ticket]]:
        """The ticket whose turn it is; its key goes to the end of the line."""
        key = next((key for key in self._waiting if self.is_free(key)), None)
        if key is None or self._ended:
            return None
        tickets = self._waiting.pop(key)
        ticket = tickets.popleft()
        if tickets:
            self._waiting[key] = tickets
        self._take(key)
        return key, ticket


class Bulkheads:
    """One for each kind of waiting, for a server that has ``threads`` for what does not wait."""

    def __init__(self, threads: int, log: logging.Logger) -> None:
        half = max(1, threads // 2)
        self._by_kind = {
            UPSTREAM: Bulkhead(UPSTREAM, threads, half, 16 * threads, log),
            WRITE: Bulkhead(WRITE, half, max(1, half // 2), 2 * threads, log),
            LOGIN: Bulkhead(LOGIN, LOGINS, LOGINS, max(_LOGIN_QUEUE, threads), log),
        }

    def of(self, kind: str) -> Bulkhead:
        """Where this kind of waiting goes on."""
        return self._by_kind[kind]

    def expired(self, now: float) -> t.List[Ticket]:
        """The tickets of all that have waited for too long."""
        return [ticket for bulkhead in self._by_kind.values() for ticket in bulkhead.expired(now)]

    def end(self) -> None:
        """Begin nothing more."""
        for bulkhead in self._by_kind.values():
            bulkhead.end()


class Permit:
    """What a request may wait for in the thread that runs it: for one kind of thing in that bulkhead, else for nothing.

    With a ``late`` one it is not sent elsewhere either: it has waited for its turn in vain. It is a blocking.Blocking.
    """

    def __init__(self, bulkheads: Bulkheads, kind: str = "", late: bool = False) -> None:
        self._bulkheads = bulkheads
        self._kind = kind
        self._late = late

    def enter(self, kind: str, key: str) -> None:
        """Return where this thread may wait. Raises WouldBlock where another one may, Refused where too many wait."""
        if kind != self._kind:
            self._leave_for(kind, key)

    def enter_if_free(self, kind: str, key: str) -> bool:
        """Whether this thread may wait; if not, no other one is free either. Raises WouldBlock where one is."""
        if kind == self._kind:
            return True
        if not self._late and self._bulkheads.of(kind).is_free(key):
            raise WouldBlock(kind, key, urgent=True)
        return False

    def _leave_for(self, kind: str, key: str) -> t.NoReturn:
        if self._late or not self._bulkheads.of(kind).admits(key):
            status, code, what = _BUSY[kind]
            raise Refused(status, code, what, headers=[("Retry-After", _RETRY_AFTER)])
        raise WouldBlock(kind, key, urgent=False)
