# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same playbooks with an image that brings k0s: made, run again, reset, on hosts without internet.

It is the double, or the program that SEALER_K0S_BINARY names.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import Lab, Run, build_images, differences

RESET = "--extra-vars=sealer_reset=true"


@dataclasses.dataclass
class Made:
    """Hosts, what they were like, and the run that made a cluster of them."""

    hosts: Lab
    before: dict[str, dict[str, t.Any]]
    site: Run


@pytest.fixture(scope="module")
def made() -> t.Iterator[Made]:
    build_images("k0s")
    hosts = Lab("k0s", workers=1, subnet="10.77.91", image="demo-k0s:1", kubeconfig="/var/lib/k0s/pki/admin.conf")
    hosts.destroy()
    hosts.create()
    before = {host: hosts.inventory_of(host) for host in hosts.hosts}
    bare = hosts.play("site", "--check", "--diff")
    assert bare.status == 0, bare.text
    assert all(differences(before[host], hosts.inventory_of(host)) == [] for host in hosts.hosts)
    site = hosts.play("site")
    assert site.status == 0, site.text
    yield Made(hosts, before, site)
    if not os.environ.get("SEALER_LAB_KEEP"):
        hosts.destroy()


def test_site_needs_few_tasks(made: Made) -> None:
    assert {name: host.tasks for name, host in made.site.hosts.items() if host.tasks > 25} == {}


def test_nodes_are_ready_and_have_their_names_and_addresses(made: Made) -> None:
    found = {}
    for node in made.hosts.kubectl("get nodes")["items"]:
        addresses = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}
        if any(told["type"] == "Ready" and told["status"] == "True" for told in node["status"]["conditions"]):
            found[node["metadata"]["name"]] = addresses["InternalIP"]
    assert found == made.hosts.hosts


def test_the_application_answers_from_every_host(made: Made) -> None:
    services = made.hosts.kubectl("get services --all-namespaces")["items"]
    service = next(item for item in services if item["metadata"]["name"] == "demo")
    page = f"http://{service['spec']['clusterIP']}/"
    for host in made.hosts.hosts:
        told = made.hosts.ssh(host, f"curl --silent --show-error --fail --retry 10 --retry-all-errors {page}")
        assert "cluster image" in told


def test_images_came_through_the_mirror_under_their_names(made: Made) -> None:
    pods = made.hosts.kubectl("get pods --all-namespaces")["items"]
    names = {container["image"].split("/")[0] for pod in pods for container in pod["spec"]["containers"]}
    assert names == {"docker.io", "ghcr.io", "quay.io"}
    assert made.hosts.packets_left() == 0


def started(made: Made, host: str) -> str:
    return made.hosts.ssh(
        host, "systemctl show --property=Id,ActiveEnterTimestamp k0scontroller k0sworker sealer-mirror"
    )


def test_a_second_run_changes_and_restarts_nothing(made: Made) -> None:
    first = {host: started(made, host) for host in made.hosts.hosts}
    for arguments in ([], ["--check", "--diff"]):
        run = made.hosts.play("site", *arguments)
        assert run.status == 0, run.text
        assert run.unchanged, run.text
    assert {host: started(made, host) for host in made.hosts.hosts} == first


def test_no_join_token_is_left(made: Made) -> None:
    secrets = made.hosts.kubectl(
        "get secrets --namespace kube-system --field-selector type=bootstrap.kubernetes.io/token"
    )
    assert secrets["items"] == []
    for host in made.hosts.hosts:
        assert made.hosts.ssh(host, "ls -d /run/sealer-k0s 2>/dev/null", check=False) == ""


def test_info_tells_of_the_cluster(made: Made) -> None:
    run = made.hosts.play("info")
    assert run.status == 0, run.text
    assert all(host in run.text for host in made.hosts.hosts)


def test_reset_gives_the_hosts_back_and_site_works_again(made: Made) -> None:
    for _round in range(2):
        run = made.hosts.play("reset", RESET)
        assert run.status == 0, run.text
        for host, was in made.before.items():
            assert differences(was, made.hosts.inventory_of(host)) == []
        if _round == 0:
            again = made.hosts.play("site")
            assert again.status == 0, again.text
