# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host shall be in a cluster, beside what it is: the plan that makes one, and the record that is kept true.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import state as cluster_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.addresses import comparable, internal_addresses
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json, pretty, write_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm_token import fingerprint, is_ready
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import Traces
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

CONTROL_PLANE = "control_plane"
WORKER = "worker"


def role(control_plane: bool) -> str:
    """How a state and the record of a node call the part that a host has in its cluster."""
    return CONTROL_PLANE if control_plane else WORKER


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is recorded, what shall be, and which steps lead there."""

    before: Json
    after: Json
    start: bool
    record: bool

    @property
    def changed(self) -> bool:
        return self.start or self.record


def is_node(traces: Traces) -> bool:
    return any(os.path.exists(path) for path in traces.nodes)


def is_member(traces: Traces) -> bool:
    """Whether this collection made the host a node, from beginning to end."""
    found = record.read_record(traces.record_path)
    return is_node(traces) and found is not None and not record.unfinished(found)


def has_to_start(traces: Traces) -> bool:
    """Whether the host is still to become a node. Raises ClusterError for a node that was made without us."""
    found = record.read_record(traces.record_path)
    if found is None and is_node(traces):
        raise ClusterError(
            "this host is a node of a cluster that this collection did not make",
            where=traces.nodes[0],
            fix="Take another host, or reset this one with the tool that made the cluster",
        )
    return not is_node(traces) or record.unfinished(found)


def plan(wanted: Json, kubectl: Kubectl, traces: Traces) -> Plan:
    """Decide for the host that starts a cluster; changes nothing. Raises ClusterError where it carries another one."""
    if has_to_start(traces):
        return Plan(before={}, after=wanted, start=True, record=True)
    recorded = cluster_state.read_state()
    if recorded is None:
        return Plan(before={}, after=wanted, start=False, record=True)
    cluster_state.refuse_other_cluster(recorded, wanted)
    wanted = cluster_state.with_known_addresses(wanted, recorded)
    secret = kubectl.get("secret", "-n", cluster_state.NAMESPACE, cluster_state.OBJECT_NAME)
    stale = recorded != wanted or not cluster_state.secret_carries(secret, wanted)
    return Plan(before=recorded, after=wanted, start=False, record=stale)


def refuse_other_authority(known: str, given: str, where: str) -> None:
    """Raise ClusterError for a node whose cluster has another CA than the one it shall join."""
    if known and given and fingerprint(known) != fingerprint(given):
        raise ClusterError(
            "this host is a node of another cluster, made with another CA",
            where=where,
            fix="Reset the host with sealer.cluster.reset and run this again",
        )


def refuse_without_credentials(endpoint: str, token: t.Optional[str], refused: t.Sequence[str]) -> None:
    """Raise ClusterError where there is nothing to join with, and say why."""
    if not endpoint:
        raise ClusterError(
            "no control plane of the cluster gave credentials to this host",
            why="; ".join(refused),
            fix="Start the cluster on its first control plane, or bring a control plane back, and run this again",
        )
    if not token:
        raise ClusterError(
            f"the host is to join {endpoint}, but there is no token for it",
            why="no token was asked for",
            fix="Make one with the runtime's token module, and name this host in its nodes",
        )


def node_name(host: str) -> str:
    """How the node of a host of the inventory is called: Kubernetes knows lower case alone."""
    return str(host).lower()


def joining(hosts: t.Mapping[str, t.Any]) -> t.Dict[str, str]:
    """Addresses by names of nodes, for hosts of the inventory."""
    return {node_name(name): str(address) for name, address in hosts.items()}


def refuse_taken_names(nodes: t.Iterable[Json], joining: t.Mapping[str, str]) -> t.List[str]:
    """Which of the hosts that join the cluster counts as ready nodes, after an attempt that was interrupted.

    nodes: as the API server knows them; joining: addresses by names of hosts that are no nodes. Raises ClusterError
    for a ready node of that name at another address, which is another host.
    """
    ready = {node["metadata"]["name"]: node for node in nodes if is_ready(node)}
    for name in sorted(set(joining) & set(ready)):
        addresses = internal_addresses(ready[name])
        if joining[name] and addresses and comparable(joining[name]) not in addresses:
            raise ClusterError(
                f"the cluster has a node {name} at {', '.join(addresses)} already, and this host is at {joining[name]}",
                why="two hosts cannot be one node",
                fix="Give the host another name in the inventory, or take the other one out of the cluster",
            )
    return sorted(set(joining) & set(ready))


def own_state() -> Json:
    """What this control plane has recorded; raises ClusterError where it has nothing."""
    state = cluster_state.read_state()
    if state is None:
        raise ClusterError(
            "this control plane has no record of its cluster",
            where=cluster_state.STATE_PATH,
            fix="Run the init entry point of the runtime's role on it, which writes the record",
        )
    return state


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a control plane has of the cluster's state, and what it shall have."""

    before: t.Optional[Json]
    after: Json

    @property
    def stale(self) -> bool:
        return self.before != self.after


def recorded_with(name: str, kubectl: Kubectl) -> Recorded:
    """Compare the record on this control plane, of this name, with that in the cluster."""
    shared = cluster_state.state_in(kubectl.get("secret", "-n", cluster_state.NAMESPACE, cluster_state.OBJECT_NAME))
    if shared is None:
        raise ClusterError(
            "the cluster has no record of itself",
            where=f"Secret {cluster_state.NAMESPACE}/{cluster_state.OBJECT_NAME}",
            fix="Run sealer.cluster.site without --limit, which writes it",
        )
    return Recorded(cluster_state.read_state(), cluster_state.with_member(shared, name, CONTROL_PLANE))


def keep(state: Json, kubectl: Kubectl) -> None:
    """Write the record in the cluster and on this host."""
    kubectl.put(cluster_state.secret_of(state))
    write_json(cluster_state.STATE_PATH, state)


def joined(joins: bool, check_mode: bool, endpoint: str, wanted: Json, name: str, kubectl: t.Optional[Kubectl]) -> Json:
    """The result of a module that lets hosts join; keeps the record on a control plane, which has a kubectl.

    joins: whether the host joins in this run; wanted: what is told of that; name: the node's.
    """
    facts: Json = {"sealer_api_endpoint": endpoint} if endpoint else {}
    before, after, changed = "", pretty(wanted) if joins else "", joins
    if kubectl is not None and not (joins and check_mode):
        todo = recorded_with(name, kubectl)
        if todo.stale and not check_mode:
            keep(todo.after, kubectl)
        changed = joins or todo.stale
        facts = {
            "sealer_kubeconfig_path": kubectl.kubeconfig,
            "sealer_api_endpoint": todo.after["endpoint"],
            "sealer_cluster_state": todo.after,
        }
        if todo.stale and not joins:
            before, after = pretty(todo.before) if todo.before else "", pretty(todo.after)
    return {"changed": changed, "diff": {"before": before, "after": after}, "ansible_facts": facts}
