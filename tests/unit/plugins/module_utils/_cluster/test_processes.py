# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose processes are the node's: those of the host's own pods and services, and no container's."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import mounts, processes
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.processes import Processes
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces

UNITS = ["k3s.service"]
# How a whole host sees its hierarchies, and how a container does that has the machine's cgroup namespace.
HOST = "41 31 0:38 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
CONTAINER = "41 31 0:38 /docker/c0ffee /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"


def process(proc: pathlib.Path, number: int, group: str, parent: int = 1, name: str = "program") -> None:
    (proc / str(number)).mkdir(parents=True)
    (proc / str(number) / "cgroup").write_text(f"4:memory:{group}\n0::/\n")
    (proc / str(number) / "stat").write_text(f"{number} ({name}) S {parent} 0 0\n")


def of_node(proc: pathlib.Path, mountinfo: str = HOST) -> t.List[int]:
    (proc / "self").mkdir(parents=True, exist_ok=True)
    (proc / "self/mountinfo").write_text(mountinfo)
    return Processes(UNITS, proc=str(proc)).of_node()


@pytest.mark.parametrize(
    ("group", "ours"),
    [
        ("/kubepods/burstable/pod1/2", True),
        ("/kubepods.slice/kubepods-burstable.slice/x.scope", True),
        ("/system.slice/k3s.service", True),
        ("/system.slice/k3s.service/kubepods", True),
        ("/prod.slice/prod-db.slice/k3s.service", True),
        ("/docker/c0ffee/kubepods/burstable/pod1", False),
        ("/docker/c0ffee/system.slice/k3s.service", False),
        ("/lxc/name/kubepods.slice/x", False),
        ("/lxc.payload.name/system.slice/k3s.service", False),
        ("/machine.slice/libpod-c0ffee.scope/kubepods/x", False),
        ("/system.slice/docker-c0ffee.scope/system.slice/k3s.service", False),
        ("/user.slice/user-0.slice/user@0.service/app.slice/k3s.service", False),
        ("/kubepodsx/y", False),
        ("/system.slice/k3s.service.old", False),
        ("/system.slice/ssh.service", False),
        ("/", False),
    ],
)
def test_a_control_group_tells_whose_a_process_is(group: str, ours: bool, tmp_path: pathlib.Path) -> None:
    process(tmp_path, 7, group)
    assert of_node(tmp_path) == ([7] if ours else [])


@pytest.mark.parametrize(
    ("group", "ours"),
    [
        ("/docker/c0ffee/kubepods/x", True),
        ("/docker/c0ffee/system.slice/k3s.service", True),
        ("/docker/c0ffee/docker/d0d0/kubepods/x", False),
        ("/docker/beef/kubepods/x", False),
    ],
)
def test_a_host_that_is_a_container_knows_its_own(group: str, ours: bool, tmp_path: pathlib.Path) -> None:
    process(tmp_path, 7, group)
    assert of_node(tmp_path, CONTAINER) == ([7] if ours else [])


def test_what_the_node_started_is_the_nodes_wherever_it_went(tmp_path: pathlib.Path) -> None:
    process(tmp_path, 1, "/init.scope", parent=0)
    process(tmp_path, 10, "/system.slice/k3s.service", name="containerd-shim")
    process(tmp_path, 11, "/own/kubepods/pod1", parent=10, name="odd) S 1 (name")
    process(tmp_path, 12, "/own/kubepods/pod1", parent=11)
    process(tmp_path, 20, "/system.slice/docker.service")
    process(tmp_path, 21, "/docker/c0ffee/kubepods", parent=20)
    # Gone before it could be looked at.
    (tmp_path / "30").mkdir()
    assert of_node(tmp_path) == [10, 11, 12]
    found = Processes(UNITS, proc=str(tmp_path))
    assert [one.number for one in found.others()] == [1, 20, 21]
    assert found.described(21) == "program (process 21 in /docker/c0ffee/kubepods)"


@in_own_namespaces
def test_a_program_of_the_nodes_own_is_the_nodes_but_not_in_a_container(tmp_path: pathlib.Path) -> None:
    (tmp_path / "own").mkdir()
    shutil.copy("/bin/sleep", tmp_path / "own/kubelet")
    started = [subprocess.Popen([tmp_path / "own/kubelet", "60"])]
    started.append(subprocess.Popen(["unshare", "--mount", tmp_path / "own/kubelet", "60"]))
    numbers = [one.pid for one in started]
    # Until both run it.
    while {Processes(UNITS).all[number].name for number in numbers} != {"kubelet"}:
        os.sched_yield()
    assert Processes(UNITS, [str(tmp_path / "own")]).of_node() == numbers[:1]
    assert Processes(UNITS, [str(tmp_path / "ow")]).of_node() == []
    for one in started:
        one.kill()


@in_own_namespaces
def test_the_nodes_processes_are_ended_and_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    started = [subprocess.Popen(["sleep", "60"]) for _number in range(2)]
    process(tmp_path, started[0].pid, "/kubepods/pod1")
    process(tmp_path, started[1].pid, "/docker/c0ffee/kubepods/pod1")
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(HOST)
    monkeypatch.setattr(processes, "PROC", str(tmp_path))
    processes.end_processes(UNITS, [], seconds=0.01)
    assert started[0].wait() < 0
    assert started[1].poll() is None


def test_cgroups_of_pods_go_from_the_bottom_up(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CGROUPS", str(tmp_path))
    for name in ("cpu/kubepods.slice/pod1/c1", "cpu/system.slice", "cpu/docker/c0ffee/kubepods", "memory/kubepods"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "cpuacct").symlink_to("cpu")
    found = [mounts.Mount("/", f"{tmp_path}/{name}", "cgroup", "cgroup") for name in ("cpu", "cpuacct", "memory")]
    assert processes.pods_cgroups(found, [f"{tmp_path}/memory/kubepods"]) == [f"{tmp_path}/cpu/kubepods.slice"]
    # The kernel's files in them cannot be removed, and need not.
    processes.remove_cgroup(f"{tmp_path}/cpu/kubepods.slice")
    assert sorted(path.name for path in (tmp_path / "cpu").iterdir()) == ["docker", "system.slice"]
    processes.remove_cgroup(f"{tmp_path}/cpu/kubepods.slice")
