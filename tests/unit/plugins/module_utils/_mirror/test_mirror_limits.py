# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much is asked at once and a second, and leaving alone who does not answer."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import threading

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.limits import (
    LONGEST_REST,
    Breaker,
    Busy,
    Limits,
    Resting,
)
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import Clock

_HOLDER = """
import sys
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.limits import Limits
leave = Limits("x", 2, 0, sys.argv[1]).enter()
print("in", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("shared", [False, True])
def test_so_many_at_once(tmp_path: pathlib.Path, shared: bool) -> None:
    limits = Limits("x", 2, directory=str(tmp_path / "d") if shared else "", longest_wait=0.05)
    first, _second = limits.enter(), limits.enter()
    with pytest.raises(Busy, match="its limits") as caught:
        limits.enter()
    assert (caught.value.status, caught.value.codes) == (429, ("TOOMANYREQUESTS",))
    assert caught.value.retry_after is not None
    first()
    limits.enter()()


def test_one_that_waits_goes_on_when_another_is_done() -> None:
    limits = Limits("x", 1, longest_wait=20)
    leave = limits.enter()
    inside = threading.Event()

    def enter() -> None:
        limits.enter()()
        inside.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not inside.is_set()
    leave()
    thread.join(20)
    assert inside.is_set()


def test_slots_count_over_processes_and_end_with_them(tmp_path: pathlib.Path) -> None:
    directory = str(tmp_path / "slots")
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "in\n"
        here = Limits("x", 2, directory=directory, longest_wait=0.05)
        here.enter()
        with pytest.raises(Busy):
            Limits("x", 2, directory=directory, longest_wait=0.05).enter()
        holder.kill()
        holder.wait(20)
        Limits("x", 2, directory=directory, longest_wait=0.05).enter()()
    finally:
        holder.kill()
        holder.wait(20)
        holder.communicate()


@pytest.mark.parametrize("shared", [False, True])
def test_so_many_a_second(tmp_path: pathlib.Path, shared: bool) -> None:
    clock, waits = Clock(), []

    def sleep(seconds: float) -> None:
        waits.append(round(seconds, 3))
        clock.now += seconds

    def limits() -> Limits:
        return Limits("x", 0, 4.0, str(tmp_path / "d"), clock=clock, sleep=sleep)

    one = limits()
    for _number in range(8):
        (limits() if shared else one).enter()()
    # a second's worth at once, and then evenly
    assert waits == [0.25, 0.25, 0.25]
    clock.now += 100
    one.enter()()
    assert len(waits) == 3


def test_no_turn_is_planned_far_ahead(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    limits = Limits("x", 0, 0.01, str(tmp_path), clock=clock, sleep=lambda _seconds: None)
    limits.enter()()
    for _again in range(3):
        with pytest.raises(Busy) as caught:
            limits.enter()
        assert caught.value.retry_after == pytest.approx(99.0)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"9999999999.0"])
def test_a_turn_that_makes_no_sense_does_not_count(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "turn").write_bytes(content)
    Limits("x", 0, 1.0, str(tmp_path), clock=Clock(), longest_wait=0).enter()()


def test_no_limits() -> None:
    limits = Limits("x")
    for _number in range(100):
        limits.enter()


@pytest.mark.parametrize("shared", [False, True])
def test_who_does_not_answer_is_left_alone(tmp_path: pathlib.Path, shared: bool) -> None:
    clock = Clock()
    breaker = Breaker("x", str(tmp_path / "away" / "x") if shared else "", clock=clock)
    breaker.check()
    breaker.failed()
    breaker.failed()
    assert breaker.is_open
    with pytest.raises(Resting) as caught:
        breaker.check()
    assert caught.value.retry_after == pytest.approx(2.0)
    clock.now += 2.0
    breaker.check()
    with pytest.raises(Resting):
        breaker.check()
    breaker.worked()
    breaker.check()
    assert not breaker.is_open


def test_the_rest_grows_up_to_a_bound() -> None:
    clock, rests = Clock(), []
    breaker = Breaker("x", clock=clock)
    for _number in range(7):
        breaker.check()
        breaker.failed()
        with pytest.raises(Resting) as caught:
            breaker.check()
        rests.append(caught.value.retry_after)
        clock.now += caught.value.retry_after or 0
    assert rests == pytest.approx([2, 4, 8, 16, LONGEST_REST, LONGEST_REST, LONGEST_REST])


def test_one_that_tries_and_never_comes_back_is_followed_by_another() -> None:
    clock = Clock()
    breaker = Breaker("x", clock=clock)
    breaker.failed()
    clock.now += 2
    breaker.check()
    clock.now += 11
    breaker.check()


def test_processes_tell_each_other(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    one, other = (Breaker("x", str(tmp_path / "x"), clock=clock) for _number in range(2))
    one.failed()
    assert other.is_open
    clock.now += 2
    other.check()
    with pytest.raises(Resting):
        one.check()
    other.worked()
    one.check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"[1]", b"{}", b"[1e12, 3]", b"\xff", b'["a", "b"]'])
def test_a_file_that_makes_no_sense_stops_nobody(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    Breaker("x", str(tmp_path / "x"), clock=Clock()).check()


def test_where_nothing_can_be_written_each_finds_out_by_itself(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()
    breaker = Breaker("x", str(tmp_path / "file" / "x"), clock=Clock())
    breaker.failed()
    with pytest.raises(Resting):
        breaker.check()
