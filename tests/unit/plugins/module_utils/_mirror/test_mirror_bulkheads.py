# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Threads apart for what waits, and the queue before them."""

from __future__ import annotations

import logging
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import (
    LOGIN,
    UPSTREAM,
    WRITE,
    WouldBlock,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving import bulkheads as module
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.bulkheads import (
    Bulkhead,
    Bulkheads,
    Permit,
    Ticket,
)
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.looping import wait_until

LIMIT = 30
LOG = logging.getLogger("test.bulkheads")
NEVER = float("inf")


class Room:
    """A bulkhead whose work waits until it is let go; tells in which order it began."""

    def __init__(self, threads: int, share: int, queue: int) -> None:
        self.bulkhead = Bulkhead("test", threads, share, queue, LOG)
        self.begun: t.List[str] = []
        self.given_up: t.List[str] = []
        self._changed = threading.Condition()
        self._let_go = 0

    def submit(self, name: str, until: float = NEVER, urgent: bool = False) -> None:
        """Work by a name whose first letter is its key."""
        ticket = Ticket(lambda: self._work(name), lambda: self.given_up.append(name), until)
        self.bulkhead.submit(name[0], ticket, urgent)

    def _work(self, name: str) -> None:
        with self._changed:
            self.begun.append(name)
            turn = len(self.begun)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self._let_go >= turn, LIMIT)

    def await_begun(self, count: int) -> t.List[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= count, LIMIT)
            return list(self.begun)

    def let_go(self, count: int = 1) -> None:
        """The oldest that run end."""
        with self._changed:
            self._let_go += count
            self._changed.notify_all()


@pytest.fixture
def room() -> t.Iterator[Room]:
    made = Room(threads=4, share=2, queue=6)
    yield made
    made.let_go(1000)


def test_each_key_gets_its_share_of_the_threads(room: Room) -> None:
    for name in ("a1", "a2", "a3", "b1"):
        room.submit(name)
    assert sorted(room.await_begun(3)) == ["a1", "a2", "b1"]
    assert (room.bulkhead.is_free("a"), room.bulkhead.is_free("b")) == (False, True)


def test_keys_take_turns(room: Room) -> None:
    for name in ("a1", "a2", "b1", "b2"):
        room.submit(name)
    room.await_begun(4)
    for name in ("a3", "a4", "b3", "c1"):
        room.submit(name)
    room.let_go(4)
    assert sorted(room.await_begun(8)[4:7]) == ["a3", "b3", "c1"]


def test_who_may_stand_in_the_queue(room: Room) -> None:
    """It has room for six; half of that for one key."""
    for name in ("a1", "a2", "b1", "b2", "a3", "a4"):
        room.submit(name)
    assert room.bulkhead.admits("a")
    room.submit("a5")
    assert (room.bulkhead.admits("a"), room.bulkhead.admits("b")) == (False, True)
    for name in ("b3", "b4", "c1"):
        room.submit(name)
    assert not room.bulkhead.admits("d")


def test_what_is_urgent_does_not_stand_in_the_queue(room: Room) -> None:
    for name in ("a1", "a2"):
        room.submit(name, urgent=True)
    room.submit("a3", urgent=True)
    assert (sorted(room.await_begun(2)), room.given_up) == (["a1", "a2"], ["a3"])


def test_what_waits_for_too_long_is_told(room: Room) -> None:
    for name in ("a1", "a2"):
        room.submit(name)
    room.submit("a3", until=100.0)
    room.submit("a4", until=200.0)
    assert room.bulkhead.expired(99.0) == []
    (ticket,) = room.bulkhead.expired(100.0)
    ticket.give_up()
    assert room.given_up == ["a3"]
    room.let_go(2)
    assert room.await_begun(3)[2:] == ["a4"]
    assert room.bulkhead.expired(1000.0) == []


def test_a_failure_ends_nothing(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise LookupError("broken work")

    for _number in range(9):
        room.bulkhead.submit("a", Ticket(fail, fail, NEVER))
    room.submit("a1")
    room.await_begun(1)
    assert caplog.text.count("broken work") >= 9


def test_without_a_thread_the_request_is_given_up(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_thread: threading.Thread) -> t.NoReturn:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", start)
        for name in ("a1", "a2", "a3"):
            room.submit(name)
    assert room.given_up == ["a1", "a2", "a3"]
    assert "can't start new thread" in caplog.text
    room.submit("a4")
    assert room.await_begun(1) == ["a4"]


def test_at_the_end_nothing_more_begins(room: Room) -> None:
    for name in ("a1", "a2", "a3"):
        room.submit(name)
    room.await_begun(2)
    room.bulkhead.end()
    room.let_go(2)
    assert wait_until(lambda: room.bulkhead._busy == 0)
    assert sorted(room.begun) == ["a1", "a2"]


def waiting_for(over: threading.Event) -> Ticket:
    def wait() -> None:
        over.wait(LIMIT)

    return Ticket(wait, lambda: None, NEVER)


@pytest.mark.parametrize("threads", [1, 2, 64])
@pytest.mark.parametrize("kind", [UPSTREAM, LOGIN, WRITE])
def test_every_kind_has_a_thread_and_a_queue(threads: int, kind: str) -> None:
    bulkhead = Bulkheads(threads, LOG).of(kind)
    assert bulkhead.is_free("a")
    over = threading.Event()
    for _number in range(threads):
        bulkhead.submit("a", waiting_for(over))
    assert bulkhead.admits("b")
    over.set()


@pytest.mark.parametrize(("kind", "status"), [(UPSTREAM, 503), (LOGIN, 429), (WRITE, 503)])
def test_where_requests_are_sent(kind: str, status: int) -> None:
    bulkheads = Bulkheads(1, LOG)
    serving, within, late = Permit(bulkheads), Permit(bulkheads, kind), Permit(bulkheads, late=True)
    with pytest.raises(WouldBlock) as caught:
        serving.enter(kind, "a")
    assert (caught.value.kind, caught.value.key, caught.value.urgent) == (kind, "a", False)
    with pytest.raises(WouldBlock) as caught:
        serving.enter_if_free(kind, "a")
    assert caught.value.urgent
    within.enter(kind, "a")
    assert within.enter_if_free(kind, "a")
    assert not late.enter_if_free(kind, "a")
    with pytest.raises(Refused) as told:
        late.enter(kind, "a")
    assert told.value.status == status
    assert "Retry-After" in dict(told.value.headers)


def test_who_finds_everything_full_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bulkheads = Bulkheads(1, LOG)
    over = threading.Event()
    ticket = waiting_for(over)
    serving = Permit(bulkheads)
    for _number in range(1000):
        try:
            serving.enter(UPSTREAM, "a")
        except WouldBlock as blocked:
            bulkheads.of(blocked.kind).submit(blocked.key, ticket)
        except Refused as refused:
            assert refused.status == 503
            break
    else:
        raise AssertionError("there is no end to the queue")
    assert not serving.enter_if_free(UPSTREAM, "a")
    with pytest.raises(WouldBlock):
        serving.enter(LOGIN, "a")
    over.set()


def test_the_queue_does_not_outlast_a_clients_patience() -> None:
    assert module.QUEUE_SECONDS <= 30
