# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Launching applications: the steps, the diff, the waiting."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import apps_plan, readiness
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_diff import before_and_after
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
DESCRIPTION: t.Dict[str, t.Any] = {
    "env": {"WHO": "image", "ONLY": "image"},
    "launch": ["net", "web"],
    "cmds": ["echo done"],
    "applications": [
        {"name": "web", "path": "apps/web", "env": {"WHO": "web"}, "cmds": ["helm install web .", "bash after.sh"]},
        {"name": "net", "path": "apps/net", "env": {}, "cmds": ["kubectl apply -f net.yaml"]},
    ],
}


def steps(rootfs: pathlib.Path, **changes: t.Any) -> t.List[apps_plan.Step]:
    given: t.Dict[str, t.Any] = {"image_digest": "sha256:1", "env": {}, "launch": [], **changes}
    return apps_plan.plan(given.pop("description", DESCRIPTION), rootfs=str(rootfs), **given)


def test_order_directories_and_environment(tmp_path: pathlib.Path) -> None:
    found = steps(tmp_path, env={"WHO": "site"})
    assert [str(step) for step in found] == [
        "net: kubectl apply -f net.yaml",
        "web: helm install web .",
        "web: bash after.sh",
        "cluster image: echo done",
    ]
    assert [step.directory for step in found][1:] == [f"{tmp_path}/apps/web", f"{tmp_path}/apps/web", str(tmp_path)]
    assert found[1].environ == {"WHO": "site", "ONLY": "image"}
    assert steps(tmp_path)[1].environ == {"WHO": "web", "ONLY": "image"}
    assert steps(tmp_path)[3].environ == {"WHO": "image", "ONLY": "image"}


def test_an_application_may_have_any_name(tmp_path: pathlib.Path) -> None:
    applications = [{"name": "cluster", "path": "apps/cluster", "env": {}, "cmds": ["bash up.sh"]}]
    found = steps(tmp_path, description={**DESCRIPTION, "applications": applications, "launch": ["cluster"]})
    assert len({step.key for step in found}) == len(found) == 2


def test_values_of_variables() -> None:
    given = {"TEXT": "a b", "NUMBER": 3, "YES": True, "NO": False, "NONE": ""}
    assert apps_plan.environment("env", given) == {
        "TEXT": "a b",
        "NUMBER": "3",
        "YES": "true",
        "NO": "false",
        "NONE": "",
    }
    with pytest.raises(ClusterError, match="env: LIST is no text: it is of type list. Give a text or a number"):
        apps_plan.environment("env", {"LIST": ["a"]})


def test_the_digest_of_a_tree_knows_files_and_links(tmp_path: pathlib.Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one/file").write_text("a")
    (tmp_path / "way").symlink_to("one")
    seen = [apps_plan.tree_digest(str(tmp_path))]
    (tmp_path / "way").unlink()
    (tmp_path / "way").symlink_to("two")
    seen.append(apps_plan.tree_digest(str(tmp_path)))
    (tmp_path / "one/file").write_text("b")
    seen.append(apps_plan.tree_digest(str(tmp_path)))
    assert len(set(seen)) == 3


def test_done_steps_stay_done_until_something_of_theirs_changes(tmp_path: pathlib.Path) -> None:
    (tmp_path / "apps/web").mkdir(parents=True)
    (tmp_path / "apps/web/after.sh").write_text("true")
    record: t.Optional[t.Dict[str, t.Any]] = None
    for step in steps(tmp_path):
        record = apps_plan.with_done(step, record)

    def undone(**changes: t.Any) -> t.List[str]:
        return [step.key for step in steps(tmp_path, **changes) if not apps_plan.is_done(step, record)]

    assert undone() == ["net/1"]
    assert undone(image_digest="sha256:2") == ["net/1", "cluster image/1"]
    assert undone(env={"WHO": "other"}) == ["net/1", "web/1", "web/2", "cluster image/1"]
    (tmp_path / "apps/web/after.sh").write_text("false")
    assert undone() == ["net/1", "web/1", "web/2"]


def test_an_unknown_application_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ClusterError, match="no application shop.*net, web"):
        steps(tmp_path, launch=["shop"])


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("kubectl apply -f a.yaml", "/d/a.yaml"),
        ("kubectl apply -f 'a b.yaml'", "/d/a b.yaml"),
        ("kubectl apply -f a.yaml -n x", ""),
        ("kubectl apply -f $FILE", ""),
        ("kubectl apply -f -", ""),
        ("kubectl apply -f https://x/y.yaml", ""),
        ("kubectl apply -f 'a", ""),
        ("kubectl create -f a.yaml", ""),
    ],
)
def test_plain_applies_are_known(command: str, found: str) -> None:
    assert apps_plan.manifest_of(command, "/d") == found


def test_a_diff_without_what_changes_by_itself() -> None:
    text = (FIXTURES / "kubectl-diff.txt").read_text()
    before, after = before_and_after(text)
    assert "maxUnavailable: 1" in before and "maxUnavailable: 2" in after
    assert before.splitlines()[0] == after.splitlines()[0] == "# apps.v1.DaemonSet.kube-system.kube-proxy"
    assert before.splitlines()[-1] == "# v1.ConfigMap.default.newone"
    assert "  a: b" in after
    for word in ("generation:", "uid:", "creationTimestamp:", "/tmp"):
        assert word not in before.replace("template.generation:", "") + after.replace("template.generation:", "")


def workload(kind: str, name: str) -> t.Dict[str, t.Any]:
    items = json.loads((FIXTURES / "workloads.json").read_text())["items"]
    return t.cast(
        "t.Dict[str, t.Any]",
        next(item for item in items if (item["kind"], item["metadata"]["name"]) == (kind, name)),
    )


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "coredns"), ("DaemonSet", "kube-proxy")])
def test_recorded_workloads_are_ready(kind: str, name: str) -> None:
    assert readiness.waits_for_workload(workload(kind, name)) == ""


@pytest.mark.parametrize(
    ("kind", "name", "field", "value", "why"),
    [
        ("Deployment", "coredns", "availableReplicas", 1, "1 of 2 ready"),
        ("Deployment", "coredns", "updatedReplicas", 0, "0 of 2 ready"),
        ("Deployment", "coredns", "observedGeneration", 0, "not seen by its controller yet"),
        ("DaemonSet", "kube-proxy", "numberAvailable", 1, "1 of 2 ready"),
        ("DaemonSet", "kube-proxy", "updatedNumberScheduled", 0, "0 of 2 ready"),
    ],
)
def test_workloads_that_are_not_ready(kind: str, name: str, field: str, value: int, why: str) -> None:
    item = workload(kind, name)
    item["status"][field] = value
    assert readiness.waits_for_workload(item) == why


def test_jobs_complete_or_fail() -> None:
    job: t.Dict[str, t.Any] = {"kind": "Job", "metadata": {"name": "j", "namespace": "n"}, "spec": {}, "status": {}}
    assert readiness.waits_for_workload(job) == "0 of 1 completed"
    assert readiness.has_failed(job) == ""
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
    assert readiness.has_failed(job) == "Job n/j failed: BackoffLimitExceeded"
    job["status"] = {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}
    assert readiness.waits_for_workload(job) == ""


def test_nodes() -> None:
    nodes = json.loads((FIXTURES / "nodes.json").read_text())["items"]
    assert readiness.waits_for_node("kube-cp", nodes) == ""
    assert readiness.waits_for_node("absent", nodes) == "is not in the cluster"
    nodes[0]["status"]["conditions"][-1].update(status="False", message="network plugin not initialized")
    assert readiness.waits_for_node(nodes[0]["metadata"]["name"], nodes) == "network plugin not initialized"


def test_pods_tell_why_they_wait() -> None:
    pod = {
        "metadata": {"name": "web-1", "namespace": "shop", "uid": "u"},
        "spec": {"nodeName": "w1"},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "Ready", "status": "False"}],
            "containerStatuses": [
                {"name": "web", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
            ],
        },
    }
    events = [{"type": "Warning", "reason": "Failed", "message": "pull failed", "involvedObject": {"uid": "u"}}]
    assert readiness.unready_pods([pod], {"shop"}) == [pod]
    assert readiness.unready_pods([pod], {"other"}) == []
    assert readiness.told_pod(pod, events) == (
        "pod shop/web-1 on w1 is Pending: container web: ImagePullBackOff (no such image); Failed: pull failed"
    )
