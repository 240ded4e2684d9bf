# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The play of site that labels nodes, where no control plane can do it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# Nobody listens on this port of the loopback interface.
DEAD = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_retries": 0}


def test_what_every_control_plane_said_is_told(tmp_path: pathlib.Path) -> None:
    (play,) = (
        play for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text()) if play["name"] == "Label the nodes"
    )
    groups = {"kube_control_plane": {"hosts": {"cp1": LOCAL, "cp2": DEAD}}, "kube_node": {"hosts": {"w1": LOCAL}}}
    (tmp_path / "hosts.yml").write_text(json.dumps(groups))
    (tmp_path / "play.yml").write_text(json.dumps([{**play, "become": False}]))
    given = {"preflight_image_info": {"image": {"runtime": "kubeadm"}}}
    command = ["ansible-playbook", "--inventory", "hosts.yml", "play.yml", f"--extra-vars={json.dumps(given)}"]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    said = " ".join((done.stdout + done.stderr).replace("\\n", " ").split())
    assert done.returncode != 0
    failure = said.partition("The nodes have not got their labels and roles: ")[2]
    assert failure.startswith("cp1: /etc/kubernetes/admin.conf: there is no cluster on this host"), said
    assert "; cp2: " in failure and "Connection refused" in failure.partition("cp2: ")[2]
