# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What preflight finds on hosts, and what it leaves in peace."""

from __future__ import annotations

import collections
import errno
import json
import os
import socket
import typing as t
from pathlib import Path

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal, Record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.preflight_checks import (
    Found,
    Port,
    Space,
    Wanted,
    examine,
    readable,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.registry_access import Registry
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.fake_registry import PASSWORD, USER, FakeRegistry

API = Wanted(ports=[Port(6443, "the API server")])
NOW = 1_700_000_000.0
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
LISTENER = "   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
CONNECTION = "   1: 0100007F:192B 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1\n"


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    root = tmp_path / "root"
    for directory in ("run/systemd/system", "proc/net", "etc/systemd/system", "var/lib"):
        (root / directory).mkdir(parents=True)
    (root / "proc/net/tcp").write_text(HEAD + CONNECTION)
    (root / "proc/swaps").write_text("Filename Type Size Used Priority\n")
    return root


def put(root: Path, path: str, text: str = "") -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def answer(command: t.Sequence[str]) -> Completed:
    """What programs say: ip tells of one address, all others fail."""
    held = {"ifname": "eth0", "addr_info": [{"local": "10.0.0.11", "prefixlen": 24}]}
    return Completed(0, json.dumps([held]), "") if command[0] == "ip" else Completed(1, "", "")


def look(root: Path, wanted: Wanted | None = None, units: t.Sequence[str] = (), name: str = "cp1") -> Found:
    journal = Journal(str(root / "journal"))
    for unit in units:
        journal.put("x", Record("unit", unit, {}))
    host = Host(lambda command, **_o: answer(command), root=str(root), check=True)
    return examine(host, journal, wanted or Wanted(), NOW, name)


@pytest.mark.parametrize("wanted", [True, False, None])
def test_a_mirror_on_a_host_that_left_the_group_is_told(root: Path, wanted: bool | None) -> None:
    host = Host(lambda command, **_o: answer(command), root=str(root), check=True)
    journal = Journal(str(root / "journal"))
    assert not examine(host, journal, Wanted(registry=wanted), NOW, "cp1").warnings
    journal.put("registry", Record("unit", "sealer-mirror.service", {}))
    told = examine(host, journal, Wanted(registry=wanted), NOW, "cp1").warnings
    assert ["registry_state=absent" in text for text in told] == ([True] if wanted is False else [])


def listen(root: Path, exe: str, cgroup: str) -> None:
    put(root, "proc/net/tcp", HEAD + CONNECTION + LISTENER)
    put(root, "proc/self/mountinfo", "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
    put(root, "proc/42/comm", "program\n")
    put(root, "proc/42/cgroup", cgroup)
    (root / "proc/42/exe").symlink_to(exe)
    (root / "proc/42/fd").mkdir()
    (root / "proc/42/fd/3").symlink_to("socket:[4711]")


def test_a_plain_host_is_ready(root: Path) -> None:
    found = look(root, Wanted(["linux/amd64", "linux/arm64"], [Port(6443, "x")], [Space("/var/x", 1)], False, NOW))
    assert (found.problems, found.warnings) == ([], [])


def _swap(root: Path) -> None:
    put(root, "proc/swaps", "Filename Type\n/dev/sda2 partition 1 0 -2\n")


@pytest.mark.parametrize(
    ("prepare", "wanted", "message"),
    [
        (_swap, Wanted(), "swap is on: /dev/sda2: the kubelet refuses"),
        (lambda root: (root / "run/systemd/system").rmdir(), Wanted(), "systemd does not run this host"),
        (None, Wanted(platforms=["linux/s390x"]), "not made for linux/"),
        (None, Wanted(controller_time=NOW - 500), "500 seconds ahead"),
        (None, Wanted(controller_time=NOW + 500), "500 seconds behind"),
        (
            lambda root: listen(root, "/usr/sbin/nginx", "0::/system.slice/nginx.service\n"),
            API,
            "port 6443 is taken: program",
        ),
        (lambda root: put(root, "proc/net/tcp6", HEAD + LISTENER), API, "another process space"),
        (lambda root: put(root, "lib/systemd/system/containerd.service"), Wanted(), "containerd.service is installed"),
        (lambda root: put(root, "etc/systemd/system/k3s.service"), Wanted(), "k3s.service is installed already"),
        (lambda root: put(root, "run/containerd/containerd.sock"), Wanted(), "a container runtime listens"),
        (lambda root: put(root, "etc/kubernetes/kubelet.conf"), Wanted(), "part of a Kubernetes cluster"),
        (None, Wanted(spaces=[Space("/var/lib/a", 1 << 60)]), "of disk space are needed"),
    ],
)
def test_problems(root: Path, prepare: t.Callable[[Path], object] | None, wanted: Wanted, message: str) -> None:
    if prepare:
        prepare(root)
    assert message in "\n".join(map(str, look(root, wanted).problems))


class Wire:
    """A socket whose kernel refuses some addresses."""

    refused: t.ClassVar[set[str]] = set()

    def __init__(self, family: int, kind: int) -> None:
        assert kind == socket.SOCK_DGRAM
        self.family = family

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_told: object) -> None:
        return None

    def connect(self, address: tuple[str, int]) -> None:
        assert (self.family == socket.AF_INET6) is (":" in address[0])
        if address[0] in self.refused:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")


@pytest.mark.parametrize(
    ("refused", "count"),
    [(set(), 0), ({"10.96.0.1"}, 1), ({"10.96.0.1", "fd00:96::1"}, 2), ({"10.96.0.2"}, 0)],
)
def test_services_need_a_route(root: Path, monkeypatch: pytest.MonkeyPatch, refused: set[str], count: int) -> None:
    monkeypatch.setattr(socket, "socket", Wire)
    monkeypatch.setattr(Wire, "refused", refused)
    told = [str(problem) for problem in look(root, Wanted(service_subnets=["10.96.0.0/12", " fd00:96::/112"])).problems]
    assert len(told) == count
    for problem in told:
        assert "there is no route to the addresses of Services" in problem
        assert "ip route add default" in problem


def test_without_service_subnets_routes_are_not_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "socket")
    assert look(root).problems == []


def test_what_is_no_subnet_is_told(root: Path) -> None:
    with pytest.raises(ClusterError, match="'10.96' is no subnet.*sealer_service_subnet"):
        look(root, Wanted(service_subnets=["10.96"]))


def test_all_problems_come_together(root: Path) -> None:
    _swap(root)
    put(root, "etc/systemd/system/k3s.service")
    assert len(look(root, Wanted(platforms=["linux/s390x"]), name="Bad_Name").problems) == 4


@pytest.mark.parametrize(
    ("exe", "cgroup", "units", "ours"),
    [
        ("/var/lib/sealer/rootfs/0a/bin/kubelet", "", [], True),
        (
            "/usr/bin/python3.11",
            "1:name=systemd:/system.slice/sealer-mirror.service\n",
            ["sealer-mirror.service"],
            True,
        ),
        ("/usr/bin/python3.11", "0::/system.slice/sealer-mirror.service\n", [], False),
        ("/kube-apiserver", "0::/kubepods.slice/x\n", ["kubelet.service"], True),
        ("/usr/local/bin/envoy", "0::/kubepods/x\n", ["k0sworker.service"], True),
        ("/kube-apiserver", "0::/kubepods.slice/x\n", [], False),
        ("/kube-apiserver", "0::/docker/c0ffee/kubepods/x\n", ["kubelet.service"], False),
        ("/usr/bin/k3s", "0::/lxc/x/system.slice/k3s.service\n", ["k3s.service"], False),
    ],
)
def test_ports_held_by_our_own(root: Path, exe: str, cgroup: str, units: list[str], ours: bool) -> None:
    listen(root, exe, cgroup)
    assert (look(root, Wanted(ports=[Port(6443, "x")]), units).problems == []) is ours


def test_a_host_installed_by_us_passes_again(root: Path) -> None:
    for unit in ("kubelet.service", "containerd.service"):
        put(root, f"etc/systemd/system/{unit}")
    for path in ("run/containerd/containerd.sock", "etc/kubernetes/kubelet.conf", "var/lib/sealer/kubeadm.json"):
        put(root, path)
    put(root, "etc/cni/net.d/10-flannel.conflist")
    found = look(root, units=["kubelet.service", "containerd.service"])
    assert (found.problems, found.warnings) == ([], [])


def test_a_masked_unit_is_no_rival_and_foreign_networks_are_only_told(root: Path) -> None:
    (root / "etc/systemd/system/k3s.service").symlink_to("/dev/null")
    put(root, "etc/cni/net.d/99-theirs.conf")
    found = look(root)
    assert found.problems == [] and "99-theirs.conf" in found.warnings[0]


def test_swap_may_be_allowed(root: Path) -> None:
    _swap(root)
    assert look(root, Wanted(swap_allowed=True)).problems == []


@pytest.mark.parametrize("name", ["a_b", "-a", "a-", "a..b", "", "x" * 64, "localhost", "localhost.localdomain"])
def test_host_names_that_cannot_name_nodes(root: Path, name: str) -> None:
    assert "host name" in str(look(root, name=name).problems[0])


@pytest.mark.parametrize("name", ["a", "CP1", "cp-1.example.com", "1"])
def test_host_names(root: Path, name: str) -> None:
    assert look(root, name=name).problems == []


def test_space_is_added_up_and_what_is_there_is_not_needed_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, "var/lib/a/blob", "x" * 8192)
    status = collections.namedtuple("status", "f_bavail f_frsize")
    monkeypatch.setattr(os, "statvfs", lambda _path: status(10, 4096))
    enough = [Space("/var/lib/a", 8192 + 20480), Space("/var/lib/b/c", 20480)]
    assert look(root, Wanted(spaces=enough)).problems == []
    too_much = [Space("/var/lib/a", 8192 + 20480), Space("/var/lib/b/c", 20481)]
    assert "40 KiB are free" in str(look(root, Wanted(spaces=too_much)).problems[0])


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1024, "1 KiB"), (5 << 20, "5 MiB"), (3 << 29, "1.5 GiB")])
def test_readable(count: int, text: str) -> None:
    assert readable(count) == text


def test_registries_are_asked_whether_they_let_the_user_in(
    root: Path, fake_registry: t.Callable[..., FakeRegistry]
) -> None:
    urls = [fake_registry(auth="basic").url for _number in range(3)]
    registries = [
        Registry(url, username=USER, password=word) for url, word in zip(urls, [PASSWORD, "1", "2"], strict=True)
    ]
    told = [str(problem) for problem in look(root, Wanted(registries=registries)).problems]
    assert len(told) == 2
    assert all(
        f"{url}/v2/ answers 401. Check user and password" in text for url, text in zip(urls[1:], told, strict=True)
    )


CLUSTER = {
    "name": "demo",
    "node": "cp1",
    "role": "control_plane",
    "runtime": {"name": "kubeadm", "version": "v1.35.4"},
    "endpoint": "api.example.com:6443",
    "networks": {"pods": "10.244.0.0/16", "services": "10.96.0.0/12"},
}


OTHER_NETWORKS = {"pods": "10.1.0.0/16", "services": "10.2.0.0/16"}


@pytest.mark.parametrize(
    ("recorded", "told"),
    [
        ({}, []),
        (CLUSTER, []),
        ({"name": "demo"}, []),
        ({"name": "shop"}, ["belongs to the cluster 'shop', and not to 'demo'"]),
        ({"runtime": {"name": "k3s", "version": "v1.35.4+k3s1"}}, ["runs k3s v1.35.4+k3s1, the image brings kubeadm"]),
        (
            {"runtime": {"name": "kubeadm", "version": "v1.34.4"}},
            ["runs kubeadm v1.34.4, the image brings kubeadm v1.3"],
        ),
        ({"endpoint": "10.0.0.1:6443"}, ["is at 10.0.0.1:6443, the inventory names api.example.com:6443"]),
        (
            {"networks": OTHER_NETWORKS},
            ["pods of the cluster are in 10.1.0.0/16", "services of the cluster are in 10.2"],
        ),
    ],
)
def test_an_image_that_does_not_fit_the_running_cluster_is_refused(
    root: Path, recorded: dict[str, t.Any], told: list[str]
) -> None:
    found = look(root, Wanted(cluster=CLUSTER, recorded={**CLUSTER, **recorded} if recorded else {}))
    assert len(found.problems) == len(told)
    assert all(text in str(problem) for text, problem in zip(told, found.problems, strict=True))


@pytest.mark.parametrize(
    ("runtime", "record", "told"),
    [
        ("kubeadm", {"cluster": "demo", "state": "done"}, ""),
        ("kubeadm", {"state": "started"}, ""),
        ("kubeadm", {"cluster": "shop", "state": "done"}, "a node of the cluster 'shop', and not of 'demo'"),
        ("kubeadm", {"cluster": "demo", "node": "cp1", "state": "done"}, ""),
        ("kubeadm", {"cluster": "demo", "node": "", "role": "control_plane", "state": "done"}, ""),
        (
            "kubeadm",
            {"cluster": "demo", "node": "cp1", "role": "worker", "state": "done"},
            "a worker of the cluster, and a control plane in the inventory",
        ),
        (
            "kubeadm",
            {"cluster": "demo", "node": "cp2", "state": "done"},
            "the node cp2, and the inventory calls it cp1",
        ),
        ("k3s", {"cluster": "demo", "state": "done"}, "a node of k3s, and the image brings kubeadm"),
        ("k0s", {"state": "started"}, "a node of k0s, and the image brings kubeadm"),
    ],
)
def test_a_node_of_another_cluster_or_runtime_is_refused(
    root: Path, runtime: str, record: dict[str, str], told: str
) -> None:
    put(root, f"var/lib/sealer/{runtime}.json", json.dumps(record))
    found = look(root, Wanted(cluster=CLUSTER))
    assert [told in str(problem) for problem in found.problems] == ([True] if told else [])
    assert look(root, Wanted()).problems == []


@pytest.mark.parametrize(
    ("pods", "services", "told"),
    [
        ("10.244.0.0/16", "10.96.0.0/12", []),
        ("10.244.0.0/16,fd01::/48", "10.96.0.0/12,fd02::/112", []),
        ("10.100.0.0/16", "10.96.0.0/12", ["pods 10.100.0.0/16 overlaps with the network of services 10.96.0.0/12"]),
        (
            "10.0.0.0/16",
            "10.96.0.0/12",
            ["pods 10.0.0.0/16 overlaps with 10.0.0.0/24, in which this host has 10.0.0.11"],
        ),
        ("10.244.0.0/16", "10.0.0.0/28", ["services 10.0.0.0/28 overlaps with 10.0.0.0/24"]),
        ("10.244.0.1/16", "x", ["'10.244.0.1/16' is no network", "'x' is no network"]),
        ("fd01::/48", "fd01::/112", ["pods fd01::/48 overlaps with the network of services fd01::/112"]),
    ],
)
def test_networks_leave_each_other_alone(root: Path, pods: str, services: str, told: list[str]) -> None:
    cluster = {**CLUSTER, "networks": {"pods": pods, "services": services}}
    found = look(root, Wanted(cluster=cluster))
    assert len(found.problems) == len(told)
    assert all(text in str(problem) for text, problem in zip(told, found.problems, strict=True))


def test_a_node_may_have_addresses_in_its_own_networks(root: Path) -> None:
    put(root, "var/lib/sealer/kubeadm.json", json.dumps({"cluster": "demo", "state": "done"}))
    cluster = {**CLUSTER, "networks": {"pods": "10.0.0.0/16", "services": "10.96.0.0/12"}}
    assert look(root, Wanted(cluster=cluster)).problems == []
