# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A control plane and a worker of k3s, then of k0s, on hosts that were bare before and are so again afterwards.

Both are their doubles, unless SEALER_K3S_BINARY and SEALER_K0S_BINARY name the real ones.
"""

from __future__ import annotations

import dataclasses
import typing as t
from functools import partial

import pytest
from ansible_collections.sealer.cluster.tests.lab import mysql
from ansible_collections.sealer.cluster.tests.lab.canaries import Watch
from ansible_collections.sealer.cluster.tests.lab.cluster_state import (
    PUBLISHERS,
    image_names,
    require_secrets_kept,
    started,
    watched,
    worker,
)
from ansible_collections.sealer.cluster.tests.lab.foreign import (
    put_foreign_into_nodes,
    require_foreign,
    require_foreign_in_nodes,
)
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab, Run
from ansible_collections.sealer.cluster.tests.lab.runtimes import K0S, K3S, Runtime

# Other networks than those that the images are made with.
NETWORKS: dict[str, object] = {"sealer_pod_subnet": "10.42.0.0/16", "sealer_service_subnet": "10.43.0.0/16"}


@pytest.fixture(scope="module", params=[K3S, K0S], ids=lambda runtime: runtime.name)
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return t.cast(Runtime, request.param)


@pytest.fixture(scope="module")
def pair(lab: Lab, before: Inventories, runtime: Runtime) -> Lab:
    hosts = dataclasses.replace(lab, image=runtime.image, kubeconfig=runtime.kubeconfig)
    return hosts.only(hosts.control_plane, worker(hosts))


@pytest.fixture(scope="module")
def watched_pair_site(pair: Lab, runtime: Runtime) -> tuple[Run, Watch]:
    return watched(runtime, pair, partial(pair.play, "site", variables=NETWORKS))


@pytest.fixture(scope="module")
def pair_site(watched_pair_site: tuple[Run, Watch]) -> Run:
    return watched_pair_site[0]


def test_nodes_are_ready_and_the_database_answers_through_its_service(pair: Lab, pair_site: Run) -> None:
    assert {host: recap.tasks for host, recap in pair_site.hosts.items() if recap.tasks > 25} == {}
    assert pair.readiness() == dict.fromkeys(pair.hosts, "True")
    assert mysql.client(pair, worker(pair), "SELECT 6 * 7") == "42"


def test_pods_and_services_are_in_the_networks_that_were_asked_for(pair: Lab, pair_site: Run) -> None:
    pods = [pod for pod in pair.kubectl("get pods --all-namespaces")["items"] if not pod["spec"].get("hostNetwork")]
    assert pods and {pod["status"]["podIP"].rpartition(".")[0].rpartition(".")[0] for pod in pods} == {"10.42"}
    services = pair.kubectl("get services --all-namespaces")["items"]
    addresses = {service["spec"]["clusterIP"] for service in services} - {"None"}
    assert addresses and {address.rpartition(".")[0].rpartition(".")[0] for address in addresses} == {"10.43"}


def test_images_came_through_the_mirror_under_their_names(runtime: Runtime, pair: Lab, pair_site: Run) -> None:
    assert pair.air_gap.attempts() == {}
    for host in pair.hosts:
        assert pair.ssh(host, f"find {runtime.certs} -type f").split() == [f"{runtime.certs}/_default/hosts.toml"]
    assert {name.split("/")[0] for name in image_names(pair)} <= PUBLISHERS


def test_secrets_are_where_they_belong(runtime: Runtime, watched_pair_site: tuple[Run, Watch]) -> None:
    run, watch = watched_pair_site
    require_secrets_kept(runtime, run, watch)


def test_a_second_run_changes_and_restarts_nothing(runtime: Runtime, pair: Lab, pair_site: Run) -> None:
    before = started(runtime, pair)
    run = pair.play("site", variables=NETWORKS)
    assert run.status == 0, run.text
    assert run.unchanged, run.text
    assert started(runtime, pair) == before


def test_reset_leaves_the_hosts_as_they_were(pair: Lab, pair_site: Run, before: Inventories) -> None:
    """The data of a database is its owner's and was left to them, and so is what somebody else put into the nodes."""
    put_foreign_into_nodes(pair)
    run = pair.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    require_foreign_in_nodes(pair)
    for host in pair.hosts:
        pair.ssh(host, f"rm -rf {mysql.DATA}")
    assert pair.changes_since(before) == {}
    require_foreign(pair)
