# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A look at a cluster: which nodes and objects are not what was asked for, and what keeps them from it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import object_status, pod_state, readiness
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_diagnosis import Diagnosis
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_record import (
    NOT_IN_MANIFESTS,
    AppObject,
    AppsRecord,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.object_status import (
    CURRENT,
    IN_PROGRESS,
    Status,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.objects import ObjectRef, ref_of
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.workload_pods import (
    CHILDREN,
    RUN_ON,
    WITH_PODS,
    WorkloadPod,
    owned_by,
    pods_of,
)

_SYSTEM = "kube-system"
_SYSTEM_KINDS = "nodes,deployments.apps,daemonsets.apps,statefulsets.apps,jobs.batch"
_MAX_PODS = 5


class Look:
    """What there was to see at one moment, in few questions: nodes and system, the applications' objects, then the
    pods of each namespace where something is not ready.

    record: loses what was left over and is not in the cluster any more; diagnosis: whether events and logs are asked
    for as well; restarts: whether the restarts of applications that are ready are counted, too.
    """

    def __init__(
        self, kubectl: Kubectl, record: AppsRecord, *, diagnosis: bool = False, restarts: bool = False
    ) -> None:
        self._kubectl = kubectl
        self._restarts = restarts
        self._record = record
        self._diagnosis = Diagnosis(kubectl) if diagnosis else None
        refs = [found.ref for name in record.applications for found in self._known(name)]
        self._present = {ref_of(item).id: item for item in kubectl.present(dict.fromkeys(refs))}
        record.drop_absent(self._present)
        self._children: t.Dict[str, t.List[Json]] = {}

    def _known(self, name: str) -> t.List[AppObject]:
        return [*self._record.objects(name), *self._record.left_of(name)]

    def at(self, names: t.Collection[str], nodes: t.Sequence[str], members: t.Collection[str] = ()) -> Json:
        """What modules return of a look.

        names: the applications to look at closely, all when empty; nodes: names of nodes that should be ready;
        members: names of all nodes that the inventory has, where it is known.
        """
        found = self._kubectl.items(_SYSTEM_KINDS, "-n", _SYSTEM)
        known = [item for item in found if item["kind"] == "Node"]
        waiting = [(name, readiness.waits_for_node(name, known)) for name in nodes]
        return {
            "applications": self._applications(names),
            "nodes": [{"name": name, "why": why} for name, why in waiting if why],
            "system": self._system(item for item in found if item["kind"] != "Node"),
            "notes": readiness.notes_on_nodes(known, members),
        }

    def _applications(self, names: t.Collection[str]) -> t.List[Json]:
        """What was launched, with the state of each object, and what is left over of it."""
        late = self._late_classes()
        told = []
        for name, entry in sorted(self._record.applications.items()):
            closely = not entry["stays"] and (not names or name in names)
            states = [self._state(found, late) for found in self._record.objects(name)] if closely else []
            told.append(
                {
                    "name": name,
                    "image": entry["image"],
                    "stays": entry["stays"],
                    "objects": [state for state in states if state],
                    "left": self._left(name, entry),
                }
            )
        return told

    def _left(self, name: str, entry: Json) -> t.List[Json]:
        why = entry["stays"] or NOT_IN_MANIFESTS
        return [
            {**_named(found.ref), "source": found.source, "why": why}
            for found in self._record.left_of(name)
            if found.ref.id in self._present
        ]

    def _late_classes(self) -> t.Set[str]:
        """The StorageClasses that matter here and bind late; nobody is asked where no claim is unbound."""
        if not any(object_status.storage_class_of(item) for item in self._present.values()):
            return set()
        classes = self._kubectl.items("storageclasses.storage.k8s.io")
        return {item["metadata"]["name"] for item in classes if object_status.binds_late(item)}

    def _state(self, found: AppObject, late: t.Container[str]) -> t.Optional[Json]:
        item = self._present.get(found.ref.id)
        if item is not None:
            told = self._told(item, object_status.status_of(item, late))
            return {**told, "restarts": self._restarts_of(item), "source": found.source}
        if found.expires:
            status = Status(CURRENT, "has ended, and its time to live is over")
        elif found.by_command:
            return None
        else:
            status = Status(IN_PROGRESS, "is not there")
        told = {**_named(found.ref), "state": status.state, "why": status.why, "pods": [], "events": []}
        return {**told, "restarts": None, "source": found.source}

    def _restarts_of(self, item: Json) -> t.Optional[int]:
        """How often containers of the present version were started again; None where nobody asks, or none runs on."""
        if not self._restarts or item["kind"] not in RUN_ON:
            return None
        found = pods_of(item, self._children_in(item["metadata"].get("namespace", "")))
        return sum(pod_state.restarts(one.pod) for one in found if one.is_new)

    def _system(self, workloads: t.Iterable[Json]) -> t.List[Json]:
        """The system's own workloads that are not ready."""
        found = [(item, object_status.status_of(item)) for item in workloads]
        return [
            {**self._told(item, status), "restarts": None, "source": ""}
            for item, status in found
            if status.state != CURRENT
        ]

    def _told(self, item: Json, status: Status) -> Json:
        told = {**_named(ref_of(item)), "state": status.state, "why": status.why, "pods": [], "events": []}
        if status.state == CURRENT:
            return told
        pods = self._unready(item) if item["kind"] in WITH_PODS else []
        told["pods"] = [self._told_pod(found) for found in pods]
        if self._diagnosis is not None:
            namespace = item["metadata"].get("namespace", "")
            between = owned_by(item, self._children_in(namespace)) if item["kind"] in WITH_PODS else []
            uids = {found["metadata"].get("uid") for found in [item, *between, *(one.pod for one in pods)]}
            told["events"] = self._diagnosis.events_of(namespace, uids)
        return told

    def _told_pod(self, found: WorkloadPod) -> Json:
        metadata = found.pod["metadata"]
        return {
            "name": metadata["name"],
            "node": found.pod.get("spec", {}).get("nodeName", ""),
            "is_new": found.is_new,
            "why": pod_state.complaints(found.pod),
            "crash_loops": pod_state.crash_loops(found.pod),
            "logs": self._diagnosis.logs_of(found.pod) if self._diagnosis else [],
        }

    def _unready(self, item: Json) -> t.List[WorkloadPod]:
        """The pods that a workload waits for, those of its present version first."""
        found = pods_of(item, self._children_in(item["metadata"].get("namespace", "")))
        unready = [one for one in found if not pod_state.is_well(one.pod)]
        return sorted(unready, key=lambda one: (not one.is_new, one.pod["metadata"]["name"]))[:_MAX_PODS]

    def _children_in(self, namespace: str) -> t.List[Json]:
        if namespace not in self._children:
            self._children[namespace] = self._kubectl.items(",".join(CHILDREN), "-n", namespace)
        return self._children[namespace]


def _named(ref: ObjectRef) -> Json:
    return {"api_version": ref.api_version, "kind": ref.kind, "namespace": ref.namespace, "name": ref.name}
