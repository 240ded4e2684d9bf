# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole resets, on a host of namespaces with what is somebody else's beside and inside what is the node's."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import shutil
import socket
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import record, traces
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import NodeReset
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import ResetSettings, printable
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.deep_directory import make_deep
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount

RUNTIMES = sorted(traces.BY_RUNTIME)
POD = "6a1f1c3e-8f0e-4a53-9d0c-0123456789ab"
PLACES = ("/run", "/usr/libexec", "/var/lib", "/var/log")
# What `kubeadm reset` of Kubernetes 1.35 does with directories (cmd/kubeadm/app/cmd/phases/reset).
KUBEADM = """#!/bin/sh
echo "$*" >> /run/kubeadm.called
grep -o ' /var/lib/kubelet/[^ ]*' /proc/mounts | xargs --no-run-if-empty umount
for place in /etc/kubernetes/manifests /etc/kubernetes/pki /var/lib/kubelet /var/lib/etcd; do
    [ ! -d $place ] || find $place/ -mindepth 1 -delete
done
"""


class Node:
    """A host that is a node of a runtime, which is told to what it was made from."""

    def __init__(self, runtime: str, directory: pathlib.Path) -> None:
        self.traces = traces.BY_RUNTIME[runtime]
        self.programs = directory / "bin"
        self.programs.mkdir()
        (self.programs / "kubeadm").write_text(KUBEADM)
        (self.programs / "kubeadm").chmod(0o755)
        self.said: t.List[str] = []
        self.answers: t.Dict[str, Completed] = {
            "systemctl is-active": Completed(3, "", ""),
            "systemctl": Completed(0, "", ""),
            **{name: Completed(1, "", f"{name} is not here") for name in ("ctr", "k0s", "k3s", "etcdctl")},
        }
        self._make_places(directory)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

    def _make_places(self, directory: pathlib.Path) -> None:
        for place in PLACES:
            mount("tmpfs", place)
        etc = directory / "etc"
        etc.mkdir()
        mount("tmpfs", etc)
        for name in ("upper", "work"):
            (etc / name).mkdir()
        mount("overlay", "/etc", "-o", f"lowerdir=/etc,upperdir={etc}/upper,workdir={etc}/work")

    def run(self, command: t.Sequence[str], *, data: t.Optional[str] = None, **_options: t.Any) -> Completed:
        line = " ".join(command)
        self.said.append(line)
        known = [answer for start, answer in self.answers.items() if line.startswith(start)]
        if known:
            return known[0]
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        given = (data or "").encode("utf-8", "surrogateescape")
        done = subprocess.run(command, input=given, capture_output=True, check=False, env=environment)
        return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())

    def begin(self) -> None:
        """What is there now was there before."""
        record.start(self.run, "init", self.traces)

    def become_one(self) -> None:
        """What each runtime leaves, in the directories that are its own alone."""
        for place in self.traces.own:
            put(f"{place}/theirs/file")
        volume = f"{self.traces.kubelet}/pods/{POD}/volumes/kubernetes.io~nfs/share"
        pathlib.Path(volume).mkdir(parents=True)
        mount("tmpfs", volume)
        put(f"{volume}/data")
        record.finish("demo", "cp1", "control_plane", self.traces.record_path)

    def reset(self, **settings: t.Any) -> t.List[str]:
        """Reset it; what stays."""
        node = NodeReset(self.run, ResetSettings(**settings), self.traces)
        kept = list(map(str, node.survey().kept))
        node.clear()
        return kept


def made(runtime: str, directory: pathlib.Path) -> Node:
    """A node on a host that had nothing before."""
    node = Node(runtime, directory)
    node.begin()
    node.become_one()
    return node


def put(path: str) -> None:
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text("precious")


def found(*places: str) -> t.List[str]:
    """All files below, but for those of this collection and of the double."""
    paths = [path for place in places for path in pathlib.Path(place).rglob("*") if path.is_file() or path.is_symlink()]
    return sorted(str(path) for path in paths if path.name not in ("kubeadm.called", "xtables.lock"))


@pytest.mark.parametrize("runtime", RUNTIMES)
@in_own_namespaces
def test_nothing_is_left_of_a_node(runtime: str, tmp_path: pathlib.Path) -> None:
    node = made(runtime, tmp_path)
    assert node.reset() == []
    assert found(*PLACES, "/etc/kubernetes", "/etc/rancher", "/etc/k0s") == []


@pytest.mark.parametrize("runtime", RUNTIMES)
@in_own_namespaces
def test_what_is_mounted_in_own_directories_stays(runtime: str, tmp_path: pathlib.Path) -> None:
    node = Node(runtime, tmp_path)
    put(f"{tmp_path}/disk/data")
    node.begin()
    node.become_one()
    places = [place for place in node.traces.own if place not in node.traces.shared]
    points = [f"{place}/{name}" for place in places for name in ("nas", "deep/er/nas")]
    points += [f"{node.traces.kubelet}/pods/nas", f"/var/log/pods/kube-system_etcd-cp1_{POD}/nas"]
    for number, point in enumerate(points):
        pathlib.Path(point).mkdir(parents=True)
        mount("tmpfs" if number % 2 else f"{tmp_path}/disk", point)
        put(f"{point}/data")
    kept = node.reset()
    assert found(*PLACES, "/etc/kubernetes", "/etc/rancher", "/etc/k0s") == sorted(f"{point}/data" for point in points)
    assert all(os.path.ismount(point) for point in points[1::2])
    told = [line for line in kept if "is mounted there, and not by the node" in line]
    assert {line.partition(":")[0] for line in told} >= set(points)


@pytest.mark.parametrize("runtime", RUNTIMES)
@in_own_namespaces
def test_a_disk_of_the_nodes_own_is_emptied_and_one_that_came_later_is_not(
    runtime: str, tmp_path: pathlib.Path
) -> None:
    node = Node(runtime, tmp_path)
    pathlib.Path("/var/lib/kubelet").mkdir()
    mount("tmpfs", "/var/lib/kubelet")
    put("/var/lib/kubelet/lost+found/mine")
    node.begin()
    node.become_one()
    mount("tmpfs", "/var/log/pods")
    put("/var/log/pods/archive")
    node.reset()
    assert os.path.ismount("/var/lib/kubelet")
    assert found(*PLACES) == ["/var/lib/kubelet/lost+found/mine", "/var/log/pods/archive"]


@pytest.mark.parametrize("runtime", RUNTIMES)
@in_own_namespaces
def test_links_lead_nowhere(runtime: str, tmp_path: pathlib.Path) -> None:
    node = made(runtime, tmp_path)
    if node.traces.kubelet == "/var/lib/kubelet":
        subprocess.run(["umount", f"/var/lib/kubelet/pods/{POD}/volumes/kubernetes.io~nfs/share"], check=True)
    for place in ("/var/log/pods", "/var/lib/kubelet"):
        moved = f"{tmp_path}/{pathlib.Path(place).name}"
        shutil.move(place, moved)
        pathlib.Path(place).symlink_to(moved)
    pathlib.Path("/var/log/containers/out").symlink_to(tmp_path)
    before = found(f"{tmp_path}/pods", f"{tmp_path}/kubelet")
    kept = node.reset()
    assert found(f"{tmp_path}/pods", f"{tmp_path}/kubelet") == before != []
    assert found(*PLACES) == ["/var/lib/kubelet", "/var/log/pods"]
    assert any(line.startswith(f"/var/lib/kubelet: it leads to {tmp_path}/kubelet since") for line in kept)


@in_own_namespaces
def test_a_link_that_was_there_before_holds_what_is_the_nodes(tmp_path: pathlib.Path) -> None:
    node = Node("kubeadm", tmp_path)
    put(f"{tmp_path}/kubelet/mine")
    pathlib.Path("/var/lib/kubelet").symlink_to(f"{tmp_path}/kubelet")
    node.begin()
    node.become_one()
    assert node.reset() == []
    assert os.readlink("/var/lib/kubelet") == f"{tmp_path}/kubelet"
    assert found(f"{tmp_path}/kubelet") == [f"{tmp_path}/kubelet/mine"]


@pytest.mark.parametrize("runtime", RUNTIMES)
@in_own_namespaces
def test_a_path_that_no_system_call_takes_goes(runtime: str, tmp_path: pathlib.Path) -> None:
    node = made(runtime, tmp_path)
    make_deep("/var/lib/kubelet")
    node.reset()
    assert not os.path.exists("/var/lib/kubelet")


@in_own_namespaces
def test_the_directory_of_a_docker_that_came_later_stays_whole(tmp_path: pathlib.Path) -> None:
    node = made("k3s", tmp_path)
    put("/run/containerd/io.containerd.runtime.v2.task/moby/c0ffee/init.pid")
    with socket.socket(socket.AF_UNIX) as docker, socket.socket(socket.AF_UNIX) as plugin:
        docker.bind("/run/containerd/containerd.sock")
        docker.listen()
        pathlib.Path("/var/lib/kubelet/device-plugins").mkdir()
        plugin.bind("/var/lib/kubelet/device-plugins/gpu.sock")
        plugin.listen()
        kept = node.reset()
        assert found("/run/containerd") == [
            "/run/containerd/io.containerd.runtime.v2.task/moby/c0ffee/init.pid",
            "/run/containerd/theirs/file",
        ]
        assert os.listdir("/var/lib/kubelet") == ["device-plugins"]
        assert os.path.exists("/var/lib/kubelet/device-plugins/gpu.sock")
    assert any(line.startswith("/run/containerd: others use it, too: /run/containerd/containerd.sock") for line in kept)
    assert not os.path.exists("/run/nri")


@in_own_namespaces
def test_kubeadm_is_asked_for_containers_alone(tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    node.reset()
    called = pathlib.Path("/run/kubeadm.called").read_text()
    socket_path = "unix:///run/containerd/containerd.sock"
    assert called == f"reset --force --skip-phases=remove-etcd-member --cri-socket {socket_path}\n"


@in_own_namespaces
def test_another_kubelet_ends_it_before_anything_is_changed(tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    before = found(*PLACES)
    (tmp_path / "kubelet").symlink_to("/bin/sleep")
    with subprocess.Popen([tmp_path / "kubelet", "60"]) as kubelet:
        node.said.clear()
        with pytest.raises(
            ClusterError, match=r"another node .*: kubelet \(process \d+.*remove /var/lib/sealer/kubeadm"
        ):
            node.reset()
        kubelet.kill()
    assert found(*PLACES) == before
    assert not [line for line in node.said if line.startswith(("systemctl stop", "umount", "unshare"))]


def rules() -> t.List[str]:
    """All rules and chains, without counters."""
    done = subprocess.run(["iptables-nft-save"], capture_output=True, text=True, check=True)
    return sorted(line.partition(" [")[0] for line in done.stdout.splitlines() if not line.startswith("#"))


def container(network: str, number: int, address: str) -> t.Tuple[str, t.List[str]]:
    """The id of a container and the rules that the plugins bridge and portmap make for it."""
    name, purpose = f"{number:064x}", f'name: "{network}" id: "{number:064x}"'
    masquerade, port = f"CNI-{network}{number}", f"CNI-DN-{network}{number}"
    return name, [
        f"-N {masquerade}",
        f"-A {masquerade} -d {address}/24 -m comment --comment '{purpose}' -j ACCEPT",
        f"-A {masquerade} ! -d 224.0.0.0/4 -m comment --comment '{purpose}' -j MASQUERADE",
        f"-A POSTROUTING -s {address}/32 -m comment --comment '{purpose}' -j {masquerade}",
        f"-N {port}",
        f"-A {port} -s {address}/32 -p tcp -m tcp --dport 80{number} -j CNI-HOSTPORT-SETMARK",
        f"-A {port} -p tcp -m tcp --dport 80{number} -j DNAT --to-destination {address}:80",
        f"-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment 'dnat {purpose}' -m multiport --dports 80{number} -j {port}",
    ]


HOST_PORTS = [
    "-N CNI-HOSTPORT-DNAT",
    "-N CNI-HOSTPORT-SETMARK",
    "-N CNI-HOSTPORT-MASQ",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT",
    "-A POSTROUTING -m comment --comment 'CNI portfwd requiring masquerade' -j CNI-HOSTPORT-MASQ",
    "-A CNI-HOSTPORT-SETMARK -m comment --comment 'CNI portfwd masquerade mark' -j MARK --set-xmark 0x2000/0x2000",
    "-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE",
]


def add(table: str, lines: t.Sequence[str]) -> None:
    for line in lines:
        subprocess.run(f"iptables-nft -t {table} {line}", shell=True, check=True)


def keep_results(network: str, name: str, *host_links: str) -> None:
    """What libcni keeps of an attachment, and the lease of host-local."""
    put(f"/var/lib/cni/networks/{network}/10.{len(network)}.0.{int(name, 16)}")
    path = f"/var/lib/cni/results/{network}-{name}-eth0"
    put(path)
    interfaces = [{"name": link} for link in host_links] + [{"name": "eth0", "sandbox": "/var/run/netns/x"}]
    result = {"kind": "cniCacheV1", "networkName": network, "containerId": name, "result": {"interfaces": interfaces}}
    pathlib.Path(path).write_text(json.dumps(result))


def podman_runs_a_container() -> str:
    """Its rules and what CNI keeps; returns the container's id."""
    name, lines = container("podman", 1, "10.88.0.2")
    add("nat", lines)
    add("filter", ["-N CNI-FORWARD", "-A FORWARD -j CNI-FORWARD", "-A CNI-FORWARD -s 10.88.0.2/32 -j ACCEPT"])
    keep_results("podman", name, "cni-podman0", "vethp")
    return name


@pytest.mark.parametrize("first", [True, False], ids=["podman before", "podman later"])
@in_own_namespaces
def test_chains_of_podman_stay(first: bool, tmp_path: pathlib.Path) -> None:
    node = Node("kubeadm", tmp_path)
    add("nat", [*HOST_PORTS, "-N CNI-0123456789abcdef"])
    podman_runs_a_container()
    wanted = rules()
    if not first:
        for table in ("nat", "filter"):
            add(table, ["-F", "-X"])
    node.begin()
    node.become_one()
    add("filter", ["-N KUBE-FORWARD", "-A FORWARD -j KUBE-FORWARD", "-N FLANNEL-FWD", "-A FORWARD -j FLANNEL-FWD"])
    if not first:
        add("nat", HOST_PORTS)
    for number in (2, 3):
        ours, lines = container("cbr0", number, f"10.244.0.{number}")
        add("nat", lines)
        keep_results("cbr0", ours, "cni0", f"veth{number}")
    if not first:
        podman_runs_a_container()
        add("nat", ["-N CNI-0123456789abcdef"])
    kept = node.reset()
    assert rules() == wanted
    name = f"{1:064x}"
    assert found("/var/lib/cni") == [
        "/var/lib/cni/networks/podman/10.6.0.1",
        f"/var/lib/cni/results/podman-{name}-eth0",
    ]
    told = "\n".join(kept)
    assert ("was there before" in told) is first
    assert ("CNI-DN-podman1, CNI-podman1: of the CNI network podman" in told) is not first
    assert ("CNI-0123456789abcdef: of a CNI network that is not known" in told) is not first


@in_own_namespaces
def test_chains_that_all_networks_share_go_when_only_pods_used_them(tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    add("nat", HOST_PORTS)
    name, lines = container("cbr0", 2, "10.244.0.2")
    add("nat", lines)
    keep_results("cbr0", name, "cni0", "veth2")
    assert node.reset() == []
    assert "CNI-" not in "\n".join(rules())


@in_own_namespaces
def test_rules_in_chains_that_were_there_before_are_as_before(tmp_path: pathlib.Path) -> None:
    node = Node("kubeadm", tmp_path)
    add("filter", ["-N KUBE-FORWARD", "-A FORWARD -j KUBE-FORWARD", "-A KUBE-FORWARD -s 192.0.2.1/32 -j DROP"])
    wanted = rules()
    node.begin()
    node.become_one()
    add("filter", ["-N KUBE-NEW", "-A KUBE-FORWARD -j KUBE-NEW", "-A KUBE-FORWARD -m mark --mark 0x4000 -j ACCEPT"])
    kept = node.reset()
    assert rules() == wanted
    assert kept == ["iptables-nft -t filter KUBE-FORWARD: was there before"]


@pytest.mark.parametrize(("name", "chain"), [("kube-proxy", "KUBE-FORWARD"), ("flanneld", "FLANNEL-FWD")])
@in_own_namespaces
def test_another_program_of_a_node_in_the_same_network_keeps_its_chains(
    name: str, chain: str, tmp_path: pathlib.Path
) -> None:
    node = made("kubeadm", tmp_path)
    add("filter", ["-N KUBE-FORWARD", "-A FORWARD -j KUBE-FORWARD", "-N FLANNEL-FWD", "-A FORWARD -j FLANNEL-FWD"])
    (tmp_path / name).symlink_to("/bin/sleep")
    with subprocess.Popen([tmp_path / name, "60"]) as program:
        kept = node.reset()
        program.kill()
    assert ("-A FORWARD -j KUBE-FORWARD" in rules()) is (name == "kube-proxy")
    assert (
        ("-A FORWARD -j FLANNEL-FWD" in rules()) is os.path.exists("/run/flannel/theirs/file") is (name == "flanneld")
    )
    assert [line for line in kept if f"{chain}: {name} (process" in line]


def link(*words: str) -> None:
    subprocess.run(["ip", "link", *words], check=True)


def link_names() -> t.List[str]:
    told = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=True).stdout
    return sorted(
        one["ifname"] for one in json.loads(told) if not one["ifname"].startswith(("sit", "ip6", "tunl", "gre"))
    )


@pytest.mark.parametrize("theirs", [True, False], ids=["shared", "alone"])
@in_own_namespaces
def test_a_bridge_on_which_containers_of_others_hang_stays(theirs: bool, tmp_path: pathlib.Path) -> None:
    node = Node("k3s", tmp_path)
    at_first = link_names()
    node.begin()
    node.become_one()
    link("add", "cni0", "type", "bridge")
    for name in ("vethpod", "vethctr"):
        link("add", name, "type", "veth", "peer", "name", f"p{name}")
        link("set", name, "master", "cni0")
    keep_results("cbr0", f"{2:064x}", "cni0", "vethpod")
    if theirs:
        keep_results("nerdctl", f"{3:064x}", "cni0", "vethctr")
    kept = node.reset()
    assert link_names() == sorted([*at_first, *(["cni0", "pvethctr", "vethctr"] if theirs else [])])
    assert [line.partition(":")[0] for line in kept] == (["link cni0", "link vethctr"] if theirs else [])


@in_own_namespaces
def test_a_network_namespace_with_somebody_in_it_stays(tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    ours, theirs = (f"/run/netns/cni-6a1f1c3e-8f0e-4a53-9d0c-0123456789a{digit}" for digit in "01")
    holders = []
    for path in (ours, theirs):
        put(path)
        holders.append(subprocess.Popen(["unshare", "--net", "sleep", "60"]))
        while os.stat(f"/proc/{holders[-1].pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            os.sched_yield()
        mount(f"/proc/{holders[-1].pid}/ns/net", path)
    holders[0].kill()
    holders[0].wait()
    kept = node.reset()
    assert sorted(os.listdir("/run/netns")) == [os.path.basename(theirs)]
    holders[1].kill()
    holders[1].wait()
    assert [line for line in kept if line.startswith(f"{theirs}: sleep (process")]


@pytest.mark.parametrize("later", [True, False], ids=["docker came later", "alone"])
@in_own_namespaces
def test_a_host_by_which_others_forward_goes_on_forwarding(later: bool, tmp_path: pathlib.Path) -> None:
    node = Node("k3s", tmp_path)
    record.write_sysctl("net.ipv4.conf.all.forwarding", "0")
    record.write_sysctl("net.ipv4.conf.all.route_localnet", "0")
    link("add", "virbr0", "type", "bridge")
    node.begin()
    node.become_one()
    for name in ("net.ipv4.conf.all.forwarding", "net.ipv4.conf.all.route_localnet"):
        record.write_sysctl(name, "1")
    # The network of pods that the image brings.
    link("add", "weave", "type", "bridge")
    if later:
        link("add", "docker0", "type", "bridge")
    kept = node.reset(links=["weave"])
    assert record.read_sysctl("net.ipv4.conf.all.route_localnet") == "0"
    assert record.read_sysctl("net.ipv4.conf.all.forwarding") == ("1" if later else "0")
    assert ("sysctl net.ipv4.conf.all.forwarding = 1: docker0 came later, and needs it" in kept) is later


@in_own_namespaces
def test_a_mount_that_covers_another_goes_whole(tmp_path: pathlib.Path) -> None:
    node = Node("k3s", tmp_path)
    put(f"{tmp_path}/nfs/data")
    node.begin()
    node.become_one()
    volume = f"/var/lib/kubelet/pods/{POD}/volumes/kubernetes.io~nfs/share"
    mount(f"{tmp_path}/nfs", volume)
    mount(f"{tmp_path}/nfs", volume)
    assert node.reset() == []
    assert not os.path.exists("/var/lib/kubelet")
    assert found(f"{tmp_path}/nfs") == [f"{tmp_path}/nfs/data"]


@in_own_namespaces
def test_a_volume_that_is_in_use_is_let_go_and_never_emptied(tmp_path: pathlib.Path) -> None:
    node = Node("k3s", tmp_path)
    put(f"{tmp_path}/nfs/data")
    node.begin()
    node.become_one()
    volume = f"/var/lib/kubelet/pods/{POD}/volumes/kubernetes.io~nfs/share"
    mount(f"{tmp_path}/nfs", volume)
    with open(f"{volume}/data") as used:
        assert node.reset() == []
        assert used.read() == "precious"
    assert not os.path.exists("/var/lib/kubelet")
    assert found(f"{tmp_path}/nfs") == [f"{tmp_path}/nfs/data"]


@in_own_namespaces
def test_a_second_reset_finds_nothing(tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    pathlib.Path("/var/lib/etcd/nas").mkdir()
    mount("tmpfs", "/var/lib/etcd/nas")
    node.reset()
    assert NodeReset(node.run, ResetSettings(), node.traces).survey().lines() == []
    forced = NodeReset(node.run, ResetSettings(force=True), node.traces)
    assert forced.survey().lines() == []
    forced.clear()
    assert os.path.ismount("/var/lib/etcd/nas")


@pytest.mark.parametrize("runtime", RUNTIMES)
@in_own_namespaces
def test_a_control_plane_leaves_etcd_before_it_is_stopped(runtime: str, tmp_path: pathlib.Path) -> None:
    node = made(runtime, tmp_path)
    members = {"members": [{"ID": number, "name": f"cp{number}"} for number in (1, 2)]}
    place = dataclasses.replace(node.traces.etcd, sign="/run/etcd", name="/run/etcd", named=r"--name=(\S+)")
    node.traces = dataclasses.replace(node.traces, etcd=place)
    pathlib.Path("/run/etcd").write_text("- etcd\n- --name=cp2\n")
    node.answers["etcdctl"] = Completed(0, json.dumps(members), "")
    node.reset()
    left = next(index for index, line in enumerate(node.said) if line.endswith("member remove 2"))
    assert left < node.said.index(f"systemctl stop {node.traces.units[0]}")
    assert not [line for line in node.said if line.endswith("member remove 1") or line == "k0s reset"]
    # Asking k3s would make it unpack itself again, and asking a containerd that is gone takes seconds.
    assert not [line for line in node.said if line.startswith(("k3s ctr", "k0s ctr"))]


@in_own_namespaces
def test_a_cluster_that_stays_keeps_its_quorum(tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    put(node.traces.etcd.sign)
    pathlib.Path(node.traces.etcd.name).write_text("- --name=cp1\n")
    node.answers["etcdctl"] = Completed(0, json.dumps({"members": [{"ID": 1, "name": "cp1"}]}), "")
    with pytest.raises(
        ClusterError, match="the cluster would not go on without this control plane: it is the last one"
    ):
        node.reset(keep_quorum=True)
    assert not [line for line in node.said if line.startswith("systemctl stop")]
    node.reset()
    assert not os.path.exists("/etc/kubernetes")


@in_own_namespaces
def test_containers_of_pods_are_removed_and_their_neighbours_mounts_stay(tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    roots = {name: f"/run/containerd/io.containerd.runtime.v2.task/k8s.io/{name}/rootfs" for name in ("pod", "nerdctl")}
    for path in roots.values():
        pathlib.Path(path).mkdir(parents=True)
        mount("tmpfs", path)
    listing = "ctr --address /run/containerd/containerd.sock --namespace k8s.io containers list --quiet"
    node.answers = {
        f"{listing} labels": Completed(0, "pod\n", ""),
        listing: Completed(0, "nerdctl\npod\n", ""),
        **node.answers,
    }
    survey = NodeReset(node.run, ResetSettings(), node.traces).survey()
    assert survey.containers == ["pod"]
    assert roots["pod"] in survey.mounts and roots["nerdctl"] not in survey.mounts
    node.answers[f"{listing} labels"] = Completed(0, "", "")
    node.reset()
    assert os.path.ismount(roots["nerdctl"])


@in_own_namespaces
def test_what_is_still_there_is_told(tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    node.answers["systemctl is-active"] = Completed(0, "", "")
    with pytest.raises(
        ClusterError, match=r"still there after the reset: service kubelet\.service\. Run the reset again"
    ):
        node.reset()
    assert os.path.exists(node.traces.record_path)


@in_own_namespaces
def test_an_address_that_pods_gave_goes_with_them(tmp_path: pathlib.Path) -> None:
    node = Node("kubeadm", tmp_path)
    link("add", "eth0", "type", "bridge")
    subprocess.run(["ip", "address", "add", "192.0.2.11/24", "dev", "eth0"], check=True)
    node.begin()
    node.become_one()
    subprocess.run(["ip", "address", "add", "192.0.2.50/32", "dev", "eth0"], check=True)
    node.reset(addresses=["192.0.2.50", "192.0.2.11"])
    told = subprocess.run(["ip", "-oneline", "-4", "address"], capture_output=True, text=True, check=True).stdout
    assert "192.0.2.11/24" in told and "192.0.2.50" not in told
    # Before that the pod could take it again.
    deleted = node.said.index("ip address delete 192.0.2.50/32 dev eth0")
    assert node.said.index("systemctl stop kubelet.service") < deleted


@pytest.mark.parametrize("driver", ["kubepods", "kubepods.slice"])
@in_own_namespaces
def test_control_groups_of_pods_go_and_those_of_containers_stay(driver: str, tmp_path: pathlib.Path) -> None:
    node = made("kubeadm", tmp_path)
    for name in (driver, "docker/c0ffee/kubepods", "lxc.payload.x/kubepods.slice"):
        pathlib.Path(f"/sys/fs/cgroup/{name}/pod1").mkdir(parents=True)
    node.reset()
    assert not os.path.exists(f"/sys/fs/cgroup/{driver}")
    assert os.path.isdir("/sys/fs/cgroup/docker/c0ffee/kubepods/pod1")
    assert os.path.isdir("/sys/fs/cgroup/lxc.payload.x/kubepods.slice/pod1")
    assert ("systemctl stop kubepods.slice" in node.said) is (driver == "kubepods.slice")


@in_own_namespaces
def test_names_of_any_bytes_are_kept_and_told(tmp_path: pathlib.Path) -> None:
    node = Node("kubeadm", tmp_path)
    pathlib.Path("/var/log/pods").mkdir()
    odd = os.fsdecode(b"/var/log/pods/\xff")
    pathlib.Path(odd).mkdir()
    mount("tmpfs", odd)
    node.begin()
    node.become_one()
    pathlib.Path(f"{odd}2").mkdir()
    kept = node.reset()
    assert os.listdir("/var/log/pods") == [os.path.basename(odd)]
    assert [printable(line)[:20] for line in kept] == ["/var/log/pods/\\udcff"]
