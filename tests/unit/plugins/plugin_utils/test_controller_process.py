# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process


def test_a_run_is_known_and_known_to_be_dead() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        holder = _controller_process.this_run(process.pid, {})
        assert holder == dataclasses.replace(_controller_process.this_run(process.pid, {}), acquired=holder.acquired)
        assert _controller_process.is_seen_alive(holder) is True
        process.kill()
    assert _controller_process.is_seen_alive(holder) is False


def test_a_run_that_nobody_has_waited_for_is_dead() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        holder = _controller_process.this_run(process.pid, {})
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert _controller_process.is_seen_alive(holder) is False


def test_a_run_that_is_hidden_from_this_user_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        holder = _controller_process.this_run(process.pid, {})
        # As where /proc is mounted with hidepid.
        with monkeypatch.context() as hidden:
            hidden.setattr(_controller_process, "_stat", lambda _process: [])
            assert _controller_process.is_seen_alive(holder) is None
        process.kill()


def test_a_run_is_stopped_and_says_why(tmp_path: pathlib.Path) -> None:
    program = "import sys, time\nprint('warned', file=sys.stderr)\nprint('ready', flush=True)\ntime.sleep(600)"
    with (tmp_path / "log").open("w") as log, subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=log, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        _controller_process.stop(process.pid, "another run changes this cluster")
    said = (tmp_path / "log").read_text()
    assert said.startswith("warned\n")
    assert said.endswith("\nKeyboardInterrupt\n[ERROR]: another run changes this cluster\n")


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
        ({"tower_job_id": 18}, "job 18"),
    ],
)
def test_a_job_names_who_launched_it(variables: dict[str, object], user: str) -> None:
    assert _controller_process.this_run(os.getpid(), variables).user == user
