# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether nodes and workloads are ready, and why they are not.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json

WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet", "Job")
_MAX_TOLD = 20


class Key(t.NamedTuple):
    """What names a workload."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def key_of(item: Json) -> Key:
    metadata = item["metadata"]
    return Key(item["kind"], metadata.get("namespace", "default"), metadata["name"])


def workloads_in(items: t.Iterable[Json]) -> t.Set[Key]:
    return {key_of(item) for item in items if item.get("kind") in WORKLOADS}


def versions(items: t.Iterable[Json]) -> t.Dict[Key, t.Tuple[str, int]]:
    """Identity and generation of each workload: what changes when somebody applies it."""
    return {key_of(item): (item["metadata"]["uid"], item["metadata"].get("generation", 0)) for item in items}


def waits_for_workload(item: Json) -> str:
    """Why a workload is not available yet; nothing when it is."""
    spec, status = item.get("spec", {}), item.get("status", {})
    if item["kind"] == "Job":
        return _job(spec, status)
    if status.get("observedGeneration", 0) < item["metadata"].get("generation", 0):
        return "not seen by its controller yet"
    if item["kind"] == "DaemonSet":
        wanted, updated, there = "desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"
        total = int(status.get(wanted, 0))
        if spec.get("updateStrategy", {}).get("type") == "OnDelete":
            updated = wanted
    else:
        updated = "updatedReplicas"
        there = "availableReplicas" if item["kind"] == "Deployment" else "readyReplicas"
        total = int(spec.get("replicas", 1))
    current, ready = int(status.get(updated, 0)), int(status.get(there, 0))
    if current >= total and ready >= total:
        return ""
    return f"{min(current, ready)} of {total} ready"


def _job(spec: Json, status: Json) -> str:
    if any(item["type"] == "Complete" and item["status"] == "True" for item in status.get("conditions", [])):
        return ""
    return f"{status.get('succeeded', 0)} of {spec.get('completions', 1)} completed"


def has_failed(item: Json) -> str:
    """Why waiting for this workload is in vain; nothing while there is hope."""
    for condition in item.get("status", {}).get("conditions", []):
        if item["kind"] == "Job" and condition["type"] == "Failed" and condition["status"] == "True":
            return f"{key_of(item)} failed: {condition.get('reason', '')} {condition.get('message', '')}".rstrip()
    return ""


def waits_for_node(name: str, nodes: t.Iterable[Json]) -> str:
    """Why a node is not ready; nothing when it is."""
    for node in nodes:
        if node["metadata"]["name"] == name:
            for condition in node.get("status", {}).get("conditions", []):
                if condition["type"] == "Ready":
                    return "" if condition["status"] == "True" else condition.get("message", "not ready")
            return "has no condition yet"
    return "is not in the cluster"


def unready_pods(pods: t.Iterable[Json], namespaces: t.Collection[str]) -> t.List[Json]:
    """Pods of these namespaces that are neither ready nor completed."""
    found = []
    for pod in pods:
        status = pod.get("status", {})
        conditions = {item["type"]: item["status"] for item in status.get("conditions", [])}
        waiting = status.get("phase") != "Succeeded" and conditions.get("Ready") != "True"
        if waiting and pod["metadata"]["namespace"] in namespaces:
            found.append(pod)
    return found[:_MAX_TOLD]


def told_pod(pod: Json, events: t.Iterable[Json]) -> str:
    """One line on a pod: its state, what its containers wait for, the last that happened to it."""
    metadata, status = pod["metadata"], pod.get("status", {})
    reasons = [
        f"container {item['name']}: {state.get('reason', name)}"
        + (f" ({state['message']})" if state.get("message") else "")
        for item in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        for name, state in item.get("state", {}).items()
        if name != "running" and not (name == "terminated" and state.get("exitCode") == 0)
    ]
    unscheduled = [
        item.get("message", "")
        for item in status.get("conditions", [])
        if item["type"] == "PodScheduled" and item["status"] != "True"
    ]
    warnings = [
        f"{item.get('reason', '')}: {item.get('message', '')}"
        for item in events
        if item.get("type") == "Warning" and item.get("involvedObject", {}).get("uid") == metadata.get("uid")
    ]
    parts = [*reasons, *unscheduled, *warnings[-2:]]
    where = f"pod {metadata['namespace']}/{metadata['name']} on {pod.get('spec', {}).get('nodeName', 'no node')}"
    return f"{where} is {status.get('phase', 'unknown')}" + (f": {'; '.join(parts)}" if parts else "")
