# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each runtime leaves on a host, as data: record.py notes what was there before, node_reset.py puts it back.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

_LOGS = ("/var/log/containers", "/var/log/pods")
_NETWORK = (
    "/etc/cni/net.d",
    "/etc/cni",
    "/lib/modules",
    "/run/flannel",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/cni/networks",
    "/var/lib/cni/results",
)
# Containers of others need these, too.
FORWARDING = (
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.forwarding",
    "net.ipv4.conf.default.forwarding",
    "net.ipv6.conf.all.forwarding",
    "net.ipv6.conf.default.forwarding",
)
_SYSCTLS = (
    "kernel.keys.root_maxbytes",
    "kernel.keys.root_maxkeys",
    "kernel.panic",
    "kernel.panic_on_oops",
    "net.ipv4.conf.all.route_localnet",
    "net.ipv4.vs.conn_reuse_mode",
    "net.ipv4.vs.conntrack",
    "net.ipv4.vs.expire_nodest_conn",
    "net.ipv4.vs.expire_quiescent_template",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
    "net.netfilter.nf_conntrack_tcp_timeout_close_wait",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_udp_timeout",
    "net.netfilter.nf_conntrack_udp_timeout_stream",
    "vm.overcommit_memory",
    "vm.panic_on_oom",
)


@dataclasses.dataclass(frozen=True)
class EtcdPlace:
    """Where a control plane has its member of etcd.

    sign: a path that is there with it, empty where it is no business of ours; ca, certificate, key: how a client is
    known; suffix: what follows the name of the node in that of the member, as a regular expression; name: the file
    that holds the member's name; named: the regular expression that finds it there; loopback: whether members answer
    clients of their own hosts alone; by_host: whether a member is called as its host is, and not as its node.
    """

    sign: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    suffix: str = ""
    name: str = ""
    named: str = r"(\S+)"
    loopback: bool = False
    by_host: bool = False


@dataclasses.dataclass(frozen=True)
class Traces:
    """A runtime as reset sees it.

    record_path: where is kept what the host was like before; nodes: files that only a node has; own: directories
    that are removed with all that is in them, but for what was there before; shared: those among them that other
    programs use under the same name, which go whole or not at all; files: single files like own directories;
    directories: those whose entries are noted; ctr: how to ask its container runtime, whose socket is there while it
    can be asked; units: services, stopped in this order; kubelet, containerd: where these mount what pods need; cni: a
    directory with the configuration of the pods' networks, if the runtime has one of its own; reset: what asks any
    container runtime to remove its pods, if the runtime has that; etcd: its member of etcd.
    """

    record_path: str
    nodes: t.Sequence[str]
    own: t.Sequence[str]
    files: t.Sequence[str]
    directories: t.Sequence[str]
    sysctls: t.Sequence[str]
    units: t.Sequence[str]
    ctr: t.Sequence[str]
    kubelet: str
    containerd: str
    shared: t.Sequence[str] = ()
    cni: str = ""
    reset: t.Sequence[str] = ()
    socket: str = ""
    etcd: EtcdPlace = EtcdPlace()


KUBEADM = Traces(
    record_path="/var/lib/sealer/kubeadm.json",
    nodes=("/etc/kubernetes/kubelet.conf",),
    own=(
        "/etc/kubernetes",
        "/run/flannel",
        "/usr/libexec/kubernetes",
        "/var/lib/etcd",
        "/var/lib/kubelet",
        *_LOGS,
    ),
    files=("/run/xtables.lock",),
    directories=(
        *_NETWORK,
        "/etc/kubernetes",
        "/usr/libexec/kubernetes",
        "/var/lib/etcd",
        "/var/lib/kubelet",
        *_LOGS,
    ),
    sysctls=_SYSCTLS,
    units=("kubelet.service",),
    ctr=("ctr", "--address", "{socket}", "--namespace", "k8s.io"),
    kubelet="/var/lib/kubelet",
    containerd="/run/containerd",
    # It empties directories, too, also what is mounted there: it is run where it sees none of them.
    reset=("kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member", "--cri-socket", "{cri_socket}"),
    etcd=EtcdPlace(
        sign="/etc/kubernetes/manifests/etcd.yaml",
        ca="/etc/kubernetes/pki/etcd/ca.crt",
        certificate="/etc/kubernetes/pki/etcd/server.crt",
        key="/etc/kubernetes/pki/etcd/server.key",
        name="/etc/kubernetes/manifests/etcd.yaml",
        named=r"--name=(\S+)",
    ),
)

K0S = Traces(
    record_path="/var/lib/sealer/k0s.json",
    nodes=("/var/lib/k0s/kubelet.conf", "/var/lib/k0s/pki/admin.conf"),
    own=("/run/flannel", "/run/k0s", "/usr/libexec/k0s", "/var/lib/k0s", "/var/lib/kubelet", *_LOGS),
    files=("/etc/k0s/containerd.toml", "/run/xtables.lock"),
    directories=(
        *_NETWORK,
        "/etc/k0s",
        "/run/k0s",
        "/usr/libexec/k0s",
        "/var/lib/k0s",
        "/var/lib/kubelet",
        *_LOGS,
    ),
    sysctls=(*_SYSCTLS, *FORWARDING),
    units=("k0scontroller.service", "k0sworker.service"),
    # Without a limit it tries for ten seconds to reach a containerd that was killed and left its socket.
    ctr=("k0s", "ctr", "--connect-timeout", "2s", "--namespace", "k8s.io"),
    kubelet="/var/lib/k0s/kubelet",
    containerd="/run/k0s/containerd",
    socket="/run/k0s/containerd.sock",
    etcd=EtcdPlace(
        sign="/var/lib/k0s/etcd/member",
        ca="/var/lib/k0s/pki/etcd/ca.crt",
        certificate="/var/lib/k0s/pki/apiserver-etcd-client.crt",
        key="/var/lib/k0s/pki/apiserver-etcd-client.key",
        name="/proc/sys/kernel/hostname",
        loopback=True,
        by_host=True,
    ),
)

_K3S_OWN = (
    "/etc/rancher/k3s",
    "/etc/rancher/node",
    "/run/containerd",
    "/run/flannel",
    "/run/k3s",
    "/run/nri",
    "/usr/libexec/kubernetes",
    # Its data, taken apart as far down as there may be a file of ours.
    "/var/lib/rancher/k3s/agent/etc/containerd",
    "/var/lib/rancher/k3s/agent/etc/kubelet.conf.d",
    "/var/lib/rancher/k3s/agent/etc",
    "/var/lib/rancher/k3s/agent",
    "/var/lib/rancher/k3s",
    "/var/lib/kubelet",
    *_LOGS,
)

K3S = Traces(
    record_path="/var/lib/sealer/k3s.json",
    nodes=("/var/lib/rancher/k3s/agent/kubelet.kubeconfig",),
    own=_K3S_OWN,
    files=("/run/xtables.lock",),
    directories=(*(path for path in _NETWORK if path not in _K3S_OWN), *_K3S_OWN),
    sysctls=(*_SYSCTLS, *FORWARDING),
    units=("k3s.service", "k3s-agent.service"),
    ctr=("k3s", "ctr", "--namespace", "k8s.io"),
    kubelet="/var/lib/kubelet",
    containerd="/run/k3s/containerd",
    shared=("/run/containerd", "/run/nri"),
    cni="/var/lib/rancher/k3s/agent/etc/cni/net.d",
    socket="/run/k3s/containerd/containerd.sock",
    etcd=EtcdPlace(
        sign="/var/lib/rancher/k3s/server/db/etcd",
        ca="/var/lib/rancher/k3s/server/tls/etcd/server-ca.crt",
        certificate="/var/lib/rancher/k3s/server/tls/etcd/client.crt",
        key="/var/lib/rancher/k3s/server/tls/etcd/client.key",
        suffix="-[0-9a-f]{8}",
        name="/var/lib/rancher/k3s/server/db/etcd/name",
    ),
)

BY_RUNTIME = {"k0s": K0S, "k3s": K3S, "kubeadm": KUBEADM}
