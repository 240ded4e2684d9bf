# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pods belong to a workload, and which are of its present version."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.workload_pods import pods_of

Json = dict[str, t.Any]


def item(kind: str, name: str, owner: str = "", labels: t.Optional[Json] = None, **more: t.Any) -> Json:
    owners = {"ownerReferences": [{"uid": owner}]} if owner else {}
    metadata = {"name": name, "uid": name, "labels": labels or {}, **owners, **more.pop("metadata", {})}
    return {"kind": kind, "metadata": metadata, **more}


def revision(number: str) -> Json:
    return {"annotations": {"deployment.kubernetes.io/revision": number}}


def hashed(text: str) -> Json:
    return {"controller-revision-hash": text}


POD = item("Pod", "alone")
CASES = [
    (
        item("Deployment", "web", metadata=revision("10")),
        [
            item("ReplicaSet", "rs9", "web", metadata=revision("9")),
            item("ReplicaSet", "rs10", "web", metadata=revision("10")),
            item("ReplicaSet", "foreign", "other", metadata=revision("10")),
            item("Pod", "old", "rs9"),
            item("Pod", "new", "rs10"),
            item("Pod", "not-ours", "foreign"),
        ],
        {"old": False, "new": True},
    ),
    (
        item("StatefulSet", "db", status={"updateRevision": "db-2", "currentRevision": "db-1"}),
        [
            item("Pod", "db-0", "db", hashed("db-1")),
            item("Pod", "db-1", "db", hashed("db-2")),
            item("Pod", "no-label", "db"),
        ],
        {"db-0": False, "db-1": True, "no-label": False},
    ),
    (
        item("DaemonSet", "agent"),
        [
            item("ControllerRevision", "r2", "agent", hashed("bbb"), revision=2),
            item("ControllerRevision", "r10", "agent", hashed("ccc"), revision=10),
            item("ControllerRevision", "r11", "other", hashed("ddd"), revision=11),
            item("Pod", "old", "agent", hashed("bbb")),
            item("Pod", "new", "agent", hashed("ccc")),
        ],
        {"old": False, "new": True},
    ),
    (item("DaemonSet", "agent"), [item("Pod", "early", "agent", hashed("bbb"))], {"early": False}),
    (item("Job", "once"), [item("Pod", "p", "once"), item("Pod", "q", "other")], {"p": True}),
    (item("ReplicaSet", "rs"), [item("Pod", "p", "rs")], {"p": True}),
    (POD, [POD, item("Pod", "other")], {"alone": True}),
]


@pytest.mark.parametrize(("workload", "children", "expected"), CASES)
def test_pods_and_their_versions(workload: Json, children: list[Json], expected: dict[str, bool]) -> None:
    assert {found.pod["metadata"]["name"]: found.is_new for found in pods_of(workload, children)} == expected
