# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import json
import os
import pathlib
import subprocess

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.lease import (
    REPLACED,
    Holder,
    Lease,
    release_command,
    renew_command,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError


def holder(identity: str) -> Holder:
    return Holder(identity, "alice", "laptop", "b007", 4711, "17", "2026-11-30T12:03:04Z")


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "run" / "lease"


def test_one_has_it_and_all_others_are_told_who(directory: pathlib.Path) -> None:
    lease = Lease(str(directory))
    assert lease.acquire(holder("a")) is None
    held = lease.acquire(holder("b"))
    assert held is not None and held.holder == holder("a")
    assert str(held.holder) == "alice on laptop (process 4711)"
    assert lease.acquire(holder("a")) is None
    assert os.listdir(directory) == ["a.json"]


def test_a_dead_holder_is_replaced_and_no_other(directory: pathlib.Path) -> None:
    lease = Lease(str(directory))
    lease.acquire(holder("a"))
    assert lease.acquire(holder("b"), replaced="a") is None
    # The one that has seen the same dead holder comes second.
    held = lease.acquire(holder("c"), replaced="a")
    assert held is not None and held.holder == holder("b")


def test_a_look_acquires_nothing(directory: pathlib.Path) -> None:
    assert Lease(str(directory)).held_by_another() is None
    assert not directory.exists()


def uptime() -> float:
    return float(pathlib.Path("/proc/uptime").read_text(encoding="ascii").split()[0])


def age(directory: pathlib.Path, identity: str, seconds: float) -> None:
    os.utime(directory / f"{identity}.json", (uptime() - seconds,) * 2)


def test_it_tells_how_long_ago_it_was_renewed(directory: pathlib.Path) -> None:
    lease = Lease(str(directory))
    lease.acquire(holder("a"))
    assert uptime() - 60 < os.stat(directory / "a.json").st_mtime <= uptime()
    age(directory, "a", 100)
    held = lease.held_by_another()
    assert held is not None and held.renewed >= 100
    subprocess.run(["sh", "-c", renew_command(str(directory), "a")], check=True)
    held = lease.held_by_another()
    assert held is not None and held.renewed < 60


def test_no_time_of_a_clock_keeps_a_lease(directory: pathlib.Path) -> None:
    lease = Lease(str(directory))
    lease.acquire(holder("a"))
    age(directory, "a", -1_000_000_000)
    held = lease.held_by_another()
    assert held is not None and held.renewed >= uptime() - 60


def test_a_holder_that_was_taken_for_dead_and_renews_its_lease_keeps_it(directory: pathlib.Path) -> None:
    lease = Lease(str(directory))
    lease.acquire(holder("a"))
    age(directory, "a", 100)
    assert lease.acquire(holder("b"), replaced="a", duration=1000) is not None
    subprocess.run(["sh", "-c", renew_command(str(directory), "a")], check=True)
    held = lease.acquire(holder("b"), replaced="a", duration=50)
    assert held is not None and held.holder == holder("a")
    age(directory, "a", 100)
    assert lease.acquire(holder("b"), replaced="a", duration=50) is None
    assert os.listdir(directory) == ["b.json"]


def test_a_renewal_tells_that_another_run_has_the_lease(directory: pathlib.Path) -> None:
    def renewed() -> int:
        return subprocess.run(["sh", "-c", renew_command(str(directory), "a")], check=False).returncode

    assert renewed() == 0
    Lease(str(directory)).acquire(holder("a"))
    assert renewed() == 0
    Lease(str(directory)).acquire(holder("b"), replaced="a")
    assert renewed() == REPLACED
    subprocess.run(["sh", "-c", release_command(str(directory), "b")], check=True)
    assert renewed() == 0
    assert not directory.exists()


def test_nothing_stays_of_a_writer_that_was_killed(directory: pathlib.Path) -> None:
    directory.mkdir(parents=True)
    (directory / "x.json.new").write_text("{")
    Lease(str(directory)).acquire(holder("a"))
    assert os.listdir(directory) == ["a.json"]


def test_a_user_who_may_not_take_it_is_told(directory: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object, **_named: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "makedirs", refused)
    with pytest.raises(ClusterError, match=r"cannot be taken: Permission denied\. Log in as root, or .* become=true"):
        Lease(str(directory)).acquire(holder("a"))


def test_what_was_replaced_does_not_come_back(directory: pathlib.Path) -> None:
    lease = Lease(str(directory))
    lease.acquire(holder("a"))
    lease.acquire(holder("b"), replaced="a")
    for command in (renew_command, release_command):
        subprocess.run(["sh", "-c", command(str(directory), "a")], check=False)
        assert os.listdir(directory) == ["b.json"]


def test_nothing_stays_of_the_last(directory: pathlib.Path) -> None:
    Lease(str(directory)).acquire(holder("a"))
    subprocess.run(["sh", "-c", release_command(str(directory), "a")], check=True)
    assert not directory.exists() and directory.parent.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({**holder("x").to_json(), "process": "?"})])
def test_what_is_no_lease_holds_nothing(directory: pathlib.Path, text: str) -> None:
    directory.mkdir(parents=True)
    (directory / "broken.json").write_text(text)
    assert Lease(str(directory)).acquire(holder("a")) is None


def test_a_holder_is_not_read_from_anything(directory: pathlib.Path) -> None:
    with pytest.raises(ClusterError, match="not the holder"):
        Holder.from_json(None)


def test_of_many_at_once_one_gets_it_while_others_end_theirs(directory: pathlib.Path) -> None:
    """Whoever got it ends it at once, directory and all: never have two had it."""
    inside: set[str] = set()
    wins = []

    def run(name: str) -> None:
        for count in range(40):
            identity = f"{name}{count}"
            if Lease(str(directory)).acquire(holder(identity)) is None:
                inside.add(identity)
                wins.append(len(inside))
                inside.discard(identity)
                os.unlink(directory / f"{identity}.json")
                with contextlib.suppress(OSError):
                    os.rmdir(directory)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(run, "abcdefgh"))
    assert wins and max(wins) == 1
