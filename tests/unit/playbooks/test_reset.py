# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook reset, where a host does not answer and another one fails.

All hosts that answer are the same one, which is made of namespaces.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_items import FileItem
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import DEFAULT_JOURNAL, Journal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_steward import Steward
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount

ANSWERS = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
# Nobody listens on this port of the loopback interface.
DEAD = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_retries": 0}
RECORD = pathlib.Path("/var/lib/sealer/kubeadm.json")


def make_host(directory: pathlib.Path, **recorded: str) -> None:
    """A node of kubeadm, as far as is recorded."""
    for place in ("/run", "/usr/libexec", "/usr/local", "/var/lib", "/var/log"):
        mount("tmpfs", place)
    mount("tmpfs", directory)
    for name in ("upper", "work"):
        (directory / name).mkdir()
    mount("overlay", "/etc", "-o", f"lowerdir=/etc,upperdir={directory}/upper,workdir={directory}/work")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    RECORD.parent.mkdir()
    before: t.Dict[str, t.Any] = {"sysctls": {}, "directories": {}, "files": [], "links": [], "nft_tables": []}
    RECORD.write_text(json.dumps({"state": "done", "before": before, **recorded}))


def reset(
    directory: pathlib.Path, control_planes: t.Dict[str, t.Any], workers: t.Dict[str, t.Any], *arguments: str
) -> t.Tuple[int, str, t.Dict[str, str]]:
    """How it ended, what was said, and each host's last line of the recap."""
    groups = {"kube_control_plane": {"hosts": control_planes}, "kube_node": {"hosts": workers}}
    (directory / "hosts.json").write_text(json.dumps({"all": {"children": groups}}))
    home = {"HOME": str(directory), "ANSIBLE_HOME": f"{directory}/ansible", "ANSIBLE_NOCOLOR": "1"}
    command = ["ansible-playbook", "sealer.cluster.reset", "-i", f"{directory}/hosts.json", "-e", "sealer_reset=true"]
    done = subprocess.run(
        [*command, *arguments], env={**os.environ, **home}, capture_output=True, text=True, check=False, cwd=directory
    )
    told = done.stdout + done.stderr
    recap = {line.split()[0]: line for line in done.stdout.partition("PLAY RECAP")[2].splitlines()[1:] if line.strip()}
    return done.returncode, told, recap


@in_own_namespaces
def test_a_dead_host_and_a_failing_one_do_not_end_it_for_the_others(tmp_path: pathlib.Path) -> None:
    make_host(tmp_path)
    failing = {**ANSWERS, "kubeadm_reset_addresses": ["nowhere"]}
    rc, told, recap = reset(tmp_path, {"cp1": ANSWERS, "cp2": DEAD, "cp3": failing}, {"w1": failing, "w2": DEAD})
    assert not RECORD.exists(), told
    assert rc != 0
    assert {host for host in recap if "failed=1" in recap[host]} == {"cp2", "cp3", "w1", "w2"}, told
    ending = told.partition("TASK [Tell which hosts are not reset]")[2]
    for host, why in (("cp2", "Connection refused"), ("w2", "Connection refused"), ("w1", "have to be IP addresses")):
        assert why in ending.partition(f"{host} is not reset: ")[2].partition(". Correct the cause")[0]
    assert "-e sealer_reset_delete_node=false --limit w2" in ending
    assert "cp1 is not reset" not in ending


@in_own_namespaces
def test_a_dead_host_that_leaves_a_cluster_is_told_how_to_take_it_out(tmp_path: pathlib.Path) -> None:
    make_host(tmp_path)
    rc, told, recap = reset(tmp_path, {"cp1": ANSWERS}, {"w1": DEAD}, "--limit", "w1")
    assert rc != 0 and RECORD.exists()
    assert "run the module sealer.cluster.cluster_node with name=w1 on a control plane" in told
    assert set(recap) == {"w1"}


@in_own_namespaces
def test_a_host_that_is_another_node_is_left_alone(tmp_path: pathlib.Path) -> None:
    """The addresses of two hosts were swapped in the inventory, or a host was given another name."""
    make_host(tmp_path, cluster="demo", node="w2")
    rc, told, recap = reset(tmp_path, {"cp1": DEAD}, {"w1": ANSWERS}, "--limit", "w1")
    assert rc != 0 and RECORD.exists()
    assert "w1 is not reset: this host is the node w2, and not w1" in told
    assert "changed=0" in recap["w1"]


@in_own_namespaces
def test_a_reset_of_all_does_not_ask_for_names(tmp_path: pathlib.Path) -> None:
    make_host(tmp_path, cluster="demo", node="cp9")
    rc, told, recap = reset(tmp_path, {"cp1": ANSWERS}, {})
    assert rc == 0 and not RECORD.exists(), told


@in_own_namespaces
def test_a_reset_that_was_cut_off_knows_what_made_the_node(tmp_path: pathlib.Path) -> None:
    """The record of the node is gone already, and what its role put on the host is not."""
    make_host(tmp_path)
    RECORD.unlink()
    left = pathlib.Path("/usr/local/left")
    host = Host(lambda *_given, **_options: Completed(0, "", ""))
    Steward(host, Journal.read(DEFAULT_JOURNAL), "k3s").present([FileItem(str(left), b"")])
    assert left.exists()
    rc, told, recap = reset(tmp_path, {"cp1": ANSWERS}, {})
    assert rc == 0 and not left.exists(), told


@in_own_namespaces
def test_a_reset_of_all_is_no_failure_and_leaves_what_is_mounted(tmp_path: pathlib.Path) -> None:
    make_host(tmp_path)
    for path in ("/etc/sealer/pki", "/usr/local/lib/sealer/nas", "/var/lib/sealer/bind"):
        pathlib.Path(path).mkdir(parents=True)
    mount("tmpfs", "/usr/local/lib/sealer/nas")
    mount("/run", "/var/lib/sealer/bind")
    for path in ("/usr/local/lib/sealer/nas/empty", "/run/empty"):
        pathlib.Path(path).mkdir()
    rc, told, recap = reset(tmp_path, {"cp1": ANSWERS}, {"w1": ANSWERS})
    assert rc == 0, told
    assert not pathlib.Path("/etc/sealer").exists()
    assert pathlib.Path("/usr/local/lib/sealer/nas/empty").is_dir() and pathlib.Path("/run/empty").is_dir()
    again, told, recap = reset(tmp_path, {"cp1": ANSWERS}, {"w1": ANSWERS})
    assert again == 0 and all("changed=0" in line for line in recap.values()), told
