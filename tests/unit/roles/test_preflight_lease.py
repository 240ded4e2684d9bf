# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease of a cluster some of whose control planes cannot give it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount

ALIVE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
FAILING = {**ALIVE, "ansible_python_interpreter": "/nowhere/python"}
# Nobody listens on this port of the loopback interface.
DEAD = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_retries": 0}
PLAY = {
    "hosts": "all",
    "gather_facts": False,
    "tasks": [
        {"import_role": {"name": "sealer.cluster.preflight", "tasks_from": "lease"}},
        {
            "command": "ls /run/sealer-lease",
            "delegate_to": "localhost",
            "run_once": True,
            "when": "'alive' in groups.all",
        },
    ],
}


def take(directory: pathlib.Path, **hosts: dict[str, t.Any]) -> tuple[int, str]:
    (directory / "hosts.yml").write_text(json.dumps({"kube_control_plane": {"hosts": hosts}}))
    (directory / "play.yml").write_text(json.dumps([PLAY]))
    home = {"HOME": str(directory), "ANSIBLE_HOME": f"{directory}/ansible", "ANSIBLE_NOCOLOR": "1"}
    command = ["ansible-playbook", "--inventory", "hosts.yml", "play.yml"]
    done = subprocess.run(
        command, cwd=directory, env={**os.environ, **home}, capture_output=True, text=True, check=False
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@in_own_namespaces
def test_one_that_has_it_is_enough(tmp_path: pathlib.Path) -> None:
    mount("tmpfs", "/run")
    status, said = take(tmp_path, dead=DEAD, failing=FAILING, alive=ALIVE)
    assert status == 0, said


@in_own_namespaces
def test_nothing_is_changed_without_it(tmp_path: pathlib.Path) -> None:
    mount("tmpfs", "/run")
    status, said = take(tmp_path, dead=DEAD, failing=FAILING)
    assert status != 0
    assert "failing: " in said.partition("Action failed: ")[2] and "/nowhere/python" in said


@in_own_namespaces
def test_where_none_answers_there_is_nothing_to_lease(tmp_path: pathlib.Path) -> None:
    mount("tmpfs", "/run")
    status, said = take(tmp_path, dead=DEAD)
    assert status == 0, said
