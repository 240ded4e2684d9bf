# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""k3s on a host: starting its service as the first server, as a further one or as an agent, and what it joins with.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import join_token, membership, record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import SEARCH_PATH, Runner, checked
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.service import Handed, Service
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K3S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

RUNTIME = "k3s"
SERVER_UNIT, AGENT_UNIT = "k3s.service", "k3s-agent.service"
ADMIN_KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"
KUBELET_KUBECONFIG = "/var/lib/rancher/k3s/agent/kubelet.kubeconfig"
CA_CERTIFICATE = "/var/lib/rancher/k3s/agent/server-ca.crt"
CERTIFICATES = "/var/lib/rancher/k3s/server/tls"
SERVER_FILE = "/var/lib/rancher/k3s/server/token"
# An agent wants a token at each start, though its certificate counts once it is a node.
JOIN_FILE = "/etc/rancher/k3s/join-token"
RUN_DIRECTORY = "/run/sealer-k3s"
LINKS = ("cni0", "flannel.*", "flannel-v6.*", "flannel-wg*", "kube-ipvs0")
_TOKEN = re.compile(r"K10[0-9a-f]{16,}(::\S+)?|\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_BOOTSTRAP = re.compile(r"(?:^|::)(?P<token>(?P<id>[a-z0-9]{6})\.[a-z0-9]{16})$")
_NAMESPACE = "kube-system"
# A new member of etcd copies all that the others have before it counts.
_PATIENCE = 180.0


def redacted(text: str) -> str:
    """The same text without tokens."""
    return _TOKEN.sub("<redacted>", text)


def refuse_without_program() -> None:
    if shutil.which("k3s", path=SEARCH_PATH) is None:
        raise ClusterError(
            "k3s is not on this host",
            where="k3s",
            fix="Use a cluster image whose base brings k3s, and run the rootfs role first",
        )


@dataclasses.dataclass(frozen=True)
class Node:
    """The node that the host becomes."""

    name: str
    server: bool
    timeout: float

    def service(self, run: Runner) -> Service:
        return Service(
            runtime=RUNTIME,
            unit=SERVER_UNIT if self.server else AGENT_UNIT,
            traces=K3S,
            ready=lambda: self.waits_for(run),
            redact=redacted,
            timeout=self.timeout,
            links=LINKS,
        )

    def waits_for(self, run: Runner) -> t.Optional[str]:
        """Why it is not up yet; None when it is."""
        unit = SERVER_UNIT if self.server else AGENT_UNIT
        state = run(["systemctl", "is-active", unit]).stdout.strip()
        if state != "active":
            return f"{unit} is {state or 'away'}"
        kubectl = Kubectl(run, ADMIN_KUBECONFIG if self.server else KUBELET_KUBECONFIG)
        if self.server:
            done = kubectl.call("get", "--raw", "/readyz", "--request-timeout=10s")
            if done.rc != 0:
                return f"the API server is not ready: {done.output[-500:]}"
        done = kubectl.call("get", "node", self.name, "--output=name", "--request-timeout=10s")
        return f"the cluster does not know the node: {done.output[-500:]}" if done.rc != 0 else None

    def start(self, run: Runner, action: str, handed: Handed) -> str:
        """Start k3s; what an attempt left that was cut off is removed before. Returns the end of what k3s said."""
        refuse_without_program()
        service = self.service(run)
        if record.unfinished(record.read_record(K3S.record_path)):
            service.undo(run)
        return service.start(run, action, handed)


@dataclasses.dataclass(frozen=True)
class JoinRequest:
    """The membership as it is wanted."""

    name: str
    node: Node
    endpoint: str
    ca: str
    token: t.Optional[str]
    server_url: str
    refused: t.Sequence[str]

    def handed(self) -> Handed:
        """What the service is told to join with."""
        if not self.node.server:
            directory, name = os.path.split(JOIN_FILE)
            return Handed(directory, {name: f"{self.token}\n"}, {}, kept=True)
        environment = {"K3S_TOKEN_FILE": f"{RUN_DIRECTORY}/token"}
        if self.server_url:
            environment["K3S_URL"] = self.server_url
        return Handed(RUN_DIRECTORY, {"token": f"{self.token}\n"}, environment)


def initialise(run: Runner, name: str, node: Node, todo: membership.Plan, kubectl: Kubectl) -> str:
    """Carry a plan out; returns what k3s said."""
    said = ""
    if todo.start:
        said = node.start(run, "init", Handed(RUN_DIRECTORY, {}, {}))
        record.finish(name, node.name, membership.CONTROL_PLANE, K3S.record_path)
    if todo.record:
        membership.keep(todo.after, kubectl)
    return said


def needs_to_join(request: JoinRequest) -> bool:
    """Decide; changes nothing. Raises ClusterError when this host belongs to another cluster."""
    if membership.has_to_start(K3S):
        return True
    membership.refuse_other_authority(known_authority(), request.ca, CA_CERTIFICATE)
    return False


def known_authority(path: str = CA_CERTIFICATE) -> str:
    """The CA that a node trusts, in PEM form; empty where it cannot be told."""
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def join(run: Runner, request: JoinRequest) -> str:
    """Join; when that fails, k3s is off the host again. Returns what it said."""
    membership.refuse_without_credentials(request.endpoint, request.token, request.refused)
    refuse_dead_token(request)
    said = request.node.start(run, "join", request.handed())
    etcd = Etcd(run, K3S.etcd)
    if etcd.stacked:
        etcd.wait(_PATIENCE)
    record.finish(request.name, request.node.name, membership.role(request.node.server), K3S.record_path)
    return said


def refuse_dead_token(request: JoinRequest) -> None:
    """Raise ClusterError for an agents' token that is worth nothing; that of servers never expires."""
    found = _BOOTSTRAP.search(request.token or "")
    if found is not None:
        join_token.refuse_dead(f"https://{request.endpoint}/version", found["token"], request.ca, "k3s_token_ttl")


def make_token(run: Runner, role: str, ttl: str, path: str = SERVER_FILE) -> str:
    """What hosts join with, in the form that holds the hash of the cluster's CA: servers with that of all servers,
    agents with one of their own, which expires. It is on no command line.
    """
    if role == membership.WORKER:
        return checked(run, ["k3s", "token", "create", "--ttl", ttl]).strip()
    with open(path, encoding="ascii") as stream:
        return stream.read().strip()


def token_id(token: str) -> str:
    """The part of an agents' token that names it; nothing for that of servers, which cannot be taken back."""
    found = _BOOTSTRAP.search(token)
    return found["id"] if found else ""


def end_token(run: Runner, name: str) -> None:
    """End a token that is not needed any more; one that has expired is gone already."""
    done = run(["k3s", "token", "delete", name])
    if done.rc != 0 and "not found" not in done.output:
        raise ClusterError("a join token cannot be taken back", where="k3s token delete", why=redacted(done.output))


def free_names(kubectl: Kubectl, names: t.Sequence[str]) -> None:
    """Forget the passwords by which k3s knows hosts again that had these names before."""
    secrets = [f"{name}.node-password.k3s" for name in names]
    kubectl.text("delete", "secret", "-n", _NAMESPACE, "--ignore-not-found", *secrets)
