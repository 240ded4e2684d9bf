# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Threads that take over from one another."""

from __future__ import annotations

import logging
import threading
import time
import typing as t
from collections import deque

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.crew import Crew, Lead

LIMIT = 30


class Desk:
    """Work for a crew: callables that the leader takes one by one."""

    def __init__(self, most: int) -> None:
        self.waiting: t.Deque[t.Callable[[], None]] = deque()
        self.changed = threading.Condition()
        self.crew = Crew(self.step, most, logging.getLogger("test"))
        self.crew.start()

    def step(self, lead: Lead) -> None:
        lead.busy_since = 0.0
        with self.changed:
            if not self.changed.wait_for(lambda: bool(self.waiting), 0.01):
                return
            work = self.waiting.popleft()
        lead.busy_since = time.monotonic()
        work()

    def give(self, work: t.Callable[[], None]) -> None:
        with self.changed:
            self.waiting.append(work)
            self.changed.notify()

    def watch_until(self, over: threading.Event) -> bool:
        end = time.monotonic() + LIMIT
        while not over.wait(0.002) and time.monotonic() < end:
            self.crew.watch()
        return over.is_set()


@pytest.fixture
def desk() -> t.Iterator[Desk]:
    made = Desk(3)
    yield made
    made.crew.end()


def test_quick_work_stays_with_one_thread(desk: Desk) -> None:
    seen: t.Set[int] = set()
    done = threading.Event()
    for _number in range(50):
        desk.give(lambda: seen.add(threading.get_ident()))
    desk.give(done.set)
    assert done.wait(LIMIT)
    assert len(seen) == 1


def test_slow_work_does_not_hold_up_the_rest(desk: Desk) -> None:
    release, done = threading.Event(), threading.Event()

    def wait() -> None:
        release.wait(LIMIT)

    desk.give(wait)
    desk.give(done.set)
    assert desk.watch_until(done)
    release.set()


def test_the_last_thread_leads(desk: Desk) -> None:
    release, done = threading.Event(), threading.Event()
    started = threading.Semaphore(0)

    def work() -> None:
        started.release()
        release.wait(LIMIT)

    for _number in range(2):
        desk.crew.submit(work)
        assert started.acquire(timeout=LIMIT)
    assert not desk.crew.spare
    desk.crew.submit(done.set)
    led = threading.Event()
    desk.give(led.set)
    assert led.wait(LIMIT)
    assert not done.is_set()
    release.set()
    assert done.wait(LIMIT)


def test_a_failure_ends_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def fail() -> None:
        raise LookupError("broken work")

    desk.give(fail)
    desk.crew.submit(fail)
    desk.give(done.set)
    assert done.wait(LIMIT)
    assert "broken work" in caplog.text
