# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When an object is what was asked for: tables of objects as kubectl gives them (fixtures/objects)."""

from __future__ import annotations

import functools
import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import object_status
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.object_status import (
    CURRENT,
    FAILED,
    IN_PROGRESS,
)

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
NOT_SEEN = (IN_PROGRESS, "its controller has not seen the change yet")
DONE = (CURRENT, "")
PAUSED = "is paused, so nothing is rolled out; 2 of 2 pods are available"
DEADLINE = "no progress within 600 seconds (progressDeadlineSeconds): "
OLD = "1 of 2 pods are available, and not replaced yet are 1 old ones"
QUOTA = 'pods "web-7d764666f9-" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1'
BACKOFF = "BackoffLimitExceeded: Job has reached the specified backoff limit"
BY_HAND = "OnDelete: they are replaced when somebody deletes them"
EXPECTED: dict[str, dict[str, tuple[str, str]]] = {
    "deployments": {
        "done": DONE,
        "change not seen": NOT_SEEN,
        "just made": NOT_SEEN,
        "one replica, new pod dies": (IN_PROGRESS, OLD),
        "mid-rollout, all new ones made": (
            IN_PROGRESS,
            "3 of 4 pods are available, and not replaced yet are 1 old ones",
        ),
        "mid-rollout, some new ones made": (IN_PROGRESS, "1 of 3 pods are new"),
        "new ones not available": (IN_PROGRESS, "1 of 2 new pods are available"),
        "ready and not yet available for minReadySeconds": (IN_PROGRESS, "0 of 1 new pods are available"),
        "deadline exceeded": (FAILED, DEADLINE + OLD),
        "deadline exceeded before the change": NOT_SEEN,
        "pods forbidden": (IN_PROGRESS, f"1 of 2 pods are new: {QUOTA}"),
        "paused": (CURRENT, PAUSED),
        "no replicas": DONE,
        "no replicas, one still there": (
            IN_PROGRESS,
            "1 of 1 pods are available, and not replaced yet are 1 old ones",
        ),
        "being deleted": (IN_PROGRESS, "is being deleted, which waits for foregroundDeletion"),
    },
    "stateful-sets": {
        "done": DONE,
        "change not seen": NOT_SEEN,
        "just made": NOT_SEEN,
        "one replica, new pod dies": (IN_PROGRESS, "0 of 1 pods are available"),
        "mid-rollout": (IN_PROGRESS, "1 of 3 pods are new"),
        "all new, one not ready": (IN_PROGRESS, "2 of 3 pods are available"),
        "ready and not yet available for minReadySeconds": (IN_PROGRESS, "2 of 3 pods are available"),
        "without availableReplicas, as of old servers": DONE,
        "partition done": (CURRENT, "2 of 3 pods are old (partition 2)"),
        "partition in progress": (IN_PROGRESS, "1 of 2 pods are new"),
        "partition above replicas": (CURRENT, "3 of 3 pods are old (partition 5)"),
        "partition, an old pod not ready": (IN_PROGRESS, "2 of 3 pods are available"),
        "OnDelete, nothing replaced": (CURRENT, f"3 of 3 pods are old ({BY_HAND})"),
        "OnDelete, a pod not ready": (IN_PROGRESS, "2 of 3 pods are available"),
        "no replicas": DONE,
        "no replicas, one still there": (IN_PROGRESS, "1 pods are there, and 0 are wanted"),
    },
    "daemon-sets": {
        "done": DONE,
        "change not seen": NOT_SEEN,
        "just made": NOT_SEEN,
        "no node fits": DONE,
        "mid-rollout": (IN_PROGRESS, "1 of 2 pods are new"),
        "all new, one not available": (IN_PROGRESS, "1 of 2 pods are available"),
        "OnDelete, nothing replaced": (CURRENT, f"2 of 2 pods are old ({BY_HAND})"),
        "OnDelete, one not available": (IN_PROGRESS, "1 of 2 pods are available"),
    },
    "jobs": {
        "complete": DONE,
        "success criteria met, pods still ending": DONE,
        "just made": (IN_PROGRESS, "0 of 1 pods have completed"),
        "running": (IN_PROGRESS, "0 of 1 pods have completed"),
        "running, some have failed": (IN_PROGRESS, "1 of 3 pods have completed, 2 have failed (backoffLimit 2)"),
        "a work queue": (IN_PROGRESS, "1 of 4 pods have completed"),
        "backoff limit exceeded": (FAILED, BACKOFF),
        "deadline exceeded": (FAILED, "DeadlineExceeded: Job was active longer than specified deadline"),
        "about to fail": (
            FAILED,
            "PodFailurePolicy: Container main for pod shop/migrate-x failed with exit code 42",
        ),
        "suspended": (CURRENT, "is suspended, so nothing of it runs"),
        "suspended after it had failed": (FAILED, BACKOFF),
        "resumed": (IN_PROGRESS, "0 of 1 pods have completed"),
    },
    "pods": {
        "ready": DONE,
        "succeeded": DONE,
        "failed": (FAILED, "container web: ended, last exit code 3"),
        "evicted": (FAILED, "Evicted: The node was low on resource: memory."),
        "crash loop": (IN_PROGRESS, "container web: CrashLoopBackOff, 6 restarts, last exit code 1"),
        "not scheduled": (
            IN_PROGRESS,
            "Unschedulable: 0/2 nodes are available: 2 Insufficient memory.",
        ),
        "not observed": (IN_PROGRESS, "is not started"),
        "being deleted": (IN_PROGRESS, "is being deleted"),
    },
    "others": {
        "ReplicaSet done": DONE,
        "ReplicaSet not available": (IN_PROGRESS, "1 of 2 pods are available"),
        "ReplicaSet whose pods are forbidden": (
            IN_PROGRESS,
            '0 of 2 pods are available: violates PodSecurity "restricted:latest"',
        ),
        "ReplicaSet scaled down": (IN_PROGRESS, "2 pods are there, and 1 are wanted"),
        "ReplicationController done": DONE,
        "CronJob": DONE,
        "claim bound": DONE,
        "claim pending": (IN_PROGRESS, "has no volume yet (StorageClass fast)"),
        "claim pending without class": (IN_PROGRESS, "has no volume yet (no StorageClass)"),
        "claim that no pod uses yet": (CURRENT, "gets its volume when a pod asks for it (StorageClass late)"),
        "claim that a pod waits for": (IN_PROGRESS, "has no volume yet (StorageClass late)"),
        "claim lost": (FAILED, "has lost its volume"),
        "volume available": DONE,
        "volume failed": (FAILED, "RecyclerFailed: no pod could be made"),
        "Service": DONE,
        "Service headless": DONE,
        "LoadBalancer with address": DONE,
        "LoadBalancer without address": (
            CURRENT,
            "has no address from a load balancer; without one in the cluster it gets none",
        ),
        "CRD established": DONE,
        "CRD just made": (IN_PROGRESS, "is not established yet"),
        "CRD installing": (IN_PROGRESS, "is not established yet"),
        "CRD with a name of another": (FAILED, 'NamesAccepted is False: KindConflict: "Widget" is already in use'),
        "APIService available": DONE,
        "APIService missing endpoints": (
            IN_PROGRESS,
            'Available is False: MissingEndpoints: endpoints for service/metrics in "kube-system" have no addresses',
        ),
        "APIService just made": (IN_PROGRESS, "Available is unknown"),
        "PodDisruptionBudget": DONE,
        "PodDisruptionBudget not seen": NOT_SEEN,
        "Namespace": DONE,
        "Namespace being deleted": (IN_PROGRESS, "is being deleted"),
        "ConfigMap": DONE,
        "HorizontalPodAutoscaler": DONE,
        "custom resource without status": DONE,
        "custom resource whose status is a text": DONE,
        "custom resource whose conditions are no list": DONE,
        "custom resource ready": DONE,
        "custom resource not seen": NOT_SEEN,
        "custom resource with a condition of an earlier generation": NOT_SEEN,
        "custom resource not ready": (IN_PROGRESS, "Ready is False: Pulling: waits for the chart"),
        "custom resource unknown": (IN_PROGRESS, "Ready is Unknown"),
        "custom resource reconciling": (IN_PROGRESS, "Reconciling is True: Progressing: 2 of 3"),
        "custom resource stalled": (FAILED, "BadSpec: no such size"),
        "custom resource stalled before the change": NOT_SEEN,
        "custom resource being deleted": (IN_PROGRESS, "is being deleted, which waits for example.com/keep"),
        "a Deployment of somebody else's group": DONE,
    },
}
CASES = [(kind, case, *told) for kind, cases in EXPECTED.items() for case, told in cases.items()]


@functools.cache
def fixtures(kind: str) -> dict[str, t.Any]:
    return t.cast("dict[str, t.Any]", json.loads((FIXTURES / f"objects/{kind}.json").read_text()))


@pytest.mark.parametrize(("kind", "case", "state", "why"), CASES, ids=[f"{one[0]}: {one[1]}" for one in CASES])
def test_states_of_objects(kind: str, case: str, state: str, why: str) -> None:
    assert object_status.status_of(fixtures(kind)[case], {"late"}) == (state, why)


@pytest.mark.parametrize("kind", ["deployments", "stateful-sets", "daemon-sets", "jobs", "others"])
def test_every_fixture_is_looked_at(kind: str) -> None:
    assert set(fixtures(kind)) == set(EXPECTED[kind])


def test_recorded_workloads_are_ready() -> None:
    """As a cluster of 1.35 gave them."""
    items = json.loads((FIXTURES / "workloads.json").read_text())["items"]
    assert {object_status.status_of(item) for item in items} == {DONE}


def test_only_claims_without_volume_ask_for_storage_classes() -> None:
    classes = {case: object_status.storage_class_of(item) for case, item in fixtures("others").items()}
    assert {case: name for case, name in classes.items() if name} == {
        "claim pending": "fast",
        "claim that no pod uses yet": "late",
        "claim that a pod waits for": "late",
    }
    assert object_status.binds_late({"volumeBindingMode": "WaitForFirstConsumer"})
    assert not object_status.binds_late({"volumeBindingMode": "Immediate"})
