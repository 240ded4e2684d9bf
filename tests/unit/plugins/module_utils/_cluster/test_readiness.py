# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether nodes are ready."""

from __future__ import annotations

import json
import pathlib

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import readiness

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def test_nodes() -> None:
    nodes = json.loads((FIXTURES / "nodes.json").read_text())["items"]
    assert readiness.waits_for_node("kube-cp", nodes) == ""
    assert readiness.waits_for_node("absent", nodes) == "is not in the cluster"
    nodes[0]["status"]["conditions"][-1].update(status="False", message="network plugin not initialized")
    assert readiness.waits_for_node(nodes[0]["metadata"]["name"], nodes) == "network plugin not initialized"


def test_notes_on_nodes() -> None:
    nodes = json.loads((FIXTURES / "nodes.json").read_text())["items"]
    names = [node["metadata"]["name"] for node in nodes]
    assert readiness.notes_on_nodes(nodes, []) == readiness.notes_on_nodes(nodes, names) == []
    (stranger,) = readiness.notes_on_nodes(nodes, names[:1])
    assert stranger.startswith(f"Node {names[1]} is in the cluster and not in the inventory.")
    assert f"kubectl delete node {names[1]}" in stranger
    disk = {"type": "DiskPressure", "status": "True", "message": "kubelet has disk pressure"}
    nodes[1]["status"]["conditions"] = [
        disk,
        {"type": "NetworkUnavailable", "status": "True"},
        {"type": "Ready", "status": "True"},
    ]
    assert readiness.notes_on_nodes(nodes, names) == [
        f"Node {names[1]} has DiskPressure: kubelet has disk pressure",
        f"Node {names[1]} has NetworkUnavailable: no reason is given",
    ]
