# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three control planes and a worker: made, one of them lost and brought back, one of them reset and joined again."""

from __future__ import annotations

import json
import subprocess
import time
import typing as t
from functools import partial

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import Lab, Run, differences

KUBECTL = "KUBECONFIG=/etc/kubernetes/admin.conf kubectl --cache-dir /tmp/kubectl"
ETCDCTL = (
    "etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/server.crt"
    " --key=/etc/kubernetes/pki/etcd/server.key"
)
# A machine lets all its hosts together watch so many files only, and four nodes come close to that.
FEW_WATCHES = "systemctl --quiet mask --now systemd-logind.service dbus.socket dbus.service"
PROBE = "curl --silent --insecure --max-time 2 https://apiserver.cluster.local:6443/readyz"


@pytest.fixture(scope="module")
def hosts() -> t.Iterator[Lab]:
    made = Lab("planes", control_planes=3, subnet="10.77.93")
    made.destroy()
    try:
        made.create()
        for host in made.hosts:
            made.ssh(host, FEW_WATCHES)
        yield made
    finally:
        made.destroy()


@pytest.fixture(scope="module")
def bare(hosts: Lab) -> dict[str, dict[str, t.Any]]:
    return {host: hosts.inventory_of(host) for host in hosts.hosts}


@pytest.fixture(scope="module")
def installed(hosts: Lab, bare: dict[str, dict[str, t.Any]]) -> Run:
    run = hosts.play("site")
    assert run.status == 0, run.text
    return run


def planes(hosts: Lab) -> list[str]:
    return [host for host in hosts.hosts if "-cp" in host]


def worker(hosts: Lab) -> str:
    return f"{hosts.name}-w1"


def nodes(hosts: Lab, asked: str) -> dict[str, str]:
    """Names of the nodes with what their condition Ready says, as a control plane is told by its own API server."""
    found = json.loads(hosts.ssh(asked, f"{KUBECTL} get nodes --output json"))["items"]
    return {
        node["metadata"]["name"]: told["status"]
        for node in found
        for told in node["status"]["conditions"]
        if told["type"] == "Ready"
    }


def wait_for(what: t.Callable[[], bool], seconds: float) -> float:
    """How long it took; fails when it takes longer."""
    start = time.monotonic()
    while not what():
        assert time.monotonic() - start < seconds
        time.sleep(0.2)
    return time.monotonic() - start


def reached(hosts: Lab, host: str) -> bool:
    """Whether this host reaches an API server by the name that stands for all."""
    return hosts.ssh(host, f"{PROBE}; true") == "ok"


def members(hosts: Lab, asked: str) -> set[str]:
    found = json.loads(hosts.ssh(asked, f"{ETCDCTL} member list --write-out=json"))["members"]
    return {item.get("name", "") for item in found if not item.get("isLearner")}


def started(hosts: Lab) -> dict[str, str]:
    """When the services and the pods of the control planes were started."""
    units = {
        host: hosts.ssh(host, "systemctl show --property=Id,ActiveEnterTimestamp containerd kubelet sealer-mirror")
        for host in hosts.hosts
    }
    pods = json.loads(hosts.ssh(planes(hosts)[0], f"{KUBECTL} get pods --namespace kube-system --output json"))["items"]
    states = {
        pod["metadata"]["name"]: str([told["state"] for told in pod["status"]["containerStatuses"]]) for pod in pods
    }
    return {**units, **states}


def test_all_are_ready_and_know_of_each_other(hosts: Lab, installed: Run) -> None:
    assert {host: installed.hosts[host].tasks for host in hosts.hosts if installed.hosts[host].tasks > 25} == {}
    for host in planes(hosts):
        assert nodes(hosts, host) == dict.fromkeys(hosts.hosts, "True")
        assert members(hosts, host) == set(planes(hosts))
        state = json.loads(hosts.ssh(host, "cat /etc/sealer/cluster.json"))
        assert {member["name"]: member["role"] for member in state["members"]} == {
            name: "control_plane" if "-cp" in name else "worker" for name in hosts.hosts
        }


def test_control_planes_joined_one_at_a_time(installed: Run) -> None:
    joins = installed.text.partition("PLAY [Join the other control planes]")[2].partition("PLAY [Join the workers]")[0]
    assert joins.count("PLAY [Join the other control planes]") == 1
    assert "planes-cp3" not in joins.partition("PLAY [Join the other control planes]")[0]


def test_no_credentials_are_left(hosts: Lab, installed: Run) -> None:
    secrets = hosts.ssh(planes(hosts)[0], f"{KUBECTL} get secrets --namespace kube-system --output name").split()
    assert "secret/kubeadm-certs" not in secrets
    # The token that kubeadm init makes is never told to anybody, and ends by itself.
    assert len([name for name in secrets if name.startswith("secret/bootstrap-token-")]) <= 1
    for host in hosts.hosts:
        assert "certificateKey" not in hosts.ssh(
            host, "grep -rs certificateKey /root /tmp /etc/kubernetes /var/lib/sealer; true"
        )


def test_a_second_run_changes_and_restarts_nothing(hosts: Lab, installed: Run) -> None:
    before = started(hosts)
    run = hosts.play("site")
    assert run.status == 0, run.text
    assert run.unchanged, run.text
    assert started(hosts) == before


def test_the_first_control_plane_is_lost_and_comes_back(
    hosts: Lab, installed: Run, bare: dict[str, dict[str, t.Any]]
) -> None:
    first, second, third = planes(hosts)
    left = [second, third, worker(hosts)]
    wait_for(partial(reached, hosts, worker(hosts)), 60)
    subprocess.run(["podman", "kill", first], check=True, capture_output=True)
    try:
        wait_for(partial(reached, hosts, second), 10)
        wait_for(partial(reached, hosts, worker(hosts)), 10)
        run = hosts.play("reset", f"--limit={worker(hosts)}", variables={"sealer_reset": True})
        assert run.status == 0, run.text
        assert differences(bare[worker(hosts)], hosts.inventory_of(worker(hosts))) == []
        assert worker(hosts) not in nodes(hosts, second)
        run = hosts.play("site", f"--limit={worker(hosts)}")
        assert run.status == 0, run.text
        wait_for(lambda: {name for name, ready in nodes(hosts, second).items() if ready == "True"} == set(left), 60)
    finally:
        subprocess.run(["podman", "start", first], check=True, capture_output=True)
    wait_for(lambda: nodes(hosts, second) == dict.fromkeys(hosts.hosts, "True"), 90)
    wait_for(lambda: members(hosts, second) == set(planes(hosts)), 10)


def test_one_control_plane_is_reset_and_joins_again(
    hosts: Lab, installed: Run, bare: dict[str, dict[str, t.Any]]
) -> None:
    first, second, third = planes(hosts)
    run = hosts.play("reset", f"--limit={third}", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    assert differences(bare[third], hosts.inventory_of(third)) == []
    assert set(nodes(hosts, first)) == set(hosts.hosts) - {third}
    assert members(hosts, first) == {first, second}
    # What a join leaves in etcd that is cut off at its worst moment: a member that nobody will ever start.
    hosts.ssh(first, f"{ETCDCTL} member add {third} --learner --peer-urls=https://{hosts.hosts[third]}:2380")
    run = hosts.play("site", f"--limit={third},localhost")
    assert run.status == 0, run.text
    assert set(run.hosts) <= {third, "localhost"}
    assert members(hosts, first) == set(planes(hosts))
    wait_for(lambda: nodes(hosts, first) == dict.fromkeys(hosts.hosts, "True"), 60)


def test_no_packet_left_the_network(hosts: Lab, installed: Run) -> None:
    assert hosts.packets_left() == 0


def test_reset_leaves_the_hosts_as_they_were(hosts: Lab, installed: Run, bare: dict[str, dict[str, t.Any]]) -> None:
    run = hosts.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    for host in hosts.hosts:
        assert differences(bare[host], hosts.inventory_of(host)) == []
