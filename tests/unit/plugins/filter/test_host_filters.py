# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters that the roles of hosts use."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.filter.hosts_blocks import hosts_blocks
from ansible_collections.sealer.cluster.plugins.filter.inventory_problems import inventory_problems
from ansible_collections.sealer.cluster.plugins.filter.known_addresses import known_addresses
from ansible_collections.sealer.cluster.plugins.filter.mirror_urls import mirror_urls
from ansible_collections.sealer.cluster.plugins.filter.node_addresses import node_addresses
from ansible_collections.sealer.cluster.plugins.filter.node_labels import node_labels

Variables = dict[str, dict[str, t.Any]]


def facts(**found: t.Any) -> dict[str, t.Any]:
    """Variables of a host whose management address Ansible uses, and whose facts are these."""
    return {"ansible_host": "203.0.113.9", "ansible_facts": found}


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        (facts(default_ipv4={"address": "10.0.0.2"}, all_ipv4_addresses=["203.0.113.9"]), "10.0.0.2"),
        (facts(default_ipv4={}, default_ipv6={"address": "fd00::2"}, all_ipv4_addresses=[]), "fd00::2"),
        (facts(default_ipv4={}, all_ipv4_addresses=["127.0.0.1", "172.17.0.1", "203.0.113.9"]), "203.0.113.9"),
        (facts(default_ipv4={}, all_ipv4_addresses=["127.0.0.1", "10.0.0.3"]), "10.0.0.3"),
        ({**facts(default_ipv4={"address": "10.0.0.2"}), "sealer_node_address": "10.0.0.7"}, "10.0.0.7"),
        ({**facts(default_ipv4={"address": "10.0.0.2"}), "preflight_recorded_address": "10.0.0.5"}, "10.0.0.5"),
        ({"sealer_node_address": "10.0.0.7", "preflight_recorded_address": "10.0.0.5"}, "10.0.0.7"),
        (facts(), None),
        (facts(all_ipv4_addresses=["127.0.0.1", "169.254.1.1"], all_ipv6_addresses=["fe80::1", "::1"]), None),
        ({"ansible_host": "10.0.0.1"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_how_ansible_reaches_a_host_is_not_where_others_reach_it(
    variables: dict[str, t.Any], address: str | None
) -> None:
    """An address of the inventory that no facts confirm may be of a network that nodes do not know."""
    hosts: Variables = {"a": variables, "b": {"sealer_node_address": "10.0.0.8"}}
    if address is not None:
        assert node_addresses(["a", "b"], hosts) == [address, "10.0.0.8"]
        assert known_addresses(["a", "b"], hosts) == {"a": address, "b": "10.0.0.8"}
        shown = f"[{address}]" if ":" in address else address
        assert mirror_urls(["a", "b"], hosts, "5000") == [f"https://{shown}:5000", "https://10.0.0.8:5000"]
        return
    assert known_addresses(["a", "b"], hosts) == {"b": "10.0.0.8"}
    for asked in (node_addresses, mirror_urls):
        with pytest.raises(AnsibleFilterError, match="hosts reach a is not known.* set sealer_node_address for a"):
            asked(["a", "b"], hosts)


def test_a_name_is_an_address_for_urls_alone() -> None:
    hosts: Variables = {"a": {"sealer_node_address": "mirror.example.com"}}
    assert mirror_urls(["a"], hosts) == ["https://mirror.example.com:5000"]
    with pytest.raises(AnsibleFilterError, match="of a is 'mirror.example.com', and has to be an IP"):
        node_addresses(["a"], hosts)


@pytest.mark.parametrize("asked", [mirror_urls, node_addresses, known_addresses])
def test_they_want_a_list(asked: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="list of hosts"):
        asked("a", {})


def routed(address: str) -> dict[str, t.Any]:
    """Variables of a host whose default route leaves from this address."""
    return {"ansible_facts": {"default_ipv4": {"address": address}}}


@pytest.mark.parametrize(
    ("variables", "named", "problems"),
    [
        ({"a": {"ansible_host": "1"}, "b": {"ansible_host": "2"}}, ["all", ""], []),
        ({"a": {"ansible_host": "1"}, "b": {"ansible_host": "1"}}, [], ["a and b have the same address 1."]),
        ({"a": {"ansible_host": "1", "ansible_port": 1}, "b": {"ansible_host": "1", "ansible_port": 2}}, [], []),
        ({"a": {}, "b": {"ansible_host": "a"}}, [], ["a and b have the same address a."]),
        ({"a": routed("1"), "b": routed("1"), "c": {}}, [], ["a and b would be nodes with the same address 1."]),
        ({"a": routed("1"), "b": {**routed("1"), "sealer_node_address": "2"}}, [], []),
        ({"a": {**routed("1"), "ansible_host": "1"}, "b": {**routed("1"), "ansible_host": "1"}}, [], ["a and b have"]),
        ({"a": {"ansible_facts": {"default_ipv4": {}}}, "b": {"ansible_facts": {}}}, [], []),
        ({"a": {}}, ["edge"], ["Group edge is named by a variable"]),
        ({}, [], ["names no host"]),
    ],
)
def test_inventory_problems(variables: Variables, named: list[str], problems: list[str]) -> None:
    found = inventory_problems({"all": list(variables)}, list(variables), variables, named)
    assert len(found) == len(problems)
    assert all(told in text for told, text in zip(problems, found, strict=True))


def test_hosts_that_are_both_kinds_of_node() -> None:
    variables: Variables = {"a": {}, "b": {}}
    assert inventory_problems({"kube_control_plane": ["a"], "kube_node": ["a", "b"]}, ["a", "b"], variables) == []
    assert inventory_problems({"server": ["x"], "agent": ["x"]}, ["a", "b"], variables) == []
    told = inventory_problems({"server": ["a", "b"], "agent": ["a"]}, ["a", "b"], variables)
    assert told == ["a: in the groups server and agent at once. Leave each host in one of them"]


@pytest.mark.parametrize("name", ["w", "W1", "w-1.rack1.example.com", "10.0.0.5", "w" * 63])
def test_names_that_nodes_may_have(name: str) -> None:
    assert inventory_problems({"kube_control_plane": [name]}, [name], {name: {}}) == []


@pytest.mark.parametrize("name", ["walk_cp1", "w1-", "-w1", ".w1", "w..1", "w1 ", "é", "fd00::5", "w" * 64])
def test_names_that_nodes_may_not_have(name: str) -> None:
    (told,) = inventory_problems({"kube_control_plane": ["cp1"], "kube_node": [name]}, [name], {name: {}})
    assert told.startswith(f"{name} cannot be the name of a node: ") and "ansible_host" in told
    # What is no node may be called as its owner likes.
    assert inventory_problems({"sealer_registry": [name]}, [name], {name: {}}) == []


def test_two_hosts_cannot_be_one_node() -> None:
    (told,) = inventory_problems(
        {"kube_control_plane": ["W1"], "kube_node": ["w1"]}, ["W1", "w1"], {"W1": {}, "w1": {}}
    )
    assert told.startswith("W1 and w1 would be one node")


def alias(address: t.Any, *names: t.Any) -> dict[str, t.Any]:
    return {"ip": address, "hostnames": list(names)}


@pytest.mark.parametrize(
    ("aliases", "problems"),
    [
        ([], []),
        ([alias("10.0.0.5", "db.example.com", "DB"), alias("fd00::5", "db", "a.b-c.d1")], []),
        ([alias("10.0.0.1", "A"), alias("10.0.0.2", "b"), alias("127.0.0.1", "localhost")], []),
        ("10.0.0.5 db", ["a list is wanted, and not '10.0.0.5 db'"]),
        ({"ip": "10.0.0.5"}, ["a list is wanted"]),
        (["10.0.0.5 db"], ["'10.0.0.5 db' is no alias"]),
        ([{"hostnames": ["db"]}], ["{'hostnames': ['db']} is no alias"]),
        ([{"ip": "10.0.0.5", "hostnames": ["db"], "name": "x"}], ["is no alias"]),
        ([{"ip": "10.0.0.5", "hostnames": "db"}], ["10.0.0.5 has no list of hostnames, but 'db'"]),
        ([alias("10.0.0.5")], ["10.0.0.5 has no list of hostnames"]),
        ([alias("10.0.0.256", "db")], ["'10.0.0.256' is no IP address"]),
        ([alias("10.0", "a")], ["'10.0' is no IP address"]),
        ([alias(None, "db")], ["'None' is no IP address"]),
        ([alias("10.0.0.5", "d_b", "-x", "x.", "*.y", "10.0.0.6", "a b", "", "a" * 64)], ["is no host name"] * 8),
        ([alias("10.0.0.5", "x\n10.0.0.6 y")], ["is no host name"]),
        ([alias("10.0.0.5", "APIserver.cluster.local")], ["stands for the API already"]),
        ([alias("10.0.0.5", "a")], ["a stands for the host a already, and cannot stand for 10.0.0.5"]),
        ([alias("10.0.0.5", "localhost")], ["stands for the host itself"]),
    ],
)
def test_host_aliases(aliases: t.Any, problems: list[str]) -> None:
    variables: Variables = {"a": {"ansible_host": "10.0.0.1"}, "b": routed("10.0.0.2")}
    for one in variables.values():
        one["sealer_host_aliases"] = aliases
    found = inventory_problems({"all": ["a", "b"]}, ["a", "b"], variables)
    assert len(found) == len(problems)
    assert all(text.startswith("sealer_host_aliases: ") for text in found)
    assert all(told in text for told, text in zip(problems, found, strict=True))


def test_host_aliases_of_one_host() -> None:
    aliases = [alias("10.0.0.5", "apiserver.cluster.local", "db.")]
    variables: Variables = {
        "a": {"sealer_host_aliases": aliases, "sealer_api_endpoint": "api.example.com:6443"},
        "b": {"sealer_host_aliases": None},
    }
    told = inventory_problems({"all": ["a", "b"]}, ["a", "b"], variables)
    assert len(told) == 1
    assert told[0].startswith("sealer_host_aliases of a: 'db.' is no host name")
    variables["a"]["sealer_api_name"] = "api.example.com"
    variables["a"]["sealer_host_aliases"] = [alias("10.0.0.5", "api.example.com")]
    assert "for the API already" in inventory_problems({"all": ["a", "b"]}, ["a", "b"], variables)[0]


def test_lines_for_etc_hosts() -> None:
    assert hosts_blocks([], "api") == []
    assert hosts_blocks(["1.1.1.1", "1.1.1.2"], "api", [alias("1.1.1.3", "x", "y")]) == [
        {"path": "/etc/hosts", "content": "1.1.1.1 api\n1.1.1.2 api\n1.1.1.3 x y\n"}
    ]
    assert hosts_blocks([], "api", [alias("::3", "api")]) == [{"path": "/etc/hosts", "content": "::3 api\n"}]
    with pytest.raises(AnsibleFilterError, match="Host aliases: Api stands for the API already"):
        hosts_blocks(["1.1.1.1"], "api", [alias("1.1.1.3", "Api")])


@pytest.mark.parametrize(
    ("labels", "roles", "problem"),
    [
        ({"example.com/rack": "r1", "tier": 1, "a_b.c": ""}, ["ingress", "gpu-a"], ""),
        ({}, None, ""),
        ("rack=r1", [], "sealer_node_labels: a mapping is wanted, and not 'rack=r1'"),
        ({"a b": "x"}, [], "'a b' cannot be the name of a label"),
        ({"exa_mple/rack": "x"}, [], "'exa_mple/rack' cannot be the name of a label"),
        ({"/rack": "x"}, [], "'/rack' cannot be the name of a label"),
        ({"rack": "r 1"}, [], "rack cannot have the value 'r 1'"),
        ({"rack": "r" * 64}, [], "rack cannot have the value"),
        ({"rack": True}, [], "rack has the value True, which is no text"),
        ({"rack": None}, [], "rack has the value None, which is no text"),
        ({"node-role.kubernetes.io/ingress": ""}, [], "Write sealer_node_roles: [ingress]"),
        ({}, "ingress", "sealer_node_roles: a list is wanted, and not 'ingress'"),
        ({}, ["in gress"], "'in gress' cannot be the name of a role"),
        ({}, ["control-plane"], "control-plane is a role that the runtime gives"),
    ],
)
def test_labels_and_roles(labels: t.Any, roles: t.Any, problem: str) -> None:
    variables: Variables = {"a": {"sealer_node_labels": labels, "sealer_node_roles": roles}}
    found = inventory_problems({"all": ["a"]}, ["a"], variables)
    assert len(found) == bool(problem)
    assert problem in "".join(found)


def test_labels_of_nodes() -> None:
    variables: Variables = {
        "A": {"sealer_node_labels": {"rack": 1}, "k3s_node_labels": {"rack": "own"}, "sealer_node_roles": ["ingress"]},
        "b": {"sealer_node_labels": None, "kubeadm_node_labels": {}},
    }
    role = {"node-role.kubernetes.io/ingress": ""}
    assert node_labels(["A", "b"], variables, "k3s") == {"a": {"rack": "own", **role}, "b": {}}
    assert node_labels(["A"], variables, "kubeadm") == {"a": {"rack": "1", **role}}
    with pytest.raises(AnsibleFilterError):
        node_labels("A", variables)
