# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The address that control planes hold in turn, and the interface that gets it."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.filter.node_interface import node_interface
from ansible_collections.sealer.cluster.plugins.filter.virtual_address_problems import virtual_address_problems

# As Ansible tells them: of a host that holds 10.0.0.50 just now.
FACTS: dict[str, t.Any] = {
    "default_ipv4": {"address": "10.0.0.11", "interface": "br-lan"},
    "interfaces": ["lo", "br-lan", "eth1"],
    "lo": {"device": "lo", "ipv4": {"address": "127.0.0.1", "netmask": "255.0.0.0", "prefix": "8"}},
    "br_lan": {
        "device": "br-lan",
        "ipv4": {"address": "10.0.0.11", "netmask": "255.255.255.0"},
        "ipv4_secondaries": [{"address": "10.0.0.50", "netmask": "255.255.255.255", "prefix": "32"}],
        "ipv6": [
            {"address": "fd00::11", "prefix": "64", "scope": "global"},
            {"address": "fe80::11", "prefix": "64", "scope": "link"},
        ],
    },
    "eth1": {"device": "eth1", "ipv4": {"address": "192.0.2.1", "prefix": "31"}},
    "eth2": {"device": "eth2"},
}
HOSTS: dict[str, dict[str, t.Any]] = {
    "cp1": {"ansible_host": "198.51.100.1", "ansible_facts": FACTS},
    "cp2": {"ansible_host": "10.0.0.12"},
    "w1": {"ansible_host": "10.0.0.21"},
}


@pytest.mark.parametrize(
    ("address", "interface"),
    [("10.0.0.11", "br-lan"), ("10.0.0.50", "br-lan"), ("fd00::11", "br-lan"), ("192.0.2.1", "eth1"), ("10.0.0.1", "")],
)
def test_the_interface_of_an_address(address: str, interface: str) -> None:
    assert node_interface(FACTS, address) == interface


@pytest.mark.parametrize(
    ("address", "named", "problem"),
    [
        ("10.0.0.50", "", None),
        ("10.0.0.254", "", None),
        ("192.0.2.0", "eth1", None),
        ("", "", "kubeadm_virtual_address is empty"),
        ("vip.example.com", "", "vip.example.com is no IP address"),
        ("10.0.0.0/24", "", "is no IP address"),
        ("10.0.0.11", "", "is the address of cp1."),
        ("198.51.100.1", "", "is the address of cp1."),
        ("10.0.0.21", "", "is the address of w1."),
        ("10.0.1.50", "", "in the network of cp1, whose interface br-lan is in 10.0.0.0/24 and fd00::/64."),
        ("10.0.0.0", "", "no address for hosts"),
        ("10.0.0.255", "", "no address for hosts"),
        ("10.0.0.50", "eth1", "whose interface eth1 is in 192.0.2.0/31."),
        ("10.0.0.50", "bond0", "cp1 has no interface bond0. It has br-lan, eth1, eth2, lo"),
        ("fd00::50", "", None),
        ("fd01::50", "", "in the network of cp1"),
    ],
)
def test_problems(address: str, named: str, problem: str | None) -> None:
    hosts = {host: {**variables, "kubeadm_virtual_interface": named} for host, variables in HOSTS.items()}
    found = virtual_address_problems(address, ["cp1", "cp2"], hosts, list(hosts))
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_of_hosts_without_facts_nothing_is_said() -> None:
    assert virtual_address_problems("10.9.9.9", ["cp2"], HOSTS) == []
    assert virtual_address_problems("10.9.9.9", ["cp2"], {"cp2": {"ansible_facts": {"default_ipv4": {}}}}) == []


def test_what_they_want() -> None:
    wrong: t.Any = "cp1"
    with pytest.raises(AnsibleFilterError, match="list of hosts"):
        virtual_address_problems("10.0.0.50", wrong, HOSTS)
    with pytest.raises(AnsibleFilterError, match="ansible_facts"):
        node_interface(wrong, "10.0.0.50")
