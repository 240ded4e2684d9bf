# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an object is what was asked for: the rules of kubectl rollout status, and of kstatus.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import pod_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.objects import group_of
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.pod_state import condition, is_true, told

CURRENT = "current"
IN_PROGRESS = "in progress"
FAILED = "failed"
_ON_DELETE = "OnDelete"
_SELECTED_NODE = "volume.kubernetes.io/selected-node"


class Status(t.NamedTuple):
    """What has become of an object.

    why: what it waits for, or why it failed; of a current one, what is worth knowing all the same.
    """

    state: str
    why: str = ""


Rule = t.Callable[[Json], Status]


def status_of(item: Json, late_classes: t.Container[str] = ()) -> Status:
    """The state of an object as kubectl gives it.

    late_classes: StorageClasses that give a claim its volume when a pod asks for it, and not before.
    """
    if item["metadata"].get("deletionTimestamp"):
        finalizers = ", ".join(item["metadata"].get("finalizers") or [])
        return Status(IN_PROGRESS, "is being deleted" + (f", which waits for {finalizers}" if finalizers else ""))
    key = (group_of(item["apiVersion"]), item["kind"])
    if not _is_observed(item, always=key in _WORKLOADS):
        return Status(IN_PROGRESS, "its controller has not seen the change yet")
    stalled = condition(item, "Stalled")
    if stalled.get("status") == "True":
        return Status(FAILED, told(stalled.get("reason"), stalled.get("message")) or "is stalled")
    if is_true(item, "Reconciling"):
        return Status(IN_PROGRESS, _because(item, "Reconciling"))
    if key == ("", "PersistentVolumeClaim"):
        return _claim(item, late_classes)
    return _RULES.get(key, _by_condition)(item)


def storage_class_of(item: Json) -> str:
    """The class whose way of binding decides over an unbound claim; nothing for every other object."""
    spec, status = _parts(item)
    is_claim = (item["apiVersion"], item["kind"]) == ("v1", "PersistentVolumeClaim")
    return str(spec.get("storageClassName") or "") if is_claim and status.get("phase") not in ("Bound", "Lost") else ""


def binds_late(storage_class: Json) -> bool:
    return storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def _is_observed(item: Json, always: bool) -> bool:
    """Whether the status is of the present specification. always: whether the kind's controller always says so."""
    observed = pod_state.status_part(item).get("observedGeneration")
    if not isinstance(observed, int):
        return not always
    return observed >= _number(item["metadata"], "generation")


def _number(values: Json, name: str, default: int = 0) -> int:
    found = values.get(name)
    return found if isinstance(found, int) else default


def _because(item: Json, name: str) -> str:
    found = condition(item, name)
    return told(f"{name} is {found.get('status', 'unknown')}", found.get("reason"), found.get("message"))


def _parts(item: Json) -> t.Tuple[Json, Json]:
    return item.get("spec") or {}, pod_state.status_part(item)


def _deployment(item: Json) -> Status:
    spec, status = _parts(item)
    wanted, updated = _number(spec, "replicas", 1), _number(status, "updatedReplicas")
    total, available = _number(status, "replicas"), _number(status, "availableReplicas")
    if spec.get("paused"):
        return Status(CURRENT, f"is paused, so nothing is rolled out; {available} of {wanted} pods are available")
    if updated < wanted:
        why = f"{updated} of {wanted} pods are new"
    elif total > updated:
        why = f"{available} of {total} pods are available, and not replaced yet are {total - updated} old ones"
    elif available < updated:
        why = f"{available} of {updated} new pods are available"
    else:
        return Status(CURRENT)
    progressing = condition(item, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        limit = spec.get("progressDeadlineSeconds", 600)
        return Status(FAILED, f"no progress within {limit} seconds (progressDeadlineSeconds): {why}")
    return Status(IN_PROGRESS, _with_refusal(item, why))


def _with_refusal(item: Json, why: str) -> str:
    """With what the API server says where it refuses the pods, as for a quota or a policy."""
    refused = condition(item, "ReplicaFailure")
    return told(why, refused.get("message")) if refused.get("status") == "True" else why


def _stateful_set(item: Json) -> Status:
    spec, status = _parts(item)
    strategy = spec.get("updateStrategy") or {}
    on_delete = strategy.get("type") == _ON_DELETE
    partition = _number(strategy.get("rollingUpdate") or {}, "partition")
    wanted, total = _number(spec, "replicas", 1), _number(status, "replicas")
    updated = _number(status, "updatedReplicas")
    available = _number(status, "availableReplicas", _number(status, "readyReplicas"))
    to_update = 0 if on_delete else max(0, wanted - partition)
    if updated < to_update:
        return Status(IN_PROGRESS, f"{updated} of {to_update} pods are new")
    if available < wanted:
        return Status(IN_PROGRESS, f"{available} of {wanted} pods are available")
    if total > wanted:
        return Status(IN_PROGRESS, f"{total} pods are there, and {wanted} are wanted")
    if updated < wanted and status.get("currentRevision") != status.get("updateRevision"):
        return Status(CURRENT, _keeps_old(wanted - updated, wanted, on_delete, f"partition {partition}"))
    return Status(CURRENT)


def _daemon_set(item: Json) -> Status:
    spec, status = _parts(item)
    on_delete = (spec.get("updateStrategy") or {}).get("type") == _ON_DELETE
    wanted, updated = _number(status, "desiredNumberScheduled"), _number(status, "updatedNumberScheduled")
    available = _number(status, "numberAvailable")
    if updated < wanted and not on_delete:
        return Status(IN_PROGRESS, f"{updated} of {wanted} pods are new")
    if available < wanted:
        return Status(IN_PROGRESS, f"{available} of {wanted} pods are available")
    if updated < wanted:
        return Status(CURRENT, _keeps_old(wanted - updated, wanted, on_delete, ""))
    return Status(CURRENT)


def _keeps_old(old: int, wanted: int, on_delete: bool, else_why: str) -> str:
    how = "OnDelete: they are replaced when somebody deletes them" if on_delete else else_why
    return f"{old} of {wanted} pods are old ({how})"


def _replica_set(item: Json) -> Status:
    spec, status = _parts(item)
    wanted, total = _number(spec, "replicas", 1), _number(status, "replicas")
    available = _number(status, "availableReplicas")
    if available < wanted:
        return Status(IN_PROGRESS, _with_refusal(item, f"{available} of {wanted} pods are available"))
    if total > wanted:
        return Status(IN_PROGRESS, f"{total} pods are there, and {wanted} are wanted")
    return Status(CURRENT)


def _pod(item: Json) -> Status:
    if pod_state.is_well(item):
        return Status(CURRENT)
    why = "; ".join(pod_state.complaints(item))
    return Status(FAILED if pod_state.status_part(item).get("phase") == "Failed" else IN_PROGRESS, why)


def _job(item: Json) -> Status:
    spec, status = _parts(item)
    if is_true(item, "Complete") or is_true(item, "SuccessCriteriaMet"):
        return Status(CURRENT)
    for name in ("Failed", "FailureTarget"):
        if is_true(item, name):
            found = condition(item, name)
            return Status(FAILED, told(found.get("reason"), found.get("message")) or "has failed")
    if spec.get("suspend"):
        return Status(CURRENT, "is suspended, so nothing of it runs")
    wanted = _number(spec, "completions", _number(spec, "parallelism", 1))
    why = f"{_number(status, 'succeeded')} of {wanted} pods have completed"
    failures = _number(status, "failed")
    if failures:
        why += f", {failures} have failed (backoffLimit {_number(spec, 'backoffLimit', 6)})"
    return Status(IN_PROGRESS, why)


def _claim(item: Json, late_classes: t.Container[str]) -> Status:
    _spec, status = _parts(item)
    phase = status.get("phase")
    if phase == "Bound":
        return Status(CURRENT)
    if phase == "Lost":
        return Status(FAILED, "has lost its volume")
    named = storage_class_of(item)
    if named in late_classes and _SELECTED_NODE not in (item["metadata"].get("annotations") or {}):
        return Status(CURRENT, f"gets its volume when a pod asks for it (StorageClass {named})")
    return Status(IN_PROGRESS, f"has no volume yet ({f'StorageClass {named}' if named else 'no StorageClass'})")


def _volume(item: Json) -> Status:
    _spec, status = _parts(item)
    if status.get("phase") == "Failed":
        return Status(FAILED, told(status.get("reason"), status.get("message")) or "has failed")
    return Status(CURRENT)


def _service(item: Json) -> Status:
    """Without a provider, an address never comes: nobody waits for it, and it is told."""
    spec, status = _parts(item)
    if spec.get("type") != "LoadBalancer" or (status.get("loadBalancer") or {}).get("ingress"):
        return Status(CURRENT)
    return Status(CURRENT, "has no address from a load balancer; without one in the cluster it gets none")


def _definition(item: Json) -> Status:
    for name in ("NamesAccepted", "Established"):
        found = condition(item, name)
        if found.get("status") == "False" and found.get("reason") not in ("Installing", "NotAccepted"):
            return Status(FAILED, _because(item, name))
    if is_true(item, "Established"):
        return Status(CURRENT)
    return Status(IN_PROGRESS, "is not established yet")


def _api_service(item: Json) -> Status:
    return Status(CURRENT) if is_true(item, "Available") else Status(IN_PROGRESS, _because(item, "Available"))


def _by_condition(item: Json) -> Status:
    """Any other kind: ready where it says so, or says nothing of that."""
    ready = condition(item, "Ready")
    if ready and _number(ready, "observedGeneration", 1 << 62) < _number(item["metadata"], "generation"):
        return Status(IN_PROGRESS, "its controller has not seen the change yet")
    if ready and ready.get("status") != "True":
        return Status(IN_PROGRESS, _because(item, "Ready"))
    return Status(CURRENT)


_WORKLOADS: t.Dict[t.Tuple[str, str], Rule] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("", "ReplicationController"): _replica_set,
}
_RULES: t.Dict[t.Tuple[str, str], Rule] = {
    **_WORKLOADS,
    ("", "Pod"): _pod,
    ("batch", "Job"): _job,
    ("", "PersistentVolume"): _volume,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apiregistration.k8s.io", "APIService"): _api_service,
}
