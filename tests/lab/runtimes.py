# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tells the runtimes apart where the same cluster of each is looked at."""

from __future__ import annotations

import dataclasses
import typing as t


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What has to be known of a runtime to see that its cluster holds.

    image: what site installs; kubeconfig: the administrator's; etcd: the files, for curl, with which a control plane
    asks etcd; member: a pattern of what members of etcd have after their nodes' names; units: its services on any
    host; certs: where containerd is told of the mirror; tokens: how many bootstrap tokens may be there that nobody was
    told; left: prints what of credentials is on a host; change: variables that restart it; balancer: where a worker's
    kubelet goes, if not by the name that stands for all.
    """

    name: str
    image: str
    kubeconfig: str
    etcd: str
    units: str
    certs: str
    left: str
    member: str = ""
    tokens: int = 0
    change: t.Mapping[str, object] = dataclasses.field(default_factory=dict)
    balancer: str = ""


KUBEADM = Runtime(
    name="kubeadm",
    image="mysql:1",
    kubeconfig="/etc/kubernetes/admin.conf",
    etcd=(
        "--cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt"
        " --key /etc/kubernetes/pki/etcd/server.key"
    ),
    units="containerd kubelet",
    certs="/etc/containerd/certs.d",
    left="grep -rlsI certificateKey /root /tmp /etc/kubernetes /var/lib/sealer; true",
    tokens=1,
)
K3S = Runtime(
    name="k3s",
    image="mysql-k3s:1",
    kubeconfig="/etc/rancher/k3s/k3s.yaml",
    etcd=(
        "--cacert /var/lib/rancher/k3s/server/tls/etcd/server-ca.crt"
        " --cert /var/lib/rancher/k3s/server/tls/etcd/client.crt"
        " --key /var/lib/rancher/k3s/server/tls/etcd/client.key"
    ),
    units="k3s k3s-agent",
    certs="/var/lib/rancher/k3s/agent/etc/containerd/certs.d",
    left=(
        "cd /etc/rancher/k3s; find . /var/lib/rancher/k3s/server -maxdepth 1 -type f -name '*token' -perm /077;"
        " secret=$(cat join-token /var/lib/rancher/k3s/server/token 2>/dev/null | head -n 1 | sed 's/.*://');"
        ' [ -n "$secret" ] || echo no token was found;'
        " for file in /proc/[0-9]*/cmdline /proc/[0-9]*/environ /etc/sealer/cluster.json config.yaml; do"
        ' case $(tr -d "\\0" 2>/dev/null <$file) in *"$secret"*) echo $file;; esac; done;'
        " ls -d /run/sealer-k3s 2>/dev/null; true"
    ),
    member="-[0-9a-f]{8}",
    change={"k3s_airgap": False},
)
K0S = Runtime(
    name="k0s",
    image="mysql-k0s:1",
    kubeconfig="/var/lib/k0s/pki/admin.conf",
    etcd=(
        "--cacert /var/lib/k0s/pki/etcd/ca.crt --cert /var/lib/k0s/pki/apiserver-etcd-client.crt"
        " --key /var/lib/k0s/pki/apiserver-etcd-client.key"
    ),
    units="k0scontroller k0sworker",
    certs="/etc/k0s/certs.d",
    left="ls -d /run/sealer-k0s 2>/dev/null; true",
    balancer="https://localhost:7443",
)
