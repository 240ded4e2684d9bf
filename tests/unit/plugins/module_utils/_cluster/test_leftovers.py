# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that a node leaves, in a tree of their own."""

from __future__ import annotations

import pathlib

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import leftovers, traces


def make(root: pathlib.Path, *paths: str) -> None:
    for path in paths:
        target = root / path.lstrip("/")
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("x")


def test_everything_goes_from_a_host_that_had_nothing(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/etc/kubernetes/admin.conf", "/var/lib/cni/networks/cbr0/10.244.0.2", "/var/lib/cni/results/cbr0-1")
    found = leftovers.left_paths({}, mounted=(), root=str(tmp_path))
    assert found[:2] == ["/etc/kubernetes/admin.conf", "/etc/kubernetes"]
    for path in found:
        leftovers.remove_path(str(tmp_path) + path)
    assert [str(path) for path in (tmp_path / "var/lib").iterdir()] == []
    assert leftovers.left_paths({}, mounted=(), root=str(tmp_path)) == []


def test_what_was_there_before_stays(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/etc/kubernetes/mine", "/etc/kubernetes/pki/ca.crt", "/var/log/pods/", "/etc/cni/net.d/")
    before = {"/etc/kubernetes": ["mine"], "/var/log/pods": [], "/etc/cni": ["net.d"], "/etc/cni/net.d": []}
    assert leftovers.left_paths(before, mounted=(), root=str(tmp_path)) == ["/etc/kubernetes/pki"]


def test_foreign_network_files_stay(tmp_path: pathlib.Path) -> None:
    make(
        tmp_path,
        "/etc/cni/net.d/10-flannel.conflist",
        "/etc/cni/net.d/99-mine.conf",
        "/var/lib/cni/networks/cbr0/last",
        "/var/lib/cni/networks/podman/last",
    )
    extra = ["/etc/cni/net.d/10-flannel.conflist"]
    found = leftovers.left_paths({}, mounted=(), extra=extra, root=str(tmp_path))
    assert found == ["/var/lib/cni/networks/cbr0", "/etc/cni/net.d/10-flannel.conflist"]


def test_a_mount_point_is_emptied_and_stays(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/var/lib/etcd/member/snap")
    found = leftovers.left_paths({}, mounted={"/var/lib/etcd"}, root=str(tmp_path))
    assert found == ["/var/lib/etcd/member"]
    leftovers.remove_path(f"{tmp_path}/var/lib/etcd/member")
    assert leftovers.left_paths({}, mounted={"/var/lib/etcd"}, root=str(tmp_path)) == []


def test_a_directory_below_another_is_named_once(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/var/lib/rancher/k3s/agent/kubelet.kubeconfig")
    found = leftovers.left_paths({}, mounted=(), own=traces.K3S.own, root=str(tmp_path))
    assert found == [
        "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
        "/var/lib/rancher/k3s/agent",
        "/var/lib/rancher/k3s",
    ]


def test_a_file_of_others_with_our_name_stays(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/etc/cni/net.d/10-flannel.conflist")
    before = {"/etc/cni": ["net.d"], "/etc/cni/net.d": ["10-flannel.conflist"]}
    extra = ["/etc/cni/net.d/10-flannel.conflist"]
    assert leftovers.left_paths(before, mounted=(), extra=extra, root=str(tmp_path)) == []


def test_cgroups_go_from_the_bottom_up(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/cpu/kubepods.slice/pod1/c1/", "/cpu/system.slice/")
    (tmp_path / "cpuacct").symlink_to("cpu")
    found = leftovers.left_cgroups([f"{tmp_path}/*/kubepods*"])
    assert found == [f"{tmp_path}/cpu/kubepods.slice"]
    leftovers.remove_cgroup(found[0])
    assert [path.name for path in (tmp_path / "cpu").iterdir()] == ["system.slice"]


def test_processes_of_pods_and_of_stopped_services_are_found(tmp_path: pathlib.Path) -> None:
    groups = {
        "10": "1:cpu:/kubepods/burstable/pod1/2\n0::/\n",
        "11": "1:name=systemd:/system.slice/k0sworker.service\n",
        "12": "1:name=systemd:/system.slice/ssh.service\n",
        "self": "1:cpu:/kubepods/x\n",
    }
    for name, text in groups.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup").write_text(text)
    (tmp_path / "13").mkdir()
    assert leftovers.left_processes(["k0sworker.service"], str(tmp_path)) == [10, 11]


def test_a_directory_goes_when_nothing_is_in_it(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/full/file", "/empty/")
    for name in ("full", "empty", "gone"):
        leftovers.remove_empty(str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
