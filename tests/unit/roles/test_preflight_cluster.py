# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run learns of the hosts that it leaves out, where some of them do not answer."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import yaml

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# Nothing listens on these ports.
SILENT = {"ansible_host": "127.0.0.1", "ansible_ssh_timeout": 5}
FAILING = {
    "ansible_connection": "local",
    "ansible_python_interpreter": "/nowhere/python",
    "sealer_node_address": "10.0.0.13",
}
GROUPS = {
    "kube_control_plane": {
        "hosts": {
            "silent": {**SILENT, "ansible_port": 1},
            "told": {**SILENT, "ansible_port": 2, "sealer_node_address": "10.0.0.12"},
            "failing": FAILING,
            "alive": LOCAL,
        }
    },
    "kube_node": {"hosts": {"worker": LOCAL}},
}
PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"import_role": {"name": "sealer.cluster.preflight", "tasks_from": "cluster"}},
            {"import_role": {"name": "sealer.cluster.preflight", "tasks_from": "left_out"}},
            {
                "copy": {
                    "dest": "{{ playbook_dir }}/found.json",
                    "content": "{{ found | to_json }}",
                },
                "vars": {
                    "found": {
                        "local": "{{ hostvars['localhost'] }}",
                        "addresses": "{{ groups.all | sealer.cluster.known_addresses(hostvars) }}",
                        "problems": "{{ __preflight_unknown_problems }}",
                    },
                },
                "run_once": True,
                "delegate_to": "localhost",
            },
        ],
    }
]


def learnt(directory: pathlib.Path, *arguments: str) -> dict[str, t.Any]:
    """Facts of localhost, and the addresses that are known, after the entry point of the role."""
    for name, content in (("hosts.yml", GROUPS), ("play.yml", PLAYBOOK)):
        (directory / name).write_text(json.dumps(content))
    command = ["ansible-playbook", "-i", "hosts.yml", "play.yml", *arguments]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return t.cast("dict[str, t.Any]", yaml.safe_load((directory / "found.json").read_text()))


def test_hosts_that_are_left_out_are_asked_and_silent_ones_are_known(tmp_path: pathlib.Path) -> None:
    found = learnt(tmp_path, "--limit=worker")
    silent = found["local"]["preflight_silent_control_planes"]
    assert list(silent) == ["silent", "told", "failing"] and "/nowhere/python" in silent["failing"]
    assert found["local"]["preflight_unknown_hosts"] == ["silent"]
    assert found["local"]["preflight_recorded_cluster"] == {}
    assert set(found["addresses"]) == {"alive", "failing", "told"}
    assert found["addresses"]["told"] == "10.0.0.12"


def test_hosts_of_the_run_are_left_to_it(tmp_path: pathlib.Path) -> None:
    found = learnt(tmp_path)
    assert "preflight_unknown_hosts" not in found["local"]
    assert set(found["addresses"]) == {"failing", "told"}


def test_a_host_that_cannot_be_asked_may_have_a_cluster(tmp_path: pathlib.Path) -> None:
    """Without its record, a second cluster would be made beside it, or an image brought that does not fit it."""
    problem = " ".join(learnt(tmp_path, "--limit=worker")["problems"][-1].split())
    assert problem.startswith("silent, told, failing cannot be asked whether there is a cluster already (")
    assert "/nowhere/python" in problem
    assert problem.endswith("If it is in no cluster, take it out of the inventory")
