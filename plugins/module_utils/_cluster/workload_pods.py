# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pods belong to a workload, and which of them are of its present version.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.pod_state import status_part

# What lies between a workload and its pods, besides the pods themselves.
CHILDREN = ("pods", "replicasets.apps", "controllerrevisions.apps")
WITH_PODS = frozenset({"DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "ReplicationController", "StatefulSet"})
# Whose pods are meant to run for ever.
RUN_ON = WITH_PODS - {"Job"}
_REVISION = "deployment.kubernetes.io/revision"
_HASH = "controller-revision-hash"


class WorkloadPod(t.NamedTuple):
    """A pod, and whether it is of the version that its workload has now."""

    pod: Json
    is_new: bool


def pods_of(workload: Json, children: t.Sequence[Json]) -> t.List[WorkloadPod]:
    """The pods of a workload. children: all that CHILDREN names, of its namespace."""
    pods = [item for item in children if item["kind"] == "Pod"]
    if workload["kind"] == "Pod":
        return [WorkloadPod(pod, True) for pod in pods if _uid(pod) == _uid(workload)]
    if workload["kind"] == "Deployment":
        return _deployment(workload, children, pods)
    newest = _newest_hash(workload, children)
    return [
        WorkloadPod(pod, newest is None or pod["metadata"].get("labels", {}).get(_HASH) == newest)
        for pod in owned_by(workload, pods)
    ]


def owned_by(workload: Json, children: t.Iterable[Json]) -> t.List[Json]:
    """What belongs to a workload itself, as the ReplicaSets of a Deployment do."""
    return [item for item in children if _is_owned(item, workload)]


def _deployment(workload: Json, children: t.Sequence[Json], pods: t.Sequence[Json]) -> t.List[WorkloadPod]:
    sets = [item for item in owned_by(workload, children) if item["kind"] == "ReplicaSet"]
    return [WorkloadPod(pod, _revision(item) == _revision(workload)) for item in sets for pod in owned_by(item, pods)]


def _newest_hash(workload: Json, children: t.Sequence[Json]) -> t.Optional[str]:
    """The label that pods of the present version carry; None where a workload has no versions."""
    if workload["kind"] == "StatefulSet":
        return str(status_part(workload).get("updateRevision", ""))
    if workload["kind"] != "DaemonSet":
        return None
    revisions = [item for item in owned_by(workload, children) if item["kind"] == "ControllerRevision"]
    newest = max(revisions, key=lambda item: int(item.get("revision", 0)), default=None)
    return "" if newest is None else str(newest["metadata"].get("labels", {}).get(_HASH, ""))


def _is_owned(item: Json, owner: Json) -> bool:
    return any(entry.get("uid") == _uid(owner) for entry in item["metadata"].get("ownerReferences") or [])


def _uid(item: Json) -> t.Optional[str]:
    return t.cast("t.Optional[str]", item["metadata"].get("uid"))


def _revision(item: Json) -> t.Optional[str]:
    return t.cast("t.Optional[str]", item["metadata"].get("annotations", {}).get(_REVISION))
