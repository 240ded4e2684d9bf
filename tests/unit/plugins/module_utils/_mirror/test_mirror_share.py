# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes leave the next client to the one that has the fewest."""

from __future__ import annotations

import copy
import itertools
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.share import Share
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.looping import Host


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made.monotonic)
    return made


def processes(*clients: int) -> t.List[Share]:
    """Processes with so many clients each, as forks have them: all write on one board."""
    board = Share()
    made = [copy.copy(board) for _one in clients]
    for number, (share, count) in enumerate(zip(made, clients), 1):
        share.enter(number)
        share.tell(count)
    return made


@pytest.mark.parametrize(
    ("mine", "others", "takes"),
    [
        (0, [0], True),
        (3, [3, 3], True),
        (1, [0], False),
        (4, [9, 3], False),
        (3, [9, 4], True),
        (9, [8], True),
        (10, [8], False),
        (5, [], True),
    ],
)
def test_who_has_the_fewest_takes(clock: Clock, mine: int, others: t.List[int], takes: bool) -> None:
    share = processes(mine, *others)[0]
    assert share.may_take(mine) is takes


def test_what_others_do_not_take_is_taken_after_all(clock: Clock) -> None:
    share = processes(8, 0)[0]
    assert [share.may_take(8) for _time in range(4)] == [False, True, True, False]


def test_leave_to_take_more_ends(clock: Clock) -> None:
    share = processes(8, 0)[0]
    assert not share.may_take(8)
    clock.now += 1
    assert not share.may_take(8)


def test_who_was_not_heard_of_for_long_is_not_waited_for(clock: Clock) -> None:
    share, _ended = processes(8, 0)
    clock.now += 10
    assert share.may_take(8)


def test_who_has_left_is_not_waited_for(clock: Clock) -> None:
    share, left = processes(8, 0)
    left.leave()
    assert share.may_take(8)


class Refusing(Share):
    """Lets the first client wait for a few turns."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns
        self.told: t.List[int] = []

    def tell(self, clients: int) -> None:
        self.told.append(clients)

    def may_take(self, clients: int) -> bool:
        self.turns -= 1
        return self.turns < 0


def test_a_client_that_is_left_to_others_and_not_taken_is_served() -> None:
    share = Refusing(3)
    host = Host(share=share)
    try:
        assert host.served.get("/path") == b"/path"
    finally:
        host.close()
    assert share.turns == -1
    assert [count for count, _again in itertools.groupby(share.told)][:2] == [0, 1]
