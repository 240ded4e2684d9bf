# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters on inventories and documents."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.filter import foreign_groups as foreign
from ansible_collections.sealer.cluster.plugins.filter.cluster_hosts import FilterModule, cluster_hosts
from ansible_collections.sealer.cluster.plugins.filter.merge_documents import merge_documents
from ansible_collections.sealer.cluster.plugins.plugin_utils._groups import CONVENTIONS, Convention
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

OURS = {"kube_control_plane": ["c1"], "kube_node": ["c1", "w1", "w2"], "sealer_registry": ["r1"]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(st.text(max_size=2), JSON, max_size=4)


@pytest.mark.parametrize(
    ("groups", "kind", "expected"),
    [
        (OURS, "control_plane", ["c1"]),
        (OURS, "worker", ["w1", "w2"]),
        (OURS, "schedulable", ["c1", "w1", "w2"]),
        (OURS, "registry", ["r1"]),
        (OURS, "cluster", ["c1", "w1", "w2"]),
        (OURS, "all", ["c1", "w1", "w2", "r1"]),
        ({"server": ["s"], "agent": ["a"]}, "worker", ["a"]),
        ({"server": ["s"], "agent": ["a"]}, "registry", ["s"]),
        ({"masters": ["m"], "nodes": ["n"]}, "cluster", ["m", "n"]),
        ({"kube-master": ["m"], "kube-node": ["n"]}, "cluster", ["m", "n"]),
        ({"server": ["s"]}, "schedulable", ["s"]),
        ({}, "control_plane", []),
    ],
)
def test_kinds_of_hosts(groups: t.Dict[str, t.List[str]], kind: str, expected: t.List[str]) -> None:
    assert cluster_hosts(groups, kind, {}) == expected


ALL_KINDS = ("control_plane", "worker", "registry", "cluster", "schedulable", "all")


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize(
    "foreign",
    [
        {"server": ["x1"], "workers": ["x2"], "nodes": ["x3"], "masters": ["x4"]},
        {"master": ["x1"], "node": ["x2"], "agent": ["x3", "w1"], "kube-node": ["x4"]},
    ],
)
@pytest.mark.parametrize("ours", [OURS, {"kube_control_plane": ["c1"]}], ids=["whole", "without workers"])
def test_groups_of_another_convention_are_not_looked_at(
    ours: t.Dict[str, t.List[str]], foreign: t.Dict[str, t.List[str]], kind: str
) -> None:
    assert cluster_hosts({**foreign, **ours}, kind, {}) == cluster_hosts(ours, kind, {})


@pytest.mark.parametrize("used", CONVENTIONS, ids=lambda used: f"{used.control_plane}-{used.worker}")
def test_the_first_convention_with_control_planes_counts_alone(used: Convention) -> None:
    later = CONVENTIONS[CONVENTIONS.index(used) + 1 :]
    foreign = {group: ["x"] for one in later for group in (one.control_plane, one.worker)}
    groups = {**foreign, "kube_node": [], "kube_control_plane": [], used.control_plane: ["c"], used.worker: ["w"]}
    assert cluster_hosts(groups, "cluster", {}) == ["c", "w"]


def test_a_named_control_plane_group_does_not_bring_foreign_workers() -> None:
    groups = {"bosses": ["b"], "agent": ["x"], "nodes": ["x"], "kube_node": ["w"]}
    assert cluster_hosts(groups, "cluster", {"control_plane": "bosses"}) == ["b", "w"]
    assert cluster_hosts(groups, "cluster", {"control_plane": "server"}) == ["x"]


def test_foreign_groups_are_told() -> None:
    environment = Environment(autoescape=True)
    environment.filters.update(foreign.FilterModule().filters())
    template = environment.from_string("{{ groups | foreign_groups | join('|') | safe }}")
    assert template.render(groups=OURS) == ""
    told = template.render(groups={**OURS, "nodes": ["x1", "w1", "x2"], "masters": ["c1"]}).split("|")
    assert len(told) == 1
    assert told[0].startswith("Group nodes (x1, x2) is not part of the cluster, because the inventory has kube_control")
    named = template.render(groups={**OURS, "edge": ["e"]}, sealer_worker_group="edge").split("|")
    assert [line.split(" is ")[0] for line in named] == ["Group kube_node (w1, w2)"]


def asked(question: str, **variables: t.Any) -> str:
    """What a template with this question gives."""
    environment = Environment(autoescape=True)
    environment.filters.update(FilterModule().filters())
    return environment.from_string("{{ (groups | cluster_hosts(" + question + ")) | join(' ') }}").render(variables)


def test_a_group_of_ones_own() -> None:
    groups = {"edge": ["e1"], "kube_node": ["w1"], "kube_control_plane": ["c1"]}
    assert asked("'worker', 'edge'", groups=groups) == "e1"
    assert asked("'worker', ''", groups=groups) == "w1"
    assert asked("'schedulable', 'edge'", groups=groups) == "e1"
    assert asked("'schedulable', ''", groups=groups) == "w1"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("control_plane", "b1"),
        ("worker", "e1"),
        ("schedulable", "b1 e1"),
        ("registry", "b1"),
        ("cluster", "b1 e1"),
        ("all", "b1 e1"),
    ],
)
def test_groups_that_variables_name(kind: str, expected: str) -> None:
    groups = {"bosses": ["b1"], "edge": ["b1", "e1"], "kube_node": ["w1"], "kube_control_plane": ["c1"]}
    names = {"sealer_control_plane_group": "bosses", "sealer_worker_group": "edge", "sealer_registry_group": ""}
    assert asked(f"'{kind}'", groups=groups, **names) == expected


INVENTORY = {"all": ["b1", "e1", "x"], "bosses": ["b1"], "edge": ["e1"], "kube_control_plane": ["x"]}


def test_groups_that_variables_of_the_inventory_name() -> None:
    hostvars: t.Dict[str, t.Dict[str, str]] = {"b1": {"sealer_control_plane_group": "bosses"}, "e1": {}, "x": {}}
    assert asked("'control_plane'", groups=INVENTORY, hostvars=hostvars) == "b1"
    assert asked("'control_plane'", groups=INVENTORY, hostvars=hostvars, inventory_hostname="localhost") == "b1"
    assert asked("'control_plane'", groups=INVENTORY, hostvars=hostvars, inventory_hostname="x") == "x"
    hostvars["e1"]["sealer_control_plane_group"] = "edge"
    with pytest.raises(AnsibleFilterError, match="-e sealer_control_plane_group=bosses"):
        asked("'control_plane'", groups=INVENTORY, hostvars=hostvars)
    assert asked("'control_plane'", groups=INVENTORY, hostvars=hostvars, sealer_control_plane_group="edge") == "e1"


def test_several_clusters_in_one_inventory() -> None:
    groups = {
        "all": ["e1", "e2", "w1", "w2", "w3"],
        "east_planes": ["e1"],
        "east_workers": ["e2"],
        "west_planes": ["w1"],
        "west_workers": ["w2"],
        "west_mirrors": ["w3"],
    }
    east = {"sealer_worker_group": "east_workers"}
    west = {"sealer_worker_group": "west_workers", "sealer_registry_group": "west_mirrors"}
    hostvars = {"e1": east, "e2": east, "w1": west, "w2": west, "w3": west}
    for side, cluster, all_hosts in (("east", "e1 e2", "e1 e2"), ("west", "w1 w2", "w1 w2 w3")):
        # As -e has it: every host has this one.
        given = {"groups": groups, "hostvars": hostvars, "sealer_control_plane_group": f"{side}_planes"}
        for here in ({}, {"inventory_hostname": "localhost"}):
            assert asked("'cluster'", **given, **here) == cluster
            assert asked("'all'", **given, **here) == all_hosts
    with pytest.raises(AnsibleFilterError, match="-e sealer_worker_group=east_workers"):
        asked("'all'", groups=groups, hostvars=hostvars)


@pytest.mark.parametrize("question", ["'workers'", "'cluster', 'edge'"])
def test_wrong_questions(question: str) -> None:
    with pytest.raises(AnsibleFilterError):
        asked(question, groups=OURS)
    with pytest.raises(AnsibleFilterError):
        asked("'worker'", groups=["c1"])


@pytest.mark.parametrize(
    ("below", "above", "expected"),
    [
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": 1}, {"a": 0}, {"a": 0}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [1]}, {"a": []}, {"a": []}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": {"b": 1}}, {"a": "x"}, {"a": "x"}),
        ({}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
    ],
)
def test_merging(below: t.Any, above: t.Any, expected: t.Any) -> None:
    assert merge_documents(below, above) == expected


@given(DOCUMENTS, DOCUMENTS)
def test_merging_twice_is_merging_once(below: t.Any, above: t.Any) -> None:
    once = merge_documents(below, above)
    assert merge_documents(once, above) == once
    assert not [key for key, value in above.items() if value is None and key in once]


def test_only_mappings_are_documents() -> None:
    with pytest.raises(AnsibleFilterError, match="number 1"):
        merge_documents({}, t.cast("t.Any", ["x"]))
