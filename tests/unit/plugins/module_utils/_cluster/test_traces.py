# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runtimes leave: the data is whole, and reset goes by it."""

from __future__ import annotations

import pathlib
import re

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import leftovers, traces
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.record import Before
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tree_removal import remove_tree

RUNTIMES = sorted(traces.BY_RUNTIME)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_removed_was_looked_at_before(runtime: str) -> None:
    known = traces.BY_RUNTIME[runtime]
    assert set(known.own) <= set(known.directories)
    assert set(known.shared) <= set(known.own)
    paths = (*known.own, *known.files, *known.nodes, known.kubelet, known.containerd, known.etcd.name)
    assert all(path.startswith("/") for path in paths)
    assert known.record_path == f"/var/lib/sealer/{runtime}.json"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_container_runtime_without_a_socket_is_known_to_be_gone(runtime: str) -> None:
    known = traces.BY_RUNTIME[runtime]
    assert known.socket or "{socket}" in known.ctr


def test_kubeadm_tells_the_name_of_its_member_of_etcd() -> None:
    manifest = (
        "spec:\n  containers:\n  - command:\n    - etcd\n    - --initial-cluster=cp2=https://x\n    - --name=cp2\n"
    )
    found = re.search(traces.KUBEADM.etcd.named, manifest)
    assert found is not None and found.group(1) == "cp2"


def test_what_k3s_kept_goes_and_our_files_stay(tmp_path: pathlib.Path) -> None:
    data = tmp_path / "var/lib/rancher/k3s"
    ours = ("agent/etc/containerd/config-v3.toml.tmpl", "agent/etc/kubelet.conf.d/50-sealer.conf")
    theirs = ("agent/etc/containerd/config.toml", "agent/etc/kubelet.conf.d/00-k3s-defaults.conf", "server/token")
    for name in (*ours, *theirs):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).touch()
    held = {
        "/var/lib/rancher/k3s": ["agent"],
        "/var/lib/rancher/k3s/agent": ["etc"],
        "/var/lib/rancher/k3s/agent/etc": ["containerd", "kubelet.conf.d"],
        "/var/lib/rancher/k3s/agent/etc/containerd": ["config-v3.toml.tmpl"],
        "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d": ["50-sealer.conf"],
    }
    for path in leftovers.left_paths(Before(directories=held), own=traces.K3S.own, root=str(tmp_path)).paths:
        remove_tree(str(tmp_path) + path)
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()) == list(ours)
