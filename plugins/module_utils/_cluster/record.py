# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/var/lib/sealer/kubeadm.json: what a host was like before kubeadm changed it, so that reset can put it back.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import netfilter
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import (
    Json,
    read_json,
    remove,
    write_json,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.links import link_names

RECORD_PATH = "/var/lib/sealer/kubeadm.json"
STARTED = "started"
DONE = "done"

# Values that the kubelet and kube-proxy write without asking.
SYSCTLS = (
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

# Directories that Kubernetes, its pods and CNI plugins fill. Children stand before their parents.
DIRECTORIES = (
    "/etc/cni/net.d",
    "/etc/cni",
    "/etc/kubernetes",
    "/lib/modules",
    "/run/flannel",
    "/run/netns",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/etcd",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
# Files that kube-proxy's pod makes on the host.
FILES = ("/run/xtables.lock",)


def sysctl_path(name: str) -> str:
    return "/proc/sys/" + name.replace(".", "/")


def read_sysctl(name: str) -> t.Optional[str]:
    """The value, or None where the kernel does not have it here."""
    try:
        with open(sysctl_path(name), encoding="ascii") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return None


def write_sysctl(name: str, value: str) -> None:
    with open(sysctl_path(name), "w", encoding="ascii") as stream:
        stream.write(value)


def _entries(directory: str) -> t.Optional[t.List[str]]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return None


def snapshot(run: Runner) -> Json:
    """What reset has to know of the host as it is now."""
    return {
        "sysctls": {name: value for name in SYSCTLS for value in [read_sysctl(name)] if value is not None},
        "directories": {path: found for path in DIRECTORIES for found in [_entries(path)] if found is not None},
        "files": [path for path in FILES if os.path.exists(path)],
        "links": link_names(run),
        "nft_tables": [list(table) for table in netfilter.nft_tables(run)],
    }


def read_record(path: str = RECORD_PATH) -> t.Optional[Json]:
    return read_json(path)


def start(run: Runner, action: str, path: str = RECORD_PATH) -> None:
    """Note that kubeadm is about to change this host; what an unfinished attempt noted before stays."""
    earlier = read_json(path)
    before = earlier["before"] if earlier else snapshot(run)
    write_json(path, {"schemaVersion": 1, "action": action, "state": STARTED, "before": before})


def finish(details: Json, path: str = RECORD_PATH) -> None:
    """Note that kubeadm came to its end."""
    record = read_json(path) or {}
    record.update(details, state=DONE)
    write_json(path, record)


def forget(path: str = RECORD_PATH) -> None:
    remove(path)
