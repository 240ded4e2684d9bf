# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node left in the API and in etcd, where k0s calls it otherwise, and that nothing of another node goes."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import etcd, k0s, node_removal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S, KUBEADM, EtcdPlace

RECORD: t.Dict[str, t.Any] = {
    "addresses": {"CP1": "10.0.0.1", "cp2": "10.0.0.2", "cp3": "10.0.0.3"},
    "members": [{"name": name, "role": "control_plane"} for name in ("cp1", "cp2", "cp3")],
}


def placed(name: str, address: str) -> t.Dict[str, t.Any]:
    return {"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}}


class Cluster:
    """Programs that ask a cluster of these; members: names by addresses; dead: addresses where nobody answers."""

    def __init__(self, place: EtcdPlace, sign: pathlib.Path) -> None:
        self.nodes: t.Dict[str, str] = {}
        self.controllers: t.Dict[str, str] = {}
        self.members: t.Dict[str, str] = {}
        self.dead: t.Set[str] = set()
        self.done: t.List[str] = []
        self.kubectl = Kubectl(self.run, "admin.conf")
        self.etcd = etcd.Etcd(self.run, dataclasses.replace(place, sign=str(sign)))

    def run(self, command: t.Sequence[str], **_options: t.Any) -> Completed:
        words = [word for word in command if not word.startswith("-")]
        if words[:2] == ["kubectl", "get"]:
            items = self.controllers if k0s.CONTROLLERS in words else self.nodes
            return Completed(0, json.dumps({"kind": "List", "items": [placed(*item) for item in items.items()]}), "")
        if words == ["etcdctl", "member", "list"]:
            members = [
                {"ID": number, "name": name, "peerURLs": [f"https://{address}:2380"]}
                for number, (address, name) in enumerate(self.members.items())
            ]
            return Completed(0, json.dumps({"members": members}), "")
        self.done.append(" ".join(words))
        return Completed(0, "", "")

    def remove(self, name: str, record: t.Dict[str, t.Any], with_controllers: bool = True) -> node_removal.NodeRemoval:
        found = node_removal.plan(name, self.kubectl, self.etcd, record, with_controllers)
        found.carry_out(self.kubectl, self.etcd)
        return found


@pytest.fixture
def cluster(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """k0s on three hosts that are called otherwise than the inventory calls them; cp2 is gone."""
    made = Cluster(K0S.etcd, tmp_path)
    made.nodes = {"cp1": "10.0.0.1", "cp2": "10.0.0.2", "cp3": "10.0.0.3", "w1": "10.0.0.21"}
    made.controllers = {"host1": "10.0.0.1", "host2": "10.0.0.2", "host3": "10.0.0.3"}
    made.members = {"10.0.0.1": "host1", "10.0.0.2": "host2", "10.0.0.3": "host3"}
    made.dead = {"10.0.0.2"}
    monkeypatch.setattr(etcd, "listens", lambda url: url[len("https://") : -len(":2380")] not in made.dead)
    return made


GONE = ["etcdctl member remove 1", "kubectl delete node cp2", f"kubectl delete {k0s.CONTROLLERS} host2"]


def test_k0s_calls_things_as_the_host_is_called(cluster: Cluster) -> None:
    found = cluster.remove("cp2", {})
    assert cluster.done == GONE
    assert found.lines() == ["member host2 of etcd", "node cp2", "controlnodes host2"]
    assert found.warnings() == []


def test_a_node_that_is_deleted_already_is_known_by_the_record(cluster: Cluster) -> None:
    del cluster.nodes["cp2"]
    cluster.remove("cp2", RECORD)
    assert cluster.done == [GONE[0], GONE[2]]


@pytest.mark.parametrize("where", ["node", "record"])
def test_a_recorded_address_may_be_that_of_another_host_by_now(where: str, cluster: Cluster) -> None:
    del cluster.nodes["cp2"]
    record = RECORD
    if where == "node":
        cluster.nodes["cp4"] = "10.0.0.2"
    else:
        record = {**RECORD, "addresses": {**RECORD["addresses"], "cp4": "10.0.0.2"}}
    assert cluster.remove("cp2", record).warnings() == []
    assert cluster.done == []


def test_a_host_that_is_called_as_another_node_is_left_alone(cluster: Cluster) -> None:
    """cp2 left etcd itself; the host of cp3 is called cp2, and is down for a while."""
    cluster.members = {"10.0.0.1": "host1", "10.0.0.3": "cp2"}
    cluster.controllers = {"host1": "10.0.0.1", "cp2": "10.0.0.3"}
    cluster.dead = {"10.0.0.3"}
    assert cluster.remove("cp2", RECORD).warnings() == []
    assert cluster.done == ["kubectl delete node cp2"]


def test_a_member_that_may_be_the_nodes_is_told(cluster: Cluster) -> None:
    cluster.members["10.9.9.9"] = cluster.members.pop("10.0.0.2")
    cluster.dead = {"10.9.9.9"}
    told = cluster.remove("cp2", RECORD).warnings()
    assert len(told) == 1
    assert "the control plane cp2, and these do not answer: host2 at https://10.9.9.9:2380. No control plane" in told[0]
    assert "etcdctl" not in " ".join(cluster.done)
    assert cluster.remove("w1", RECORD).warnings() == []
    cluster.done.clear()
    assert cluster.remove("host2", RECORD).warnings() == []
    assert cluster.done == ["etcdctl member remove 2"]


def test_kubeadm_calls_the_member_as_the_node(cluster: Cluster, tmp_path: pathlib.Path) -> None:
    made = Cluster(dataclasses.replace(KUBEADM.etcd, loopback=True), tmp_path)
    made.nodes, made.members = cluster.nodes, {"10.0.0.1": "cp1", "10.9.9.9": "cp2", "10.0.0.2": "cp3"}
    cluster.dead = {"10.9.9.9", "10.0.0.2"}
    made.remove("cp2", RECORD, with_controllers=False)
    assert made.done == GONE[:2]
