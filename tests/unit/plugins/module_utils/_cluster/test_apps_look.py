# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A look at a cluster in memory: what is not ready, its pods, events and logs, in few questions."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_look import Look
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_plan import Step
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_record import AppObject, AppsRecord
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.objects import ObjectRef
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.fake_cluster import FakeCluster, Json

REVISION = "deployment.kubernetes.io/revision"


def owned(owner: Json, kind: str, name: str, **more: t.Any) -> Json:
    version = "v1" if kind == "Pod" else "apps/v1"
    metadata = {"name": name, "namespace": "shop", "ownerReferences": [{"uid": owner["metadata"]["uid"]}]}
    return {"apiVersion": version, "kind": kind, **more, "metadata": {**metadata, **more.get("metadata", {})}}


def crashing(restarts: int = 3) -> Json:
    return {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [
            {
                "name": "web",
                "ready": False,
                "restartCount": restarts,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
            }
        ],
    }


READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def warning(about: Json, reason: str, time: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{reason}-{time}", "namespace": "shop"},
        "type": "Warning",
        "reason": reason,
        "message": f"says {reason}",
        "lastTimestamp": time,
        "involvedObject": {"uid": about["metadata"]["uid"]},
    }


def recorded(*refs: ObjectRef, by_command: bool = False, expires: bool = False) -> AppsRecord:
    record = AppsRecord()
    objects = [AppObject(ref, "application/apps/web/a.yaml", by_command, True, expires) for ref in refs]
    record.put(Step("web", 1, "kubectl apply -f a.yaml", "/d", {}, "f", "/d/a.yaml"), "sha256:1", objects)
    return record


def seen(cluster: FakeCluster, record: AppsRecord, *nodes: str, **options: bool) -> Json:
    return Look(cluster.kubectl(), record, **options).at((), nodes)


@pytest.fixture(name="cluster")
def fixture_cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture(name="web")
def fixture_web(cluster: FakeCluster) -> AppsRecord:
    """A Deployment in the middle of an update: its old pod is ready, its new one crashes."""
    web = cluster.put(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "annotations": {REVISION: "2"}, "generation": 2},
            "spec": {"replicas": 1},
            "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1},
        }
    )
    for name, revision, status in (("old", "1", READY), ("new", "2", crashing())):
        metadata = {"annotations": {REVISION: revision}}
        replicas = cluster.put(owned(web, "ReplicaSet", f"web-{name}", metadata=metadata))
        pod = cluster.put(owned(replicas, "Pod", f"web-{name}-x", spec={"nodeName": "w1"}, status=status))
        cluster.put(warning(pod, "BackOff", f"2026-11-21T11:4{revision}:00Z"))
    cluster.put(warning(web, "Later", "2026-11-21T12:00:00Z"))
    cluster.put(warning(web, "Earlier", "2026-11-21T10:00:00Z"))
    cluster.logs[("web-new-x", "web", True)] = "".join(f"line {number}\n" for number in range(20))
    return recorded(ObjectRef("apps/v1", "Deployment", "shop", "web"))


def test_an_update_that_does_not_come_up(cluster: FakeCluster, web: AppsRecord) -> None:
    (item,) = seen(cluster, web)["applications"][0]["objects"]
    assert (item["kind"], item["state"], item["source"]) == (
        "Deployment",
        "in progress",
        "application/apps/web/a.yaml",
    )
    assert item["pods"] == [
        {
            "name": "web-new-x",
            "node": "w1",
            "is_new": True,
            "why": ["container web: CrashLoopBackOff, 3 restarts, last exit code 1"],
            "crash_loops": {"web": 3},
            "logs": [],
        }
    ]
    assert item["events"] == []


def test_a_diagnosis_has_events_and_the_end_of_the_log(cluster: FakeCluster, web: AppsRecord) -> None:
    (item,) = seen(cluster, web, diagnosis=True)["applications"][0]["objects"]
    assert item["events"] == ["Earlier: says Earlier", "BackOff: says BackOff", "Later: says Later"]
    assert item["pods"][0]["logs"] == [{"container": "web", "lines": [f"line {number}" for number in range(10, 20)]}]


def test_a_log_that_cannot_be_read(cluster: FakeCluster, web: AppsRecord) -> None:
    cluster.logs.clear()
    (item,) = seen(cluster, web, diagnosis=True)["applications"][0]["objects"]
    assert item["pods"][0]["logs"][0]["lines"] == ["(kubectl logs: Error from server: no such log)"]


def test_restarts_of_what_is_ready_are_counted_on_demand(cluster: FakeCluster, web: AppsRecord) -> None:
    cluster.objects[("Deployment", "shop", "web")]["status"].update(replicas=1)
    pod = cluster.objects[("Pod", "shop", "web-new-x")]
    pod["status"] = {
        **READY,
        "containerStatuses": [{"name": "web", "restartCount": 2}, {"name": "b", "restartCount": 1}],
    }
    cluster.objects[("Pod", "shop", "web-old-x")]["status"] = crashing(9)
    for options, count in (({}, None), ({"restarts": True}, 3)):
        (item,) = seen(cluster, web, **options)["applications"][0]["objects"]
        assert (item["state"], item["restarts"]) == ("current", count)
    jobs = recorded(ObjectRef("batch/v1", "Job", "shop", "once"))
    complete = {"conditions": [{"type": "Complete", "status": "True"}]}
    cluster.put(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "once", "namespace": "shop"},
            "status": complete,
        }
    )
    assert seen(cluster, jobs, restarts=True)["applications"][0]["objects"][0]["restarts"] is None


def test_few_questions_are_asked(cluster: FakeCluster, web: AppsRecord) -> None:
    for number in range(3):
        item = cluster.put(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": f"more-{number}", "namespace": "shop", "generation": 1},
            }
        )
        web.put(
            Step("more", number, "", "/d", {}, "f"),
            "sha256:1",
            [AppObject(ObjectRef("apps/v1", "Deployment", "shop", item["metadata"]["name"]), "a")],
        )
    seen(cluster, web)
    # All objects; the pods of their one namespace; nodes and system.
    assert len(cluster.commands) == 3
    cluster.commands.clear()
    seen(cluster, web, diagnosis=True)
    assert [command.split()[1] for command in cluster.commands].count("logs") == 1
    assert len(cluster.commands) == 5


def test_logs_have_a_bound(cluster: FakeCluster, web: AppsRecord) -> None:
    replicas = cluster.objects[("ReplicaSet", "shop", "web-new")]
    for number in range(10):
        cluster.put(owned(replicas, "Pod", f"web-new-{number}", status=crashing()))
    (item,) = seen(cluster, web, diagnosis=True)["applications"][0]["objects"]
    assert len(item["pods"]) == 5
    assert len([command for command in cluster.commands if " logs " in command]) == 4


def test_nodes_and_the_system(cluster: FakeCluster) -> None:
    ready = {"type": "Ready", "status": "True"}
    for name, status in (("cp1", ready), ("w1", {**ready, "status": "Unknown", "message": "stopped posting"})):
        cluster.put(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"conditions": [status]}}
        )
    for name, available in (("coredns", 0), ("proxy", 1)):
        cluster.put(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": "kube-system", "generation": 1},
                "spec": {"replicas": 1},
                "status": {
                    "observedGeneration": 1,
                    "replicas": 1,
                    "updatedReplicas": 1,
                    "availableReplicas": available,
                },
            }
        )
    found = seen(cluster, AppsRecord(), "cp1", "w1", "w2")
    assert found["nodes"] == [
        {"name": "w1", "why": "stopped posting"},
        {"name": "w2", "why": "is not in the cluster"},
    ]
    assert [(item["name"], item["why"]) for item in found["system"]] == [("coredns", "0 of 1 new pods are available")]


def test_objects_that_are_gone(cluster: FakeCluster) -> None:
    job, page = ObjectRef("batch/v1", "Job", "shop", "once"), ObjectRef("v1", "ConfigMap", "shop", "page")

    def states(record: AppsRecord) -> list[tuple[str, str]]:
        (application,) = seen(cluster, record)["applications"]
        return [(item["state"], item["why"]) for item in application["objects"]]

    assert states(recorded(page)) == [("in progress", "is not there")]
    assert states(recorded(job, expires=True)) == [("current", "has ended, and its time to live is over")]
    assert states(recorded(page, by_command=True)) == []


def test_a_kind_that_is_gone_counts_as_absent(cluster: FakeCluster) -> None:
    cluster.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "page", "namespace": "shop"}})
    refs = [
        ObjectRef("example.com/v1", "Widget", "shop", "w"),
        ObjectRef("v1", "ConfigMap", "shop", "page"),
    ]
    (application,) = seen(cluster, recorded(*refs))["applications"]
    assert {item["name"]: item["why"] for item in application["objects"]} == {"w": "is not there", "page": ""}


def test_an_api_server_that_does_not_answer_is_an_error(cluster: FakeCluster, web: AppsRecord) -> None:
    cluster.down = True
    with pytest.raises(ClusterError, match="connection to the server 10.0.0.11:6443 was refused"):
        seen(cluster, web)


def test_storage_classes_are_asked_for_claims_without_volume_alone(cluster: FakeCluster) -> None:
    claim = cluster.put(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop"},
            "spec": {"storageClassName": "late"},
            "status": {"phase": "Pending"},
        }
    )
    late = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "late"}}
    cluster.put({**late, "volumeBindingMode": "WaitForFirstConsumer"})
    record = recorded(ObjectRef("v1", "PersistentVolumeClaim", "shop", "data"))
    (application,) = seen(cluster, record)["applications"]
    assert application["objects"][0]["state"] == "current"
    assert any("storageclasses" in command for command in cluster.commands)
    claim["status"]["phase"] = "Bound"
    cluster.commands.clear()
    seen(cluster, record)
    assert not any("storageclasses" in command for command in cluster.commands)
