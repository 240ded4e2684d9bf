# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""etcd's members: who is well, who was left behind, and that nobody is removed who still answers."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import socket
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import etcd
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.addresses import NodeIdentity
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd, listens, place_here
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S, K3S, KUBEADM
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

BIG = 17_446_744_073_709_551_615


class Cluster:
    """A fake etcdctl, and a clock that goes on when somebody sleeps."""

    def __init__(self, *names: str) -> None:
        self.members: t.List[t.Dict[str, t.Any]] = [
            {
                "ID": BIG - index,
                "name": name,
                "peerURLs": [f"https://10.0.0.{index + 1}:2380"],
                "clientURLs": [f"https://10.0.0.{index + 1}:2379"] if name else [],
            }
            for index, name in enumerate(names)
        ]
        self.silent: t.Set[str] = set()
        self.removed: t.List[str] = []
        self.now = 0.0
        self.heal_at = float("inf")
        self.etcd = Etcd(self.run, clock=lambda: self.now, sleep=self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.heal_at:
            self.silent.clear()

    def run(self, command: t.Sequence[str], **_options: t.Any) -> Completed:
        assert command[0] == "etcdctl" and any(word.startswith("--cert=") for word in command)
        action = list(command[command.index("--write-out=json") + 1 :])
        if action == ["member", "list"]:
            return Completed(0, json.dumps({"members": self.members}), "")
        if action == ["endpoint", "health"]:
            asked = command[1].partition("=")[2].split(",")
            return Completed(1 if self.silent & set(asked) else 0, "[]", "")
        assert action[:2] == ["member", "remove"]
        self.removed.append(action[2])
        self.members = [member for member in self.members if f"{member['ID']:x}" != action[2]]
        return Completed(0, "{}", "")


def test_all_are_well() -> None:
    cluster = Cluster("cp1", "cp2", "cp3")
    assert cluster.etcd.troubles() == []
    cluster.etcd.wait()
    assert cluster.now == 0


def test_who_is_not_well_is_named() -> None:
    cluster = Cluster("cp1", "cp2", "cp3", "")
    cluster.silent = {"https://10.0.0.2:2379"}
    cluster.members[2]["isLearner"] = True
    assert cluster.etcd.troubles() == [
        "cp2: it does not answer",
        "cp3: it still learns what the others know",
        "https://10.0.0.4:2380: it was never started",
    ]
    with pytest.raises(ClusterError, match="cp2: it does not answer"):
        cluster.etcd.wait()
    assert cluster.now >= 30


def test_a_member_that_comes_back_is_waited_for() -> None:
    cluster = Cluster("cp1", "cp2")
    cluster.silent, cluster.heal_at = {"https://10.0.0.2:2379"}, 5
    cluster.etcd.wait()
    assert cluster.now == 5


@pytest.mark.parametrize(
    ("names", "silent", "address", "left"),
    [
        (("cp1", "cp2"), (), "10.0.0.2", []),
        (("cp1", "cp2"), ("https://10.0.0.2:2379",), "10.0.0.2", [BIG - 1]),
        (("cp1", ""), (), "10.0.0.2", [BIG - 1]),
        (("cp1", ""), (), "10.0.0.3", []),
        (("cp1", ""), (), "", []),
        (("cp1", "cp2"), ("https://10.0.0.1:2379",), "10.0.0.1", []),
    ],
    ids=["it answers", "it is silent", "never started", "another host's", "no address known", "not of that name"],
)
def test_what_a_host_left_behind(
    names: t.Sequence[str], silent: t.Sequence[str], address: str, left: t.Sequence[int]
) -> None:
    cluster = Cluster(*names)
    cluster.silent = set(silent)
    node = NodeIdentity("cp2", frozenset({address} - {""}))
    assert [member.number for member in cluster.etcd.left_by(node)] == left


def test_members_of_k3s_have_more_than_their_nodes_name(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster("cp1-0a1b2c3d", "cp2-0a1b2c3d", "cp2-x-0a1b2c3d", "cp2")
    cluster.silent = {f"https://10.0.0.{number}:2379" for number in (2, 3, 4)}
    cluster.etcd = Etcd(cluster.run, K3S.etcd)
    assert [member.name for member in cluster.etcd.left_by(NodeIdentity("cp2"))] == ["cp2-0a1b2c3d"]


def test_members_of_k0s_are_known_by_their_peers_port(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster("cp1", "cp2", "cp3")
    # Each of them tells clients of an address that only its own host has.
    for member in cluster.members:
        member["clientURLs"] = ["https://127.0.0.1:2379"]
    monkeypatch.setattr(etcd, "listens", lambda url: url != "https://10.0.0.2:2380")
    cluster.etcd = Etcd(cluster.run, K0S.etcd)
    assert cluster.etcd.troubles() == ["cp2: it does not answer"]
    assert [member.name for member in cluster.etcd.left_by(NodeIdentity("cp2"))] == ["cp2"]
    assert cluster.etcd.left_by(NodeIdentity("cp3")) == []


def test_who_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        assert listens(url)
    assert not listens(url)


@pytest.mark.parametrize(
    ("names", "removed"),
    [(("cp1-00000001", "cp2-00000002"), [f"{BIG - 1:x}"]), (("cp2-00000002",), []), (("cp1-00000001", "other"), [])],
    ids=["one of two", "the last", "gone already"],
)
def test_a_control_plane_leaves_while_others_stay(
    names: t.Sequence[str], removed: t.Sequence[str], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "name").write_text("cp2-00000002\n")
    cluster = Cluster(*names)
    place = dataclasses.replace(K3S.etcd, sign=str(tmp_path), name=str(tmp_path / "name"))
    assert Etcd(cluster.run, place).leave() == ""
    assert cluster.removed == removed
    assert Etcd(cluster.run, dataclasses.replace(place, sign=str(tmp_path / "no"))).leave() == ""


def test_who_cannot_leave_says_why(tmp_path: pathlib.Path) -> None:
    place = dataclasses.replace(K3S.etcd, sign=str(tmp_path), name=str(tmp_path / "name"))
    assert "name" in Etcd(Cluster("cp1").run, place).leave()
    (tmp_path / "name").write_text("cp1")
    assert "refused" in Etcd(lambda *_given, **_options: Completed(1, "", "refused"), place).leave()


def leaver(cluster: Cluster, directory: pathlib.Path) -> Etcd:
    """etcd as cp2 sees it."""
    (directory / "etcd.yaml").write_text("    - etcd\n    - --name=cp2\n")
    manifest = str(directory / "etcd.yaml")
    return Etcd(cluster.run, dataclasses.replace(KUBEADM.etcd, sign=manifest, name=manifest))


@pytest.mark.parametrize(
    ("names", "silent", "told"),
    [
        (("cp1", "cp2", "cp3"), (), ""),
        (("cp1", "cp2"), (), ""),
        (("cp1", "cp2", "cp3", "cp4"), (1,), ""),
        (("cp1", "cp2", "cp3"), (1,), "cp1: it does not answer"),
        (("cp1", "cp2"), (1,), "cp1: it does not answer"),
        (("cp2",), (), "it is the last one"),
        # It is no member any more.
        (("cp1", "cp3"), (1,), ""),
    ],
)
def test_nobody_leaves_who_takes_the_quorum_along(
    names: t.Sequence[str], silent: t.Sequence[int], told: str, tmp_path: pathlib.Path
) -> None:
    cluster = Cluster(*names)
    cluster.silent = {f"https://10.0.0.{number}:2379" for number in silent}
    with pytest.raises(ClusterError, match=f"{told}. (Bring|To end)") if told else contextlib.nullcontext():
        leaver(cluster, tmp_path).refuse_to_leave_without_quorum()
    assert cluster.removed == []


@pytest.mark.parametrize("alive", [True, False])
def test_a_member_without_a_quorum_may_have_the_last_copy(
    alive: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster("cp1", "cp2", "cp3")

    def run(command: t.Sequence[str], **_options: t.Any) -> Completed:
        return Completed(0 if alive and "status" in command else 1, "", "context deadline exceeded")

    monkeypatch.setattr(cluster, "run", run)
    with pytest.raises(ClusterError, match="last copy of the cluster's data") if alive else contextlib.nullcontext():
        leaver(cluster, tmp_path).refuse_to_leave_without_quorum()


def test_a_member_that_cannot_be_asked_does_not_count_as_dead(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Cluster("cp1", "cp2", "cp3")
    monkeypatch.setattr(cluster, "run", lambda *_given, **_options: Completed(NOT_FOUND, "", ""))
    with pytest.raises(ClusterError, match="etcd.yaml: etcdctl is not on this host. Use a cluster image"):
        leaver(cluster, tmp_path).refuse_to_leave_without_quorum()


def test_a_host_without_a_member_may_always_leave(tmp_path: pathlib.Path) -> None:
    cluster = Cluster("cp1")
    etcd_elsewhere = leaver(cluster, tmp_path)
    (tmp_path / "etcd.yaml").unlink()
    etcd_elsewhere.refuse_to_leave_without_quorum()


def test_the_place_of_the_runtime_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for known in (KUBEADM.etcd, K3S.etcd, K0S.etcd):
        monkeypatch.setattr("os.path.exists", lambda path, sign=known.sign: path == sign)
        assert place_here() == known
    monkeypatch.setattr("os.path.exists", lambda _path: False)
    assert not Etcd(Cluster().run, place_here()).stacked


def test_members_are_removed_by_their_number_in_hexadecimal() -> None:
    cluster = Cluster("cp1", "cp2")
    cluster.etcd.remove(cluster.etcd.members()[1])
    assert cluster.removed == [f"{BIG - 1:x}"]


@pytest.mark.parametrize("name", ["", "cp3"], ids=["never started", "started and gone"])
def test_a_join_makes_room_for_itself_and_nobody_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster("cp1", "cp2", name)
    cluster.silent = {"https://10.0.0.3:2379"}
    monkeypatch.setattr(Etcd, "stacked", False)
    cluster.etcd.make_room("cp3", "10.0.0.3")
    assert cluster.removed == []
    monkeypatch.setattr(Etcd, "stacked", True)
    cluster.etcd.make_room("cp3", "10.0.0.3")
    assert cluster.removed == [f"{BIG - 2:x}"]
    cluster.silent = {"https://10.0.0.2:2379"}
    with pytest.raises(ClusterError, match="cp2: it does not answer"):
        cluster.etcd.make_room("cp3", "10.0.0.3")
    assert len(cluster.removed) == 1


def test_a_join_of_k0s_makes_room_at_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster("host1", "host2")
    monkeypatch.setattr(Etcd, "stacked", True)
    monkeypatch.setattr(etcd, "listens", lambda url: url != "https://10.0.0.2:2380")
    Etcd(cluster.run, K0S.etcd).make_room("cp2", "10.0.0.2")
    assert cluster.removed == [f"{BIG - 1:x}"]


@pytest.mark.parametrize(
    ("rc", "told"), [(NOT_FOUND, "etcdctl is not on this host"), (1, "etcd does not answer.*refused")]
)
def test_no_etcdctl_and_no_etcd(rc: int, told: str) -> None:
    def broken(command: t.Sequence[str], **_options: t.Any) -> Completed:
        return Completed(rc, "", "connection refused")

    with pytest.raises(ClusterError, match=told):
        Etcd(broken).members()
