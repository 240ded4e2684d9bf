# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which labels of nodes are ours, and what becomes of them."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_labels import Labeller, by_node, plan, told
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

US = ("sealer.cluster", "Apply")
KUBELET = ("kubelet", "Update")
ADMIN = ("kubectl-label", "Update")
GITOPS = ("flux", "Apply")


def node(labels: t.Dict[str, str], **owners: t.Sequence[t.Tuple[str, str]]) -> t.Dict[str, t.Any]:
    """A node of the API with these labels, and who set each of them."""
    managers = sorted({manager for found in owners.values() for manager in found})
    return {
        "kind": "Node",
        "metadata": {
            "name": "w1",
            "uid": "u1",
            "labels": labels,
            "managedFields": [
                {
                    "manager": manager[0],
                    "operation": manager[1],
                    "fieldsV1": {
                        "f:metadata": {
                            "f:labels": {".": {}, **{f"f:{key}": {} for key in owners if manager in owners[key]}}
                        },
                        "f:spec": {},
                    },
                }
                for manager in managers
            ]
            + [{"manager": "kubelet", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}}],
        },
    }


class Cluster:
    """An API server with this node, from the second question on where it is late."""

    def __init__(self, found: t.Dict[str, t.Any], late: bool = False) -> None:
        self.found = found
        self.late = late
        self.commands: t.List[str] = []
        self.sent: t.List[t.Dict[str, t.Any]] = []
        self.now = 0.0

    def run(self, command: t.Sequence[str], data: t.Optional[str] = None, **_options: t.Any) -> Completed:
        self.commands.append(" ".join(command[1:3]))
        if data:
            self.sent += json.loads(data)["items"]
        if command[1] != "get":
            return Completed(0, "", "")
        items = [] if self.late else [self.found]
        self.late = False
        return Completed(0, json.dumps({"kind": "List", "items": items}), "")

    def labeller(self) -> Labeller:
        return Labeller(Kubectl(self.run, "k"), clock=self.clock, sleep=lambda _seconds: None)

    def clock(self) -> float:
        self.now += 1
        return self.now


@pytest.mark.parametrize(
    ("found", "wanted", "before", "taken"),
    [
        (node({"a": "1"}, a=[KUBELET]), {"a": "1"}, {}, []),
        (node({"a": "1", "z": "9"}, a=[KUBELET, US], z=[ADMIN]), {"a": "1"}, {"a": "1"}, []),
        (node({"a": "1"}, a=[US]), {"a": "2"}, {"a": "1"}, []),
        (node({"a": "3"}, a=[ADMIN]), {"a": "2"}, {}, []),
        (node({"a": "1"}, a=[US]), {}, {"a": "1"}, []),
        (node({"a": "1", "b": "2"}, a=[KUBELET, US], b=[US]), {"b": "2"}, {"a": "1", "b": "2"}, ["a"]),
        (node({"a": "1"}, a=[ADMIN, GITOPS, US]), {}, {"a": "1"}, []),
        (node({"a": "1"}, a=[KUBELET]), {}, {}, []),
        (node({}), {}, {}, []),
    ],
)
def test_what_is_ours(
    found: t.Dict[str, t.Any], wanted: t.Dict[str, str], before: t.Dict[str, str], taken: t.List[str]
) -> None:
    (step,) = plan([found], {"w1": wanted})
    assert (step.before, step.after, step.taken) == (before, wanted, taken)
    assert step.changed == (before != wanted)


def test_only_what_changes_is_sent() -> None:
    cluster = Cluster(node({"a": "1"}, a=[KUBELET, US]))
    labeller = cluster.labeller()
    labeller.apply(labeller.plan({"w1": {"a": "1"}}))
    assert cluster.commands == ["get --request-timeout=30s"]
    labeller.apply(labeller.plan({"w1": {"b": ""}}))
    assert cluster.commands[1:] == ["get --request-timeout=30s", "label node", "apply --server-side"]
    assert [item["metadata"] for item in cluster.sent] == [{"name": "w1", "uid": "u1", "labels": {"b": ""}}]


def test_a_late_node_is_waited_for() -> None:
    cluster = Cluster(node({}), late=True)
    labeller = cluster.labeller()
    labeller.apply(labeller.plan({"w1": {"b": ""}}, patience=60))
    assert cluster.sent


def test_a_node_that_does_not_come() -> None:
    labeller = Cluster(node({})).labeller()
    steps = labeller.plan({"w2": {"b": ""}, "w3": {}}, patience=5)
    assert told(steps) == {"before": "", "after": "node w2: b=\n"}
    with pytest.raises(ClusterError, match="the cluster has no node w2, which is to have labels"):
        labeller.apply(steps)
    labeller.apply(steps[1:])


def test_what_is_told() -> None:
    steps = plan([node({"a": "1", "b": "2"}, a=[US], b=[US])], {"w1": {"b": "3", "c": ""}})
    assert told(steps) == {
        "before": "node w1: a=1\nnode w1: b=2\n",
        "after": "node w1: b=3\nnode w1: c=\n",
    }


def test_nodes_are_named_as_the_inventory_calls_their_hosts() -> None:
    given = {"Worker1": {"rack": 1}, "w2": None}
    assert by_node(given) == {"worker1": {"rack": "1"}, "w2": {}}
    with pytest.raises(ClusterError, match="W2: labels are given to the node w2 twice"):
        by_node({"w2": {}, "W2": {}})
