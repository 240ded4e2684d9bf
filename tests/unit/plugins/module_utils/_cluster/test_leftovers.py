# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that a node leaves, in a tree of their own."""

from __future__ import annotations

import os
import pathlib

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import leftovers, traces
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.record import Before
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tree_removal import remove_tree

POD = 64 * "a"


def make(root: pathlib.Path, *paths: str) -> None:
    for path in paths:
        target = root / path.lstrip("/")
        if path.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("x")


def remove(left: leftovers.Left, root: pathlib.Path) -> None:
    for path in left.paths:
        remove_tree(str(root) + path)
    for path in left.husks:
        leftovers.remove_empty(str(root) + path)


def test_everything_goes_from_a_host_that_had_nothing(tmp_path: pathlib.Path) -> None:
    results = f"/var/lib/cni/results/cbr0-{POD}-eth0"
    make(tmp_path, "/etc/kubernetes/admin.conf", "/var/lib/cni/networks/cbr0/10.244.0.2", results)
    found = leftovers.left_paths(Before(), root=str(tmp_path))
    assert found.paths == ["/etc/kubernetes/admin.conf", "/etc/kubernetes", "/var/lib/cni/networks/cbr0", results]
    assert found.husks == ["/var/lib/cni/networks", "/var/lib/cni/results", "/var/lib/cni"]
    remove(found, tmp_path)
    assert [str(path) for path in (tmp_path / "var/lib").iterdir()] == []
    assert leftovers.left_paths(Before(), root=str(tmp_path)) == leftovers.Left([], [], [])


def test_what_was_there_before_stays(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/etc/kubernetes/mine", "/etc/kubernetes/pki/ca.crt", "/var/log/pods/", "/etc/cni/net.d/")
    before = {"/etc/kubernetes": ["mine"], "/var/log/pods": [], "/etc/cni": ["net.d"], "/etc/cni/net.d": []}
    found = leftovers.left_paths(Before(directories=before), root=str(tmp_path))
    assert found == leftovers.Left(["/etc/kubernetes/pki"], [], [])


def test_foreign_network_files_stay(tmp_path: pathlib.Path) -> None:
    make(
        tmp_path,
        "/etc/cni/net.d/10-flannel.conflist",
        "/etc/cni/net.d/99-mine.conf",
        "/var/lib/cni/networks/cbr0/last",
        "/var/lib/cni/networks/pods/last",
        "/var/lib/cni/networks/podman/last",
        f"/var/lib/cni/results/cbr0-{POD}-eth0",
        # Another network, whose name begins like that of the pods.
        f"/var/lib/cni/results/cbr0-two-{POD}-eth0",
    )
    extra = ["/etc/cni/net.d/10-flannel.conflist"]
    found = leftovers.left_paths(Before(), extra=extra, networks=["cbr0", "pods"], root=str(tmp_path))
    assert found.paths == [
        "/var/lib/cni/networks/cbr0",
        "/var/lib/cni/networks/pods",
        f"/var/lib/cni/results/cbr0-{POD}-eth0",
        "/etc/cni/net.d/10-flannel.conflist",
    ]
    assert found.husks == []


def test_a_network_that_was_there_before_stays(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/var/lib/cni/networks/cbr0/last")
    before = {"/var/lib/cni": ["networks"], "/var/lib/cni/networks": ["cbr0"]}
    assert leftovers.left_paths(Before(directories=before), root=str(tmp_path)).paths == []


def test_what_stays_in_a_directory_keeps_what_is_above_it(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/var/lib/etcd/member/snap", "/var/lib/etcd/a/nas/data", "/var/lib/etcd/a/b/c", "/var/log/pods/x")
    kept = [f"{tmp_path}/var/lib/etcd/a/nas", f"{tmp_path}/var/log/pods"]
    found = leftovers.left_paths(Before(), kept, root=str(tmp_path))
    assert found.paths == ["/var/lib/etcd/a/b", "/var/lib/etcd/member"]
    remove(found, tmp_path)
    assert leftovers.left_paths(Before(), kept, root=str(tmp_path)).paths == []


def test_the_path_to_what_stays_may_be_long(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/var/lib/etcd/")
    below = "/var/lib/etcd"
    for _level in range(1500):
        below += "/d"
        os.mkdir(f"{tmp_path}{below}")
    make(tmp_path, f"{below}/other")
    found = leftovers.left_paths(Before(), [f"{tmp_path}{below}/nas"], root=str(tmp_path))
    assert found.paths == [f"{below}/other"]
    remove_tree(f"{tmp_path}/var")


def test_a_mount_point_is_never_a_husk(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/var/lib/cni/networks/")
    mounted = [f"{tmp_path}/var/lib/cni"]
    assert leftovers.left_paths(Before(), mounted=mounted, root=str(tmp_path)).husks == ["/var/lib/cni/networks"]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/netns").symlink_to("nowhere")
    assert "/run/netns" not in leftovers.left_paths(Before(), root=str(tmp_path)).husks


def test_a_link_is_followed_only_where_it_led_before(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/data/kubelet/mine", "/data/kubelet/pods/x", "/var/lib/")
    (tmp_path / "var/lib/kubelet").symlink_to(tmp_path / "data/kubelet")
    held = {"/var/lib/kubelet": ["mine"]}
    for resolved in ({}, {"/var/lib/kubelet": "/data/old"}):
        found = leftovers.left_paths(Before(directories=held, resolved=resolved), root=str(tmp_path))
        assert found.paths == []
        assert [str(one)[:50] for one in found.kept] == ["/var/lib/kubelet: it leads to /data/kubelet since,"]
    before = Before(directories=held, resolved={"/var/lib/kubelet": "/data/kubelet"})
    found = leftovers.left_paths(before, root=str(tmp_path))
    assert (found.paths, found.kept) == (["/var/lib/kubelet/pods"], [])
    assert leftovers.left_paths(before, [f"{tmp_path}/data/kubelet/pods/x"], root=str(tmp_path)).paths == []


def test_a_directory_below_another_is_named_once(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/var/lib/rancher/k3s/agent/kubelet.kubeconfig")
    found = leftovers.left_paths(Before(), own=traces.K3S.own, root=str(tmp_path))
    assert found.paths == [
        "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
        "/var/lib/rancher/k3s/agent",
        "/var/lib/rancher/k3s",
    ]


def test_a_file_of_others_with_our_name_stays(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/etc/cni/net.d/10-flannel.conflist")
    before = Before(directories={"/etc/cni": ["net.d"], "/etc/cni/net.d": ["10-flannel.conflist"]})
    extra = ["/etc/cni/net.d/10-flannel.conflist"]
    assert leftovers.left_paths(before, extra=extra, root=str(tmp_path)).paths == []


def test_a_directory_goes_when_nothing_is_in_it(tmp_path: pathlib.Path) -> None:
    make(tmp_path, "/full/file", "/empty/")
    for name in ("full", "empty", "gone"):
        leftovers.remove_empty(str(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
