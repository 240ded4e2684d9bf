# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tells the runtimes apart where the same cluster of each is looked at."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.k0s import kubeconfig_in
from ansible_collections.sealer.cluster.tests.lab.canaries import (
    CERTIFICATE_KEY,
    JOIN_TOKEN,
    LASTING_TOKEN,
    PRIVATE_KEY,
    Place,
    Source,
)
from ansible_collections.sealer.cluster.tests.lab.secret_options import MADE, OPTIONS


@dataclasses.dataclass(frozen=True)
class Runtime:
    """What has to be known of a runtime to see that its cluster holds.

    image: what site installs; kubeconfig: the administrator's; etcd: the files, for curl, with which a control plane
    asks etcd; member: a pattern of what members of etcd have after their nodes' names; units: its services on any
    host; certs: where containerd is told of the mirror; tokens: how many bootstrap tokens may be there that nobody was
    told; secrets: where those that it makes are read; places: where those may be that it makes or is given; change:
    variables that restart it; balancer: where a worker's kubelet goes, if not by the name that stands for all.
    """

    name: str
    image: str
    kubeconfig: str
    etcd: str
    units: str
    certs: str
    secrets: tuple[Source, ...]
    places: tuple[Place, ...]
    member: str = ""
    tokens: int = 0
    change: t.Mapping[str, object] = dataclasses.field(default_factory=dict)
    balancer: str = ""

    @property
    def kinds(self) -> set[str]:
        """What of secrets it makes for a cluster of several control planes."""
        return {source.kind for source in self.secrets}


# The first line of a key has a header that nothing else has; that of a kubeconfig's is the same for all.
_KEY = r"PRIVATE KEY-----\n(\S+)"
_KUBECONFIG_KEY = r"client-key-data: \S{200}(\S{64})"
_MADE = frozenset({JOIN_TOKEN, LASTING_TOKEN, CERTIFICATE_KEY, PRIVATE_KEY})
_GIVEN = frozenset(set(OPTIONS.values()) - MADE)
_ETCD = "etcd keeps Secrets as they are"
_NODE_PASSWORD = "password of a k3s node"
_KEPT = "keys and tokens of the runtime, which it makes itself"
_KUBEADM_FILES = ("/memfd:kubeadm",)
_KUBELET_KEYS = ("/var/lib/kubelet/pki/*.key", "/var/lib/kubelet/pki/*.pem")
# What the roles write, whatever the runtime.
COMMON = (
    Place("/etc/containerd/certs.d/.*", _GIVEN, "containerd logs in at the mirror"),
    Place("/etc/sealer/mirror(/.*|.json)", _GIVEN, "logins of the mirror", service=True),
    Place("/var/lib/kubelet/.*", _MADE, "the kubelet's keys"),
    Place("/etc/sealer/pki/.*", _GIVEN, "keys of the mirror and of its authority", service=True),
)
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
    secrets=(
        Source(JOIN_TOKEN, _KUBEADM_FILES, r'"tlsBootstrapToken": "\w+\.(\w+)"'),
        Source(CERTIFICATE_KEY, _KUBEADM_FILES, r'"certificateKey": "([^"]+)"'),
        Source(PRIVATE_KEY, ("/etc/kubernetes/pki/*.key", "/etc/kubernetes/pki/etcd/*.key", *_KUBELET_KEYS), _KEY),
        Source(PRIVATE_KEY, ("/etc/kubernetes/*.conf",), _KUBECONFIG_KEY),
    ),
    places=(
        *COMMON,
        Place(r"/etc/kubernetes/(.*\.conf|pki/.*\.key)", _MADE, _KEPT),
        Place("/var/lib/etcd/.*", _MADE, _ETCD),
    ),
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
    secrets=(
        Source(JOIN_TOKEN, ("/etc/rancher/k3s/join-token", "/run/sealer-k3s/token"), r"::\w+[.:](\S+)"),
        Source(JOIN_TOKEN, ("/var/lib/rancher/k3s/server/*token",), r"::\w+[.:](\S+)"),
        Source(_NODE_PASSWORD, ("/etc/rancher/node/password",), r"(\S+)"),
        Source(PRIVATE_KEY, ("/var/lib/rancher/k3s/*/*.key", "/var/lib/rancher/k3s/server/tls/*.key"), _KEY),
        Source(PRIVATE_KEY, ("/var/lib/rancher/k3s/server/tls/etcd/*.key",), _KEY),
        Source(PRIVATE_KEY, ("/etc/rancher/k3s/k3s.yaml",), _KUBECONFIG_KEY),
    ),
    places=(
        *COMMON,
        Place("/etc/rancher/k3s/registries.yaml", _GIVEN, "containerd logs in at the mirror"),
        Place(
            "/etc/rancher/k3s/(config.yaml|config.yaml.d/20-sealer-datastore.yaml)", _GIVEN, "the datastore's address"
        ),
        Place("/etc/rancher/k3s/(join-token|k3s.yaml)", _MADE, _KEPT),
        Place("/etc/rancher/node/password", frozenset({_NODE_PASSWORD}), _KEPT),
        Place(r"/var/lib/rancher/k3s/(agent|server)/.*", _MADE, _KEPT),
        Place(r"/var/lib/rancher/k3s/agent/etc/containerd/certs\.d/.*", _GIVEN, "what k3s makes of registries.yaml"),
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
    secrets=(
        Source(JOIN_TOKEN, ("/run/sealer-k0s/token",), r"(\S+)"),
        Source(JOIN_TOKEN, ("/run/sealer-k0s/token",), r"token: \w+\.(\w+)", decode=kubeconfig_in),
        Source(PRIVATE_KEY, ("/var/lib/k0s/pki/*.key", "/var/lib/k0s/pki/etcd/*.key", *_KUBELET_KEYS), _KEY),
        Source(PRIVATE_KEY, ("/var/lib/k0s/pki/*.conf", "/var/lib/k0s/*.conf"), _KUBECONFIG_KEY),
    ),
    places=(
        *COMMON,
        Place("/etc/k0s/certs.d/.*", _GIVEN, "containerd logs in at the mirror"),
        Place("/etc/k0s/k0s.yaml", _GIVEN, "the address of kine's database"),
        Place("/var/lib/k0s/.*", _MADE, _KEPT, service=True),
    ),
    balancer="https://localhost:7443",
)
