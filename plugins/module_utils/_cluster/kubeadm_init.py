# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting a cluster on its first control plane, and keeping its recorded state true.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import membership, record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import state as cluster_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import by_kind, differences
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm import is_node, run_kubeadm
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import ResetSettings
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

RUNTIME = "kubeadm"


@dataclasses.dataclass(frozen=True)
class InitRequest:
    """The cluster as it is wanted."""

    name: str
    image: t.Optional[Json]
    version: str
    endpoint: str
    control_planes: t.Sequence[str]
    workers: t.Sequence[str]
    addresses: t.Mapping[str, str]
    pod_subnet: str
    service_subnet: str
    documents: t.Sequence[Json]
    settings: ResetSettings

    @property
    def node(self) -> str:
        """Name of the node; empty where it is left to kubeadm."""
        return str(by_kind(self.documents).get("InitConfiguration", {}).get("nodeRegistration", {}).get("name", ""))

    def state(self) -> Json:
        return cluster_state.new_state(
            name=self.name,
            image=self.image,
            runtime=RUNTIME,
            version=self.version,
            endpoint=self.endpoint,
            control_planes=self.control_planes,
            workers=self.workers,
            inputs=by_kind(self.documents),
            addresses=self.addresses,
            pod_subnet=self.pod_subnet,
            service_subnet=self.service_subnet,
        )


@dataclasses.dataclass(frozen=True)
class InitPlan:
    """What is, what shall be, and which steps lead there."""

    before: Json
    after: Json
    initialise: bool
    record: bool
    pending: t.Sequence[str] = ()

    @property
    def changed(self) -> bool:
        return self.initialise or self.record


def plan(request: InitRequest, kubectl: Kubectl) -> InitPlan:
    """Decide; changes nothing. Raises ClusterError when this host carries another cluster."""
    wanted = request.state()
    recorded = cluster_state.read_state()
    found = record.read_record()
    if not is_node() or record.unfinished(found):
        return InitPlan(before={}, after=wanted, initialise=True, record=True)
    if found is None:
        raise ClusterError(
            "this host is a node of a cluster that this collection did not make",
            where=ADMIN_KUBECONFIG,
            fix="Take another host, or reset this one with the tool that made the cluster",
        )
    if recorded is None:
        return InitPlan(before={}, after=wanted, initialise=False, record=True)
    cluster_state.refuse_other_cluster(recorded, wanted)
    pending = differences(_common(recorded["inputs"], wanted["inputs"]), _common(wanted["inputs"], recorded["inputs"]))
    after = cluster_state.with_known_addresses({**wanted, "inputs": recorded["inputs"]}, recorded)
    secret = kubectl.get("secret", "-n", cluster_state.NAMESPACE, cluster_state.OBJECT_NAME)
    stale = recorded != after or not cluster_state.secret_carries(secret, after)
    return InitPlan(before=recorded, after=after, initialise=False, record=stale, pending=pending)


def _common(inputs: Json, other: Json) -> Json:
    """The inputs without what is another host's own: the cluster may have been started on that one."""
    names = {part.get("InitConfiguration", {}).get("nodeRegistration", {}).get("name") for part in (inputs, other)}
    return inputs if len(names) == 1 else {k: v for k, v in inputs.items() if k != "InitConfiguration"}


def apply(run: Runner, request: InitRequest, todo: InitPlan, kubectl: Kubectl) -> str:
    """Carry a plan out; returns what kubeadm said."""
    said = ""
    if todo.initialise:
        said = run_kubeadm(
            run,
            "init",
            request.documents,
            arguments=["--skip-token-print"],
            settings=request.settings,
        )
        record.finish(request.name, request.node, membership.CONTROL_PLANE)
    if todo.record:
        membership.keep(todo.after, kubectl)
    return said
