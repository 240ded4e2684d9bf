# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said of pods that are not ready, and which of their logs may tell more."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import pod_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.pod_state import Log

PODS: dict[str, t.Any] = json.loads((pathlib.Path(__file__).parent / "fixtures/objects/pods.json").read_text())
PULL = 'Back-off pulling image "docker.io/library/web:2": ErrImagePull: rpc error: code = NotFound'


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("crash loop", ["container web: CrashLoopBackOff, 6 restarts, last exit code 1"]),
        ("out of memory", ["container web: CrashLoopBackOff, 1 restart, last exit code 137 (OOMKilled)"]),
        ("crashed and not started again yet", ["container web: ended, 1 restart, last exit code 2, no such table"]),
        ("image missing", [f"container web: ImagePullBackOff: {PULL}"]),
        ("ConfigMap missing", ['container web: CreateContainerConfigError: configmap "page" not found']),
        ("runs and is not ready", ["container web: runs and is not ready"]),
        ("runs and is not ready after a crash", ["container web: runs and is not ready, 2 restarts, last exit code 1"]),
        ("starting", ["container web: ContainerCreating"]),
        ("init container fails", ["init container schema: CrashLoopBackOff, 3 restarts, last exit code 1"]),
        ("not scheduled", ["Unschedulable: 0/2 nodes are available: 2 Insufficient memory."]),
        ("evicted", ["Evicted: The node was low on resource: memory."]),
        ("being deleted", ["container web: runs and is not ready", "is being deleted"]),
        ("not observed", ["is not started"]),
    ],
)
def test_what_keeps_a_pod(case: str, told: list[str]) -> None:
    assert pod_state.complaints(PODS[case]) == told
    assert not pod_state.is_well(PODS[case])


@pytest.mark.parametrize("case", ["ready", "succeeded"])
def test_pods_that_are_well(case: str) -> None:
    assert pod_state.is_well(PODS[case])


@pytest.mark.parametrize(
    ("case", "logs"),
    [
        ("crash loop", [Log("web", previous=True)]),
        ("crashed and not started again yet", [Log("web", previous=False)]),
        ("runs and is not ready", [Log("web", previous=False)]),
        ("runs and is not ready after a crash", [Log("web", previous=True)]),
        ("init container fails", [Log("schema", previous=True)]),
        ("image missing", []),
        ("starting", []),
        ("ready", []),
    ],
)
def test_the_logs_that_may_tell_more(case: str, logs: list[Log]) -> None:
    assert pod_state.telling_logs(PODS[case]) == logs


def test_restarts_count_in_a_crash_loop_alone() -> None:
    loops = {case: pod_state.crash_loops(pod) for case, pod in PODS.items()}
    assert {case: found for case, found in loops.items() if found} == {
        "crash loop": {"web": 6},
        "out of memory": {"web": 1},
        "init container fails": {"schema": 3},
    }


def test_a_message_is_one_line_and_ends() -> None:
    assert pod_state.told("A", None, "two\n  lines ") == "A: two lines"
    assert len(pod_state.told("x" * 1000)) == 300
