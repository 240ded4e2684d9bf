# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Threads of which one waits for events and handles them itself; when one takes long, another thread goes on waiting.

So what is quick, which is nearly everything, is never handed from thread to thread, and what is slow holds up nothing
else for longer than a few milliseconds.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import logging
import threading
import time
import typing as t
from collections import deque

LONG = 0.004
"""Seconds after which an event counts as slow."""

Job = t.Callable[[], None]


class Lead:
    """One thread's time as the leader."""

    __slots__ = ("busy_since",)

    def __init__(self) -> None:
        self.busy_since = 0.0
        """When the event that is being handled began; zero while waiting."""


class Crew:
    """As many threads as are needed, up to a limit. One leads: it calls ``step`` again and again."""

    def __init__(self, step: t.Callable[[Lead], None], most: int, log: logging.Logger) -> None:
        self._step = step
        self._most = most
        self._log = log
        self._changed = threading.Condition(threading.Lock())
        self._jobs: t.Deque[Job] = deque()
        self._lead: t.Optional[Lead] = None
        self._idle = 0
        self._threads = 0
        self._ended = False

    def start(self) -> None:
        """Begin."""
        with self._changed:
            self._call_one()

    def end(self) -> None:
        """Let the threads end after what they are at; waits for none."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def spare(self) -> bool:
        """Whether there would be a leader if the leader were gone for long."""
        return self._threads < self._most or self._idle > len(self._jobs)

    def submit(self, job: Job) -> None:
        """Have this done by the first thread that is free and need not lead."""
        with self._changed:
            self._jobs.append(job)
            self._call_one()

    def watch(self) -> bool:
        """Replace a leader who is at one event for too long; to be called every few milliseconds.

        Tells whether there is anything to watch.
        """
        lead = self._lead
        since = lead.busy_since if lead is not None else 0.0
        if lead is None or not since:
            return False
        if time.monotonic() - since > LONG:
            with self._changed:
                if self._lead is lead and lead.busy_since == since:
                    self._vacate()
        return True

    def _vacate(self) -> None:
        if self.spare:
            self._lead = None
            self._call_one()

    def _call_one(self) -> None:
        needed = len(self._jobs) + (self._lead is None)
        if self._idle < needed and self._threads < self._most:
            self._threads += 1
            threading.Thread(target=self._run, name=f"crew-{self._threads}", daemon=True).start()
        else:
            self._changed.notify()

    def _run(self) -> None:
        while not self._ended:
            work = self._next()
            if isinstance(work, Lead):
                while self._lead is work and not self._ended:
                    self._guarded(self._step, work)
            elif work is not None:
                self._guarded(work)

    def _next(self) -> t.Union[Lead, Job, None]:
        with self._changed:
            while not self._ended:
                if self._lead is None:
                    self._lead = Lead()
                    return self._lead
                if self._jobs:
                    return self._jobs.popleft()
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
        return None

    def _guarded(self, work: t.Callable[..., None], *arguments: Lead) -> None:
        try:
            work(*arguments)
        except Exception:
            self._log.exception("a thread of the server failed")
