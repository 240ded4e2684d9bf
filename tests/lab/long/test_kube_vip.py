# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three control planes that hold one address in turn: made, the holder lost, all reset.

`tests/lab/images.sh kube-vip` builds the image.
"""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.cluster_state import lost
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab, Run, wait_for

IMAGE = "kube-vip:1"
ADDRESS = "10.77.95.50"
VARIABLES: dict[str, object] = {"kubeadm_balancer": "kube-vip", "kubeadm_virtual_address": ADDRESS}
PROBE = f"curl --silent --cacert /etc/kubernetes/pki/ca.crt --max-time 1 https://{ADDRESS}:6443/readyz; true"


@pytest.fixture(scope="module")
def hosts() -> t.Iterator[Lab]:
    with Lab("vip", control_planes=3, workers=0, subnet="10.77.95", image=IMAGE).running() as made:
        yield made


@pytest.fixture(scope="module")
def bare(hosts: Lab) -> Inventories:
    return hosts.inventories()


def holders(hosts: Lab, asked: t.Iterable[str]) -> list[str]:
    return [host for host in asked if f" {ADDRESS}/32 " in hosts.ssh(host, "ip -oneline address show")]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kubeadm_virtual_address": ""}, "kubeadm_virtual_address is empty"),
        ({"kubeadm_virtual_address": "10.77.95.12"}, "10.77.95.12 is the address of vip-cp2"),
        ({"kubeadm_virtual_address": "10.77.96.50"}, "whose interface eth0 is in 10.77.95.0/24"),
        ({"sealer_image": "kubernetes:v1.35.4"}, "the image kubernetes:v1.35.4 does not bring it"),
    ],
)
def test_what_is_wrong_is_told_before_a_host_is_touched(
    hosts: Lab, bare: Inventories, wrong: dict[str, object], told: str
) -> None:
    run = hosts.play("site", variables={**VARIABLES, **wrong})
    assert run.status != 0
    assert told in run.text
    assert {host: recap.changed for host, recap in run.hosts.items() if recap.changed} == {}


@pytest.fixture(scope="module")
def installed(hosts: Lab, bare: Inventories) -> Run:
    run = hosts.play("site", variables=VARIABLES)
    assert run.status == 0, run.text
    return run


def test_one_host_holds_the_address_and_it_is_in_the_certificates(hosts: Lab, installed: Run) -> None:
    assert {host: recap.tasks for host, recap in installed.hosts.items() if recap.tasks > 25} == {}
    assert len(holders(hosts, hosts.hosts)) == 1
    assert [hosts.ssh(host, PROBE) for host in hosts.hosts] == ["ok"] * 3


def test_a_second_run_changes_nothing(hosts: Lab, installed: Run) -> None:
    run = hosts.play("site", variables=VARIABLES)
    assert run.status == 0, run.text
    assert run.unchanged, run.text


def test_another_takes_the_address_of_one_that_is_lost(hosts: Lab, installed: Run) -> None:
    gone = holders(hosts, hosts.hosts)[0]
    left = [host for host in hosts.hosts if host != gone]
    with lost(hosts, gone, left[0]):
        wait_for(lambda: hosts.ssh(left[0], PROBE) == "ok", 10)
        assert len(holders(hosts, left)) == 1
    wait_for(lambda: hosts.readiness(left[0]) == dict.fromkeys(hosts.hosts, "True"), 90)
    assert len(holders(hosts, hosts.hosts)) == 1


def test_reset_leaves_the_hosts_as_they_were(hosts: Lab, installed: Run, bare: Inventories) -> None:
    run = hosts.play("reset", variables={**VARIABLES, "sealer_reset": True})
    assert run.status == 0, run.text
    assert hosts.changes_since(bare) == {}
