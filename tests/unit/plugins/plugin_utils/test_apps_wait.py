# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for applications: until when, what is shown meanwhile, when it is in vain, what is said then."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.plugin_utils._apps_wait import AppsWait, NotReady, notes_in
from ansible_collections.sealer.cluster.plugins.plugin_utils._progress import Announcer

Result = dict[str, t.Any]


def web(state: str = "in progress", why: str = "0 of 1 new pods are available", **more: t.Any) -> Result:
    item: Result = {
        "api_version": "apps/v1",
        "kind": "Deployment",
        "namespace": "shop",
        "name": "web",
        "source": "application/apps/web/20-deployment.yaml",
        "state": state,
        "why": why,
        "pods": [],
        "events": [],
        "restarts": 0,
    }
    return {**item, **more}


def pod(restarts: int, *, is_new: bool = True, logs: t.Sequence[Result] = ()) -> Result:
    return {
        "name": "web-1",
        "node": "w1",
        "is_new": is_new,
        "why": [f"container web: CrashLoopBackOff, {restarts} restarts, last exit code 1"],
        "crash_loops": {"web": restarts},
        "logs": list(logs),
    }


def look(*objects: Result, nodes: t.Sequence[Result] = (), system: t.Sequence[Result] = ()) -> Result:
    applications = [{"name": "web", "image": "sha256:1", "stays": "", "objects": list(objects), "left": []}]
    return {"applications": applications, "nodes": list(nodes), "system": list(system)}


READY = look(web("current", ""))
WAITING = look(web())


class Cluster:
    """Gives one look after the other, the last one for ever; time goes by in pauses alone."""

    def __init__(self, *looks: Result, diagnosis: t.Optional[Result] = None, timeout: float = 600) -> None:
        self.looks = list(looks)
        self.diagnosis = diagnosis
        self.now = 0.0
        self.asked: list[bool] = []
        self.shown: list[str] = []
        announcer = Announcer(self.shown.append, "[cp1] cluster_apps", terminal=True, clock=lambda: self.now)
        self.waiting = AppsWait(self.ask, announcer, timeout, clock=lambda: self.now, pause=self.pause)

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, diagnosis: bool) -> Result:
        self.asked.append(diagnosis)
        if diagnosis and self.diagnosis is not None:
            return self.diagnosis
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]

    def wait(self, launched: bool = False) -> Result:
        return self.waiting.until_ready(self.ask(False), launched=launched)

    def failure(self) -> str:
        with pytest.raises(NotReady) as caught:
            self.wait()
        return str(caught.value)


def test_what_is_ready_is_asked_no_more() -> None:
    cluster = Cluster(READY)
    assert cluster.wait() == READY
    assert cluster.asked == [False]
    assert cluster.shown == []


def test_it_waits_until_the_end_and_shows_for_what() -> None:
    node = {"name": "w1", "why": "not ready"}
    first = look(web(), nodes=[node])
    cluster = Cluster(first, first, WAITING, READY)
    assert cluster.wait() == READY
    # Six seconds until it is ready, ten in which it stays so.
    assert cluster.now == 16
    told = "Deployment shop/web: 0 of 1 new pods are available"
    assert [line.removeprefix("[cp1] cluster_apps waiting: ") for line in cluster.shown] == [
        f"0 of 2 items, node w1: not ready; {told}",
        f"0 of 1 items, {told}",
        *["1 of 1 items, whether all stays ready"] * 5,
    ]


def test_what_was_launched_has_to_stay_ready() -> None:
    cluster = Cluster(READY)
    assert cluster.wait(launched=True) == READY
    assert cluster.now == 10
    assert Cluster(look()).wait(launched=True) == look()


def test_a_container_that_dies_after_it_was_ready_is_not_ready() -> None:
    """Without a readiness probe it is available while it runs."""
    alive, again = READY, look(web("current", "", restarts=1))
    dead = look(web(pods=[pod(1)]))
    cluster = Cluster(alive, alive, dead, again, dead, timeout=60)
    with pytest.raises(NotReady, match="not ready after 60 seconds"):
        cluster.wait(launched=True)


def test_a_restart_between_two_looks_is_seen() -> None:
    counts = [look(web("current", "", restarts=count)) for count in (0, 0, 0, 0, 1)]
    cluster = Cluster(*counts)
    assert cluster.wait(launched=True) == counts[-1]
    assert cluster.now == 8 + 10


def test_little_time_is_enough_for_what_is_ready() -> None:
    cluster = Cluster(READY, timeout=4)
    assert cluster.wait(launched=True) == READY
    assert cluster.now == 4


def test_many_things_are_counted() -> None:
    cluster = Cluster(look(*(web(name=f"web{number}") for number in range(5))), timeout=4)
    cluster.failure()
    assert cluster.shown[0].endswith("and 2 more")


def test_time_runs_out_with_a_diagnosis() -> None:
    logs = [{"container": "web", "lines": ["no database", "giving up"]}]
    told = look(web(pods=[pod(3, logs=logs)], events=["BackOff: Back-off restarting failed container"]))
    cluster = Cluster(look(web(pods=[pod(3)])), diagnosis=told)
    assert cluster.failure() == (
        "not ready after 600 seconds:\n"
        "Deployment shop/web (application/apps/web/20-deployment.yaml): 0 of 1 new pods are available\n"
        "  pod web-1 on w1: container web: CrashLoopBackOff, 3 restarts, last exit code 1\n"
        "    log of web: no database\n"
        "    log of web: giving up\n"
        "  event: BackOff: Back-off restarting failed container\n"
        "Correct the cause and run this again, or allow more time (apps_wait_timeout)."
        " More is shown by: kubectl --namespace=shop describe deployment web"
    )
    assert cluster.now == 600
    assert cluster.asked.count(True) == 1 and cluster.asked[-1] is True


def test_a_failure_that_is_seen_twice_ends_it() -> None:
    cluster = Cluster(WAITING, look(web("failed", "no progress within 600 seconds")))
    message = cluster.failure()
    assert message.startswith("the applications will not become ready:\nDeployment shop/web")
    assert "apps_wait_timeout" not in message
    assert cluster.asked == [False, False, False, True]


def test_a_condition_from_before_the_change_does_not_end_it() -> None:
    failed = look(web("failed", "no progress within 600 seconds"))
    cluster = Cluster(failed, WAITING, failed, READY)
    assert cluster.wait() == READY


def test_a_job_of_the_system_that_failed_ends_it() -> None:
    job = web("failed", "BackoffLimitExceeded", kind="Job", namespace="kube-system", name="install", source="")
    message = Cluster(look(web("current", ""), system=[job])).failure()
    assert "Job kube-system/install: BackoffLimitExceeded" in message


@pytest.mark.parametrize(
    ("counts", "ends_early"),
    [
        ([1, 2, 3, 4, 5, 6], True),
        ([1, 2, 3, 4, 5, 5], False),
        # It crashed often before: the change may have mended it, which the next try shows.
        ([8, 8, 8, 8], False),
        ([8, 8, 9], True),
    ],
)
def test_crashes_end_it_when_there_was_one_more(counts: list[int], ends_early: bool) -> None:
    cluster = Cluster(*(look(web(pods=[pod(count)])) for count in counts))
    message = cluster.failure()
    assert message.startswith("the applications will not become ready") == ends_early


def test_pods_of_an_earlier_version_may_crash() -> None:
    cluster = Cluster(*(look(web(pods=[pod(count, is_new=False)])) for count in range(20)), READY)
    assert cluster.wait() == READY


def test_a_set_that_is_blocked_by_an_old_pod_is_explained() -> None:
    stuck = web(kind="StatefulSet", name="db", pods=[pod(9, is_new=False)])
    message = Cluster(look(stuck), timeout=2).failure()
    assert "pod web-1 on w1, of an earlier version: container web" in message
    assert "A StatefulSet does not replace a pod that never became ready" in message


def test_images_that_cannot_be_pulled_are_explained() -> None:
    waiting = {**pod(0), "why": ["container web: ImagePullBackOff: not found"], "crash_loops": {}}
    message = Cluster(look(web(pods=[waiting])), timeout=2).failure()
    assert "An image that cannot be pulled has to be in the cluster image" in message


def test_an_api_server_that_is_away_is_waited_for() -> None:
    away: Result = {"failed": True, "msg": "kubectl get failed: connection refused"}
    cluster = Cluster(WAITING, away, away, READY)
    assert cluster.wait() == READY
    assert any("the API server: kubectl get failed" in line for line in cluster.shown)
    message = Cluster(WAITING, away, timeout=4).failure()
    assert message.startswith("not ready after 4 seconds:\nthe API server: kubectl get failed: connection refused")


def test_what_becomes_ready_in_the_last_moment_is_ready() -> None:
    assert Cluster(WAITING, diagnosis=READY, timeout=2).wait() == READY


def test_what_nobody_waits_for_is_noted() -> None:
    service = web("current", "has no address from a load balancer", kind="Service")
    assert notes_in(look(web("current", ""), service)) == [
        "Not waited for: Service shop/web has no address from a load balancer"
    ]
    assert notes_in(READY) == []
