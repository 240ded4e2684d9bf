# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import os
import subprocess
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
