# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether nodes are ready, why they are not, and what else is worth knowing of them.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json


def waits_for_node(name: str, nodes: t.Iterable[Json]) -> str:
    """Why a node is not ready; nothing when it is."""
    for node in nodes:
        if node["metadata"]["name"] == name:
            for condition in node.get("status", {}).get("conditions", []):
                if condition["type"] == "Ready":
                    return "" if condition["status"] == "True" else condition.get("message", "not ready")
            return "has no condition yet"
    return "is not in the cluster"


def notes_on_nodes(nodes: t.Iterable[Json], members: t.Collection[str]) -> t.List[str]:
    """A sentence for each node under pressure, and for each that is in no inventory.

    members: names of all nodes that the inventory has; empty where that is not known.
    """
    notes = []
    for node in sorted(nodes, key=lambda node: str(node["metadata"]["name"])):
        name = node["metadata"]["name"]
        if members and name not in members:
            notes.append(
                f"Node {name} is in the cluster and not in the inventory. Put its host into the inventory, or remove"
                f" the node: kubectl drain {name} --ignore-daemonsets, then kubectl delete node {name}"
            )
        for condition in node.get("status", {}).get("conditions", []):
            if condition["type"] != "Ready" and condition["status"] == "True":
                notes.append(f"Node {name} has {condition['type']}: {condition.get('message') or 'no reason is given'}")
    return notes
