# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same playbooks with an image that brings k3s: made, run again, changed, reset, on hosts without internet.

k3s is its double, unless SEALER_K3S_BINARY names the real one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import Lab, Run, build_images, differences

UNITS = {"k3s-cp1": "k3s", "k3s-w1": "k3s-agent"}
LABELS: dict[str, object] = {
    "sealer_node_labels": {"example.com/rack": "r1"},
    "sealer_node_taints": [{"key": "a", "effect": "PreferNoSchedule"}],
}


@dataclasses.dataclass
class Made:
    """Hosts, what they were like, and the run that made a cluster of them."""

    hosts: Lab
    before: dict[str, dict[str, t.Any]]
    site: Run


@pytest.fixture(scope="module")
def made() -> t.Iterator[Made]:
    build_images("k3s")
    hosts = Lab("k3s", subnet="10.77.90", image="demo-k3s:1", kubeconfig="/etc/rancher/k3s/k3s.yaml")
    hosts.destroy()
    try:
        hosts.create()
        before = {host: hosts.inventory_of(host) for host in hosts.hosts}
        bare = hosts.play("site", "--check", "--diff", variables=LABELS)
        assert bare.status == 0, bare.text
        assert all(bare.hosts[host].changed > 0 for host in hosts.hosts)
        assert "/etc/rancher/k3s/config.yaml" in bare.text
        assert all(differences(before[host], hosts.inventory_of(host)) == [] for host in hosts.hosts)
        site = hosts.play("site", variables=LABELS)
        assert site.status == 0, site.text
        yield Made(hosts, before, site)
    finally:
        if not os.environ.get("SEALER_LAB_KEEP"):
            hosts.destroy()


def test_site_needs_few_tasks(made: Made) -> None:
    assert {name: host.tasks for name, host in made.site.hosts.items() if host.tasks > 25} == {}


def test_nodes_are_ready_with_their_addresses_labels_and_taints(made: Made) -> None:
    assert made.hosts.readiness() == dict.fromkeys(made.hosts.hosts, "True")
    for node in made.hosts.kubectl("get nodes")["items"]:
        addresses = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}
        assert addresses["InternalIP"] == made.hosts.hosts[node["metadata"]["name"]]
        assert node["metadata"]["labels"]["example.com/rack"] == "r1"
        taints = {(taint["key"], taint["effect"]) for taint in node["spec"]["taints"]}
        dedicated = {("node-role.kubernetes.io/control-plane", "NoSchedule")}
        assert taints == {("a", "PreferNoSchedule")} | (dedicated if "-cp" in node["metadata"]["name"] else set())


def test_the_application_answers_from_every_host(made: Made) -> None:
    services = made.hosts.kubectl("get services --all-namespaces")["items"]
    service = next(item for item in services if item["metadata"]["name"] == "demo")
    page = f"http://{service['spec']['clusterIP']}/"
    for host in made.hosts.hosts:
        told = made.hosts.ssh(host, f"curl --silent --show-error --fail --retry 10 --retry-all-errors {page}")
        assert "cluster image" in told


def test_images_came_through_the_mirror_under_their_names(made: Made) -> None:
    """No image was on the hosts before, nothing left the network, and containerd was told of the mirror alone."""
    certs = "/var/lib/rancher/k3s/agent/etc/containerd/certs.d"
    for host in made.hosts.hosts:
        assert made.hosts.ssh(host, f"find {certs} -type f").split() == [f"{certs}/_default/hosts.toml"]
        names = set(made.hosts.ssh(host, "ctr --namespace k8s.io images list --quiet").split())
        assert any(name.startswith("docker.io/rancher/mirrored-pause:") for name in names)
        assert not [name for name in names if made.hosts.subnet in name]
    assert made.hosts.packets_left() == 0


def test_no_token_is_left_or_told(made: Made) -> None:
    hosts = made.hosts
    secret = hosts.ssh(hosts.control_plane, "cat /var/lib/rancher/k3s/server/token").strip().rpartition(":")[2]
    state = hosts.ssh(hosts.control_plane, "cat /etc/sealer/cluster.json")
    assert json.loads(state)["runtime"]["name"] == "k3s"
    for host in hosts.hosts:
        told = hosts.ssh(host, "cat /proc/*/cmdline /proc/*/environ /etc/rancher/k3s/config.yaml", check=False)
        assert secret not in told
        assert hosts.ssh(host, "ls -d /run/sealer-k3s 2>/dev/null", check=False) == ""
    assert secret not in state and secret not in made.site.text
    assert hosts.ssh("k3s-w1", "stat --format=%a /etc/rancher/k3s/join-token").strip() == "600"
    kept = "get secrets --namespace kube-system --field-selector type=bootstrap.kubernetes.io/token"
    assert hosts.kubectl(kept)["items"] == []


def started(hosts: Lab, host: str) -> str:
    """When the services of a host were started."""
    return hosts.ssh(host, f"systemctl show --property=Id,ActiveEnterTimestamp {UNITS[host]} sealer-mirror")


def test_a_second_run_changes_and_restarts_nothing(made: Made) -> None:
    first = {host: started(made.hosts, host) for host in made.hosts.hosts}
    for arguments in ([], ["--check", "--diff"]):
        run = made.hosts.play("site", *arguments, variables=LABELS)
        assert run.status == 0, run.text
        assert run.unchanged, run.text
    assert {host: started(made.hosts, host) for host in made.hosts.hosts} == first


def test_info_tells_of_the_cluster(made: Made) -> None:
    run = made.hosts.play("info")
    assert run.status == 0, run.text
    assert all(host in run.text for host in made.hosts.hosts)
    assert "server-ca" in run.text


def test_changed_configuration_restarts_k3s_and_no_pod(made: Made) -> None:
    pods = "get pods --all-namespaces"
    before = {item["metadata"]["uid"]: item["status"]["startTime"] for item in made.hosts.kubectl(pods)["items"]}
    first = {host: started(made.hosts, host) for host in made.hosts.hosts}
    run = made.hosts.play("site", variables={**LABELS, "k3s_airgap": False})
    assert run.status == 0, run.text
    assert all(started(made.hosts, host) != first[host] for host in made.hosts.hosts)
    assert {
        item["metadata"]["uid"]: item["status"]["startTime"] for item in made.hosts.kubectl(pods)["items"]
    } == before


def test_a_worker_is_reset_and_joins_again(made: Made) -> None:
    run = made.hosts.play("reset", "--limit=k3s-w1", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    assert differences(made.before["k3s-w1"], made.hosts.inventory_of("k3s-w1")) == []
    assert list(made.hosts.readiness()) == ["k3s-cp1"]
    run = made.hosts.play("site", "--limit=k3s-w1")
    assert run.status == 0, run.text
    assert set(made.hosts.readiness()) == set(made.hosts.hosts)


def test_reset_gives_the_hosts_back_and_site_works_again(made: Made) -> None:
    for _round in range(2):
        run = made.hosts.play("reset", variables={"sealer_reset": True})
        assert run.status == 0, run.text
        for host, was in made.before.items():
            assert differences(was, made.hosts.inventory_of(host)) == []
        again = made.hosts.play("site" if _round == 0 else "reset", variables={"sealer_reset": True})
        assert again.status == 0, again.text
        assert again.unchanged is bool(_round), again.text
