# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster of k0s: starting it, joining it, tokens for that, who is a member.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, kubeadm_info, membership, record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.certificates import expiry
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_ROLES = {membership.CONTROL_PLANE: "controller", membership.WORKER: "worker"}
_ROLE_LABEL = "node.k0sproject.io/role"
_ETCD_SECONDS = "30"


@dataclasses.dataclass(frozen=True)
class JoinRequest:
    """The membership as it is wanted."""

    name: str
    node: k0s.Node
    endpoint: str
    ca: str
    token: t.Optional[str]
    refused: t.Sequence[str] = ()


def initialise(run: Runner, name: str, node: k0s.Node, todo: membership.Plan, kubectl: Kubectl) -> str:
    """Carry a plan out; returns what k0s said."""
    said = ""
    if todo.start:
        said = node.start(run, kubectl, "init")
        record.finish(name, node.name, membership.CONTROL_PLANE, K0S.record_path)
    if todo.record:
        membership.keep(todo.after, kubectl)
    return said


def needs_to_join(request: JoinRequest) -> bool:
    """Decide; changes nothing. Raises ClusterError when this host belongs to another cluster."""
    if membership.has_to_start(K0S):
        return True
    controller = request.node.controller
    where = k0s.CA_CERTIFICATE if controller else k0s.KUBELET_KUBECONFIG
    membership.refuse_other_authority(k0s.known_authority(controller), request.ca, where)
    return False


def join(run: Runner, request: JoinRequest, kubectl: Kubectl) -> str:
    """Join; when that fails, k0s is off the host again. Returns what it said."""
    membership.refuse_without_credentials(request.endpoint, request.token, request.refused)
    k0s.refuse_dead_token(str(request.token), request.node.controller, request.ca)
    said = request.node.start(run, kubectl, "join", request.token)
    record.finish(request.name, request.node.name, membership.role(request.node.controller), K0S.record_path)
    return said


def create_token(run: Runner, role: str, ttl: str) -> str:
    """A join token; it is on no command line and in no file. k0s may fail and print nothing all the same."""
    done = run(["k0s", "token", "create", f"--role={_ROLES[role]}", f"--expiry={ttl}"])
    token = done.stdout.strip()
    if done.rc != 0 or not token:
        raise ClusterError("k0s made no join token", where="k0s token create", why=k0s.redacted(done.output)[-2000:])
    return token


def invalidate_token(run: Runner, name: str) -> None:
    """End a token that is not needed any more; one that has expired is gone already."""
    done = run(["k0s", "token", "invalidate", name])
    if done.rc != 0 and "not found" not in done.output:
        raise ClusterError("a join token cannot be invalidated", where="k0s token invalidate", why=done.output[-1000:])


def refuse_sick_etcd(run: Runner, kubectl: Kubectl) -> None:
    """Raise ClusterError unless etcd answers and tells its members; of kine the API server alone is asked."""
    told = k0s.status(run) or {}
    storage = ((told.get("ClusterConfig") or {}).get("spec") or {}).get("storage") or {}
    done = kubectl.call("get", "--raw", "/readyz/etcd", "--request-timeout=10s")
    if done.rc == 0 and storage.get("type", "etcd") == "etcd":
        done = run(["timeout", _ETCD_SECONDS, "k0s", "etcd", "member-list"])
    if done.rc != 0:
        raise ClusterError(
            "etcd is not healthy, so no control plane may join now",
            why=done.output[-1000:],
            fix="See which member is away: k0s etcd member-list on a control plane that runs",
        )


def members_of(nodes: t.Sequence[Json], controllers: t.Iterable[Json]) -> t.List[Json]:
    """Members, control planes first; controllers that run no workloads are no nodes, and known by another name."""
    found = {node["metadata"]["name"]: kubeadm_info.member_of(node) for node in nodes}
    for node in nodes:
        if node["metadata"].get("labels", {}).get(_ROLE_LABEL) == "control-plane":
            found[node["metadata"]["name"]]["role"] = membership.CONTROL_PLANE
    for item in controllers:
        name, status = item["metadata"]["name"], item.get("status", {})
        if name in found:
            continue
        addresses = {entry["type"]: entry["address"] for entry in reversed(status.get("addresses", []))}
        found[name] = {
            "name": name,
            "role": membership.CONTROL_PLANE,
            "address": addresses.get("InternalIP", ""),
            "version": status.get("k0sVersion", ""),
            "container_runtime": "",
            "ready": True,
        }
    return sorted(found.values(), key=lambda item: (item["role"] != membership.CONTROL_PLANE, item["name"]))


def certificates(run: Runner) -> t.List[Json]:
    """Name and expiry of k0s' certificates on this control plane; none where openssl cannot tell."""
    return expiry(run, "/var/lib/k0s/pki", ("*.crt", "etcd/*.crt"))
