# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays that go through their hosts one by one end with the first that fails or does not answer."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
PLAYS = [
    pytest.param(play, id=f"{name}: {play['name']}")
    for name in ("distribution", "site")
    for play in yaml.safe_load((ROOT / f"playbooks/{name}.yml").read_text())
    if "serial" in play
]


# ssh ends with 255 where it cannot connect, and else with what the command there ended with.
@pytest.mark.parametrize(("status", "told"), [(255, "UNREACHABLE!"), (1, "FAILED!")])
@pytest.mark.parametrize("play", PLAYS)
def test_the_next_host_is_left_alone(play: dict[str, t.Any], status: int, told: str, tmp_path: pathlib.Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\nexit {status}\n")
    ssh.chmod(0o755)
    hosts = dict.fromkeys(("first", "second"), {"ansible_connection": "ssh", "ansible_ssh_executable": str(ssh)})
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    tasks = [{"ansible.builtin.raw": "true"}]
    short = {**play, "hosts": "all", "gather_facts": False, "become": False, "vars": {}, "tasks": tasks}
    (tmp_path / "play.yml").write_text(json.dumps([short]))
    command = ["ansible-playbook", "--inventory", "hosts.yml", "play.yml"]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert re.findall(r"^fatal: \[(\w+)\]: (\w+!)", done.stdout + done.stderr, re.MULTILINE) == [("first", told)]
