# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process, _lease_keeper

# The directory that has ansible_collections in it.
ROOT = str(pathlib.Path(_lease_keeper.__file__).parents[5])
# A run that starts a keeper as a worker does, and ends when its input does.
PROGRAM = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process, _lease_keeper
_lease_keeper.RENEW_SECONDS = 0.1
_lease_keeper.RELEASE_SECONDS = 1
keeper = _lease_keeper.LeaseKeeper(
    os.getpid(),
    _controller_process.started(os.getpid()),
    renew=lambda: open(sys.argv[2] + "/renewed", "a").write("x"),
    release=lambda: eval(sys.argv[3]),
)
keeper.start()
print("started", flush=True)
sys.stdin.read()
"""


def wait_for(path: pathlib.Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.02)


def start(tmp_path: pathlib.Path, release: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, ROOT, str(tmp_path), release]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stdout.readline() == b"started\n"
    return process


@pytest.mark.parametrize("killed", [False, True])
def test_it_renews_while_the_run_lives_and_releases_when_it_is_gone(tmp_path: pathlib.Path, killed: bool) -> None:
    process = start(tmp_path, f"open({str(tmp_path / 'released')!r}, 'w')")
    wait_for(tmp_path / "renewed")
    assert not (tmp_path / "released").exists()
    if killed:
        process.kill()
    # Its output is at its end although the keeper is there.
    process.communicate()
    wait_for(tmp_path / "released")


def test_a_host_that_is_silent_does_not_keep_it(tmp_path: pathlib.Path) -> None:
    said = f"open({str(tmp_path / 'process')!r}, 'w').write(str(os.getpid()))"
    start(tmp_path, f"({said}, subprocess.run(['sleep', '600']))").communicate()
    wait_for(tmp_path / "process")
    keeper = int((tmp_path / "process").read_text() or 0)
    deadline = time.monotonic() + 60
    while _controller_process.started(keeper):
        assert time.monotonic() < deadline, "the keeper does not end"
        time.sleep(0.02)


def test_a_failure_ends_nothing(tmp_path: pathlib.Path) -> None:
    process = start(tmp_path, "1 / 0")
    wait_for(tmp_path / "renewed")
    process.communicate()


def test_a_run_is_known_and_known_to_be_dead() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        holder = _controller_process.this_run(process.pid, {})
        assert holder == dataclasses.replace(_controller_process.this_run(process.pid, {}), acquired=holder.acquired)
        assert _controller_process.is_seen_alive(holder) is True
        process.kill()
    assert _controller_process.is_seen_alive(holder) is False


def test_another_process_of_the_same_number_is_another() -> None:
    holder = _controller_process.this_run(os.getpid(), {})
    assert _controller_process.is_seen_alive(holder) is True
    assert _controller_process.is_seen_alive(dataclasses.replace(holder, started="1")) is False


@pytest.mark.parametrize("changed", [{"machine": "elsewhere"}, {"boot": "another"}, {"boot": ""}])
def test_processes_elsewhere_are_not_known(changed: dict[str, t.Any]) -> None:
    with subprocess.Popen(["true"]) as process:
        holder = _controller_process.this_run(process.pid, {})
    assert _controller_process.is_seen_alive(dataclasses.replace(holder, **changed)) is None


@pytest.mark.parametrize(
    ("variables", "user"),
    [
        ({"awx_job_id": 17, "awx_user_name": "alice"}, "job 17 of alice"),
        ({"tower_job_id": 18}, "job 18 of nobody in particular"),
    ],
)
def test_a_job_names_who_launched_it(variables: dict[str, object], user: str) -> None:
    assert _controller_process.this_run(os.getpid(), variables).user == user


def test_the_shortest_lease_is_renewed_twice_before_it_expires() -> None:
    assert _lease_keeper.RENEW_SECONDS * 2 <= 20
