# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the main process does about workers that hang, by a clock that is set by hand."""

from __future__ import annotations

import logging
import os
import signal
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving import main_process
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.main_process import FORMER, Main
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.worker import Worker
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config

FORMER_PIDS = [7, 8]


class Clock:
    def __init__(self) -> None:
        self.now = time.monotonic()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


class Office:
    """A main process that has forked nothing: what it would send is in ``sent``, its children are ``living``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: t.List[t.Tuple[int, int]] = []
        self.living = {*FORMER_PIDS, 1, 2}
        monkeypatch.setattr(main_process, "_is_child", lambda pid: pid in self.living)
        monkeypatch.setattr(os, "kill", lambda pid, number: self.sent.append((pid, number)))
        monkeypatch.setattr(Arbiter, "setup", lambda main, _app: setattr(main, "cfg", Config()))
        monkeypatch.setenv(FORMER, " ".join(map(str, FORMER_PIDS)))
        self.main: t.Any = Main(None)
        self.main.timeout, self.main.num_workers = 30, 1
        self.main.log = logging.getLogger("test.main")
        self.main.WORKERS = {}
        monkeypatch.setattr(Arbiter, "manage_workers", lambda _main: None)

    def worker(self, pid: int) -> t.Any:
        """A worker as the main process makes it, before it has run at all."""
        made: t.Any = Worker(pid, os.getpid(), [], None, 15.0, Config(), self.main.log)
        self.main.WORKERS[pid] = made
        return made


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> t.Iterator[Office]:
    made = Office(monkeypatch)
    yield made
    for worker in made.main.WORKERS.values():
        worker.tmp.close()


def test_a_worker_that_hangs_before_it_serves_is_killed(office: Office, clock: Clock) -> None:
    office.worker(1)
    clock.now += 29
    office.main.murder_workers()
    assert office.sent == []
    clock.now += 2
    office.main.murder_workers()
    office.main.murder_workers()
    assert office.sent == [(1, signal.SIGABRT), (1, signal.SIGKILL)]


def test_a_worker_that_lives_is_left(office: Office, clock: Clock) -> None:
    worker = office.worker(1)
    for _second in range(100):
        clock.now += 1
        worker.notify()
        office.main.murder_workers()
    assert office.sent == []


def test_workers_of_before_a_reload_stay_until_all_new_ones_serve(office: Office, clock: Clock) -> None:
    office.main.num_workers = 2
    first = office.worker(1)
    clock.now += 1
    first.notify()
    office.main.manage_workers()
    second = office.worker(2)
    for _turn in range(5):
        clock.now += 1
        first.notify()
        office.main.manage_workers()
    assert office.sent == []
    second.notify()
    office.main.manage_workers()
    office.main.manage_workers()
    assert office.sent == [(pid, signal.SIGTERM) for pid in FORMER_PIDS]


def test_workers_of_before_a_reload_that_do_not_end_are_killed(office: Office, clock: Clock) -> None:
    worker = office.worker(1)
    clock.now += 1
    worker.notify()
    office.main.manage_workers()
    office.living.discard(7)
    clock.now += office.main.cfg.graceful_timeout - 1
    office.main.manage_workers()
    assert office.sent == [(pid, signal.SIGTERM) for pid in FORMER_PIDS]
    clock.now += 10
    office.main.manage_workers()
    assert office.sent[2:] == [(8, signal.SIGKILL)]
    office.living.clear()
    office.main.manage_workers()
    office.main.manage_workers()
    assert len(office.sent) == 3
