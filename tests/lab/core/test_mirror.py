# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods from a private registry, through the mirrors on two hosts of a cluster: no node knows registry or login."""

from __future__ import annotations

import json
import typing as t
from functools import partial

import pytest
from ansible_collections.sealer.cluster.tests.lab.canaries import Secret, Watch
from ansible_collections.sealer.cluster.tests.lab.cluster_state import started, watched
from ansible_collections.sealer.cluster.tests.lab.lab import Lab, Run
from ansible_collections.sealer.cluster.tests.lab.private_registry import PASSWORD, USER, PrivateRegistry, Pushed
from ansible_collections.sealer.cluster.tests.lab.runtimes import KUBEADM
from ansible_collections.sealer.cluster.tests.lab.secret_options import UPSTREAM_PASSWORD


def run_pod(lab: Lab, name: str, image: str, host: str) -> str:
    """Run a pod on this node, and answer what it said; raises when it does not get ready."""
    container = {"name": name, "image": image, "imagePullPolicy": "Always"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"nodeName": host, "containers": [container], "terminationGracePeriodSeconds": 0},
    }
    lab.ssh(lab.control_plane, f"{lab.kubectl_command} apply --filename -", given=json.dumps(pod))
    ready = f"{lab.kubectl_command} wait --for=condition=Ready --timeout=60s pod/{name}"
    lab.ssh(lab.control_plane, f"{ready} || {{ {lab.kubectl_command} describe pod/{name}; exit 1; }}")
    return lab.ssh(lab.control_plane, f"{lab.kubectl_command} logs {name}")


class Mirrored(t.NamedTuple):
    """A cluster with a private upstream: what had been running before it was told, and the run that told it."""

    registry: PrivateRegistry
    variables: dict[str, object]
    image: Pushed
    before: dict[str, str]
    run: Run
    watch: Watch


@pytest.fixture(scope="module")
def mirrored(lab: Lab, site: Run, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Mirrored]:
    with PrivateRegistry(lab, tmp_path_factory.mktemp("private")).running() as registry:
        image = registry.push("team/app:1")
        upstream = {
            "name": registry.name,
            "urls": [registry.url],
            "username": USER,
            "password": PASSWORD,
            "ca_certificate": registry.ca_certificate,
            "tag_ttl": 1,
        }
        variables: dict[str, object] = {
            "sealer_registry_pull_through": "configured",
            "sealer_registry_upstreams": [upstream],
        }
        before = started(KUBEADM, lab)
        yield Mirrored(
            registry, variables, image, before, *watched(KUBEADM, lab, partial(lab.play, "site", variables=variables))
        )


def test_an_upstream_changes_registry_hosts_alone_and_restarts_nothing(lab: Lab, mirrored: Mirrored) -> None:
    changed = [host for host, recap in mirrored.run.hosts.items() if recap.changed]
    assert changed == list(lab.hosts)[: lab.registries], mirrored.run.text
    assert started(KUBEADM, lab) == mirrored.before


def test_a_second_run_with_upstreams_changes_nothing(lab: Lab, mirrored: Mirrored) -> None:
    run = lab.play("site", variables=mirrored.variables)
    assert run.status == 0, run.text
    assert run.unchanged, run.text


def test_a_pod_runs_from_a_private_image_under_its_own_name(lab: Lab, mirrored: Mirrored) -> None:
    first, _second = list(lab.hosts)[-2:]
    assert run_pod(lab, "first", mirrored.image.tagged, first) == "here\n"


def test_no_node_knows_the_login(lab: Lab, mirrored: Mirrored) -> None:
    """Registry hosts do, in a file that is the mirror's alone."""
    look = f"grep --recursive --files-with-matches {PASSWORD} /etc /root /run /usr/local /var/lib || true"
    secret = f"/etc/sealer/mirror/upstreams/{mirrored.registry.name}/password\n"
    told = {host: lab.ssh(host, look) for host in lab.hosts}
    assert told == {host: secret if number < lab.registries else "" for number, host in enumerate(lab.hosts)}
    assert mirrored.watch.findings([Secret(UPSTREAM_PASSWORD, PASSWORD)], mirrored.run.text) == []


def test_a_second_node_runs_it_while_the_registry_is_gone(lab: Lab, mirrored: Mirrored) -> None:
    """By the digest of all its platforms."""
    _first, second = list(lab.hosts)[-2:]
    mirrored.registry.stop()
    try:
        assert run_pod(lab, "second", mirrored.image.pinned, second) == "here\n"
    finally:
        mirrored.registry.start()


def test_pulls_go_on_while_a_registry_host_is_gone(lab: Lab, mirrored: Mirrored) -> None:
    """The one that every node asks first; of two images one was pulled before, one is new."""
    first, second = list(lab.hosts)[-2:]
    image = mirrored.registry.push("team/app:2").tagged
    lab.ssh(lab.control_plane, "systemctl stop sealer-mirror")
    try:
        assert run_pod(lab, "known", mirrored.image.tagged, lab.control_plane) == "here\n"
        assert run_pod(lab, "new", image, second) == "here\n"
        assert run_pod(lab, "newer", image, first) == "here\n"
    finally:
        lab.ssh(lab.control_plane, "systemctl start sealer-mirror")


def test_no_packet_left_the_network_for_it(lab: Lab, mirrored: Mirrored) -> None:
    assert lab.air_gap.attempts() == {}


def test_another_first_registry_host_makes_a_ca_that_all_nodes_get(lab: Lab, site: Run) -> None:
    """As where the one that kept the CA's key is lost; and back again, where the key is that of the CA before."""
    registries = list(lab.hosts)[: lab.registries]
    seen = {lab.ssh(host, "cat /etc/sealer/pki/ca.crt") for host in lab.hosts}
    for keeper in reversed(registries):
        run = lab.play("site", variables={"registry_ca_host": keeper})
        assert run.status == 0, run.text
        (authority,) = {lab.ssh(host, "cat /etc/sealer/pki/ca.crt") for host in lab.hosts}
        assert authority not in seen
        seen.add(authority)
        for host in lab.hosts:
            for registry in registries:
                url = f"https://{lab.hosts[registry]}:5000/healthz"
                lab.ssh(host, f"curl --silent --show-error --fail --cacert /etc/sealer/pki/ca.crt {url}")
