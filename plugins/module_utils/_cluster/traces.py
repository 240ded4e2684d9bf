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
_NETWORK = ("/etc/cni/net.d", "/etc/cni", "/lib/modules", "/run/flannel", "/run/netns", "/var/lib/cni")
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
class Traces:
    """A runtime as reset sees it.

    record_path: where is kept what the host was like before; nodes: files that only a node has; own: directories
    that are removed with all that is in them, but for what was there before; files: single files like that;
    directories: those whose entries are noted; ctr: how to ask its container runtime; units: services, stopped in this
    order; reset: its own way to reset, run once they are stopped if reset_stopped is set.
    """

    record_path: str
    nodes: t.Sequence[str]
    own: t.Sequence[str]
    files: t.Sequence[str]
    directories: t.Sequence[str]
    sysctls: t.Sequence[str]
    units: t.Sequence[str]
    ctr: t.Sequence[str]
    reset: t.Sequence[str]
    reset_stopped: bool
    mounts: t.Sequence[str]


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
    reset=("kubeadm", "reset", "--force", "--cri-socket", "{cri_socket}"),
    reset_stopped=False,
    mounts=(
        "/var/lib/kubelet/",
        "/run/netns/cni-",
        "/run/containerd/io.containerd.runtime.v2.task/k8s.io/",
        "/run/containerd/io.containerd.grpc.v1.cri/",
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
    sysctls=(
        *_SYSCTLS,
        "net.bridge.bridge-nf-call-ip6tables",
        "net.bridge.bridge-nf-call-iptables",
        "net.ipv4.conf.all.forwarding",
        "net.ipv4.conf.default.forwarding",
        "net.ipv6.conf.all.forwarding",
        "net.ipv6.conf.default.forwarding",
    ),
    units=("k0scontroller.service", "k0sworker.service"),
    ctr=("k0s", "ctr", "--namespace", "k8s.io"),
    reset=("k0s", "reset"),
    reset_stopped=True,
    mounts=("/var/lib/k0s/kubelet/", "/run/netns/cni-", "/run/k0s/"),
)

BY_RUNTIME = {"k0s": K0S, "kubeadm": KUBEADM}
