# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels that nodes have of us: the API server remembers which these are, so that those of others are never touched.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import FIELD_MANAGER, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

Labels = t.Mapping[str, str]
_APPLY = "Apply"


@dataclasses.dataclass(frozen=True)
class Step:
    """What is done with a node.

    uid: which object it is, nothing while there is none; before, after: the labels that are ours; taken: those of them
    that have to go and would stay, for whoever registered the node set them as well.
    """

    name: str
    uid: str
    before: Labels
    after: Labels
    taken: t.Sequence[str] = ()

    @property
    def changed(self) -> bool:
        return self.before != self.after


def by_node(labels: t.Mapping[str, t.Optional[t.Mapping[str, t.Any]]]) -> t.Dict[str, Labels]:
    """The labels by names of nodes, for hosts of the inventory. Raises ClusterError for two hosts of one name."""
    found: t.Dict[str, Labels] = {}
    for host, wanted in labels.items():
        name = membership.node_name(host)
        if name in found:
            raise ClusterError(
                f"labels are given to the node {name} twice",
                where=host,
                why="two hosts cannot be one node",
                fix="Name each node once; upper case and lower case are the same",
            )
        found[name] = {key: str(value) for key, value in (wanted or {}).items()}
    return found


def plan(nodes: t.Iterable[Json], wanted: t.Mapping[str, Labels]) -> t.List[Step]:
    """A step for each node that is named, in this order."""
    there = {node["metadata"]["name"]: node for node in nodes}
    return [_step(there[name], after) if name in there else Step(name, "", {}, after) for name, after in wanted.items()]


def _step(node: Json, after: Labels) -> Step:
    metadata = node["metadata"]
    ours: t.Set[str] = set()
    set_too: t.Set[str] = set()
    applied_too: t.Set[str] = set()
    for entry in metadata.get("managedFields", []):
        fields = entry.get("fieldsV1", {}).get("f:metadata", {}).get("f:labels", {})
        applied = entry.get("operation") == _APPLY
        who = set_too if not applied else ours if entry.get("manager") == FIELD_MANAGER else applied_too
        who.update(name[2:] for name in fields if name.startswith("f:"))
    before = {key: value for key, value in metadata.get("labels", {}).items() if key in ours}
    gone = set(before) - set(after)
    return Step(metadata["name"], metadata["uid"], before, after, sorted((gone & set_too) - applied_too))


def manifest(steps: t.Iterable[Step]) -> Json:
    """What is applied. The identity keeps a node from being made that was deleted meanwhile."""
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": step.name, "uid": step.uid, "labels": dict(step.after)},
            }
            for step in steps
        ],
    }


def told(steps: t.Iterable[Step]) -> t.Dict[str, str]:
    """The labels that are ours, before and after, one a line."""
    found = list(steps)
    return {
        "before": "".join(_lines(step.name, step.before) for step in found),
        "after": "".join(_lines(step.name, step.after) for step in found),
    }


def _lines(name: str, labels: Labels) -> str:
    return "".join(f"node {name}: {key}={value}\n" for key, value in sorted(labels.items()))


class Labeller:
    """Gives nodes their labels, asked from a control plane."""

    def __init__(
        self, kubectl: Kubectl, clock: t.Callable[[], float] = time.monotonic, sleep: t.Any = time.sleep
    ) -> None:
        self._kubectl = kubectl
        self._clock = clock
        self._sleep = sleep

    def plan(self, wanted: t.Mapping[str, Labels], patience: float = 0.0) -> t.List[Step]:
        """Waits so many seconds for nodes that are to have labels."""
        end = self._clock() + patience
        while True:
            steps = plan(self._kubectl.items("nodes", "--show-managed-fields"), wanted)
            if self._clock() >= end or not missing(steps):
                return steps
            self._sleep(1)

    def apply(self, steps: t.Iterable[Step]) -> None:
        todo = [step for step in steps if step.changed]
        absent = missing(todo)
        if absent:
            raise ClusterError(
                f"the cluster has no node {', '.join(absent)}, which is to have labels",
                where=self._kubectl.kubeconfig,
                fix="See why its kubelet does not register it, or take the host out of the inventory",
            )
        for step in todo:
            if step.taken:
                self._kubectl.text("label", "node", step.name, *(f"{key}-" for key in step.taken))
        if todo:
            self._kubectl.put(manifest(todo))


def missing(steps: t.Iterable[Step]) -> t.List[str]:
    """Nodes that are not there and are to have labels."""
    return [step.name for step in steps if step.after and not step.uid]
