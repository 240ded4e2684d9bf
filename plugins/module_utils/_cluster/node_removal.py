# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a node out of the cluster's API and of etcd, for a host that is no member any more.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.addresses import identity, internal_addresses
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd, Member
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl

_NODE = "node"


@dataclasses.dataclass(frozen=True)
class NodeRemoval:
    """What of a node is in the cluster.

    objects: kinds and names; members: those of etcd; unknown: members of which one may be the node's, where none was
    found although it was a control plane.
    """

    name: str
    objects: t.Sequence[t.Tuple[str, str]]
    members: t.Sequence[Member]
    unknown: t.Sequence[Member]

    def lines(self) -> t.List[str]:
        """A line for each thing that goes."""
        found = [f"member {member.called} of etcd" for member in self.members]
        return found + [f"{kind.partition('.')[0]} {name}" for kind, name in self.objects]

    def warnings(self) -> t.List[str]:
        if not self.unknown:
            return []
        told = ", ".join(f"{member.called} at {', '.join(member.peer_urls)}" for member in self.unknown)
        return [
            f"No member of etcd is known as that of the control plane {self.name}, and these do not answer: {told}."
            " No control plane can join while such a member stays. If one of them was this node's, run"
            " sealer.cluster.cluster_node with its name as well"
        ]

    def carry_out(self, kubectl: Kubectl, etcd: Etcd) -> None:
        for member in self.members:
            etcd.remove(member)
        for kind, name in self.objects:
            kubectl.delete(kind, name)


def plan(name: str, kubectl: Kubectl, etcd: Etcd, recorded: Json, with_controllers: bool) -> NodeRemoval:
    """Look for what a node left behind.

    recorded: the cluster's record, empty where there is none; with_controllers: whether k0s keeps an object for each
    control plane besides, which is called as the host is.
    """
    nodes = kubectl.items("nodes")
    known = {membership.node_name(host): address for host, address in recorded.get("addresses", {}).items()}
    node = identity(name, nodes, known)
    controllers = node.of_host(
        kubectl.items(k0s.CONTROLLERS) if with_controllers else [],
        lambda item: bool(item["metadata"]["name"] == name),
        internal_addresses,
    )
    members = etcd.left_by(node) if etcd.stacked else []
    role = {"name": name, "role": membership.CONTROL_PLANE}
    was_control_plane = bool(controllers) or role in recorded.get("members", [])
    return NodeRemoval(
        name,
        [(_NODE, name) for item in nodes if item["metadata"]["name"] == name]
        + [(k0s.CONTROLLERS, item["metadata"]["name"]) for item in controllers],
        members,
        etcd.of_nobody(node) if etcd.stacked and was_control_plane and not members else [],
    )
