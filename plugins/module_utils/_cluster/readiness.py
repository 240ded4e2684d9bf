# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether nodes are ready, and why they are not.

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
