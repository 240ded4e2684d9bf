# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joining a host to a cluster.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import join_token, membership, record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import ConfigFile
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm import (
    CA_CERTIFICATE,
    is_node,
    run_kubeadm,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm_token import (
    certificate_authority,
    discovery_kubeconfig,
    fingerprint,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import ResetSettings
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

# A new member of etcd copies all that the others have before it counts.
_PATIENCE = 180.0


@dataclasses.dataclass(frozen=True)
class JoinRequest:
    """The membership as it is wanted."""

    name: str
    endpoint: str
    ca: str
    token: t.Optional[str]
    document: Json
    settings: ResetSettings
    certificate_key: t.Optional[str] = None
    refused: t.Sequence[str] = ()

    @property
    def control_plane(self) -> bool:
        return "controlPlane" in self.document

    @property
    def node(self) -> str:
        return str(self.document.get("nodeRegistration", {}).get("name", ""))


def needs_to_join(request: JoinRequest) -> bool:
    """Decide; changes nothing. Raises ClusterError when this host belongs to another cluster."""
    found = record.read_record()
    if not is_node() or record.unfinished(found):
        return True
    if found is None:
        raise ClusterError(
            "this host is a node of a cluster that this collection did not make",
            where="/etc/kubernetes/kubelet.conf",
            fix="Take another host, or reset this one with the tool that made the cluster",
        )
    if request.ca and fingerprint(certificate_authority()) != fingerprint(request.ca):
        raise ClusterError(
            f"this host is a node of another cluster ({found.get('cluster', 'unknown')!r}, made with another CA)",
            where=CA_CERTIFICATE,
            fix="Reset the host with sealer.cluster.reset and run this again",
        )
    return False


def join(run: Runner, request: JoinRequest) -> str:
    """Join; when that fails, the host is as it was before. Returns what kubeadm said."""
    membership.refuse_without_credentials(request.endpoint, request.token, request.refused)
    join_token.refuse_dead(f"https://{request.endpoint}/version", str(request.token), request.ca, "kubeadm_token_ttl")
    with ConfigFile([discovery_kubeconfig(request.ca, request.endpoint)]) as kubeconfig:
        document = copy.deepcopy(request.document)
        document["discovery"] = {
            **document.get("discovery", {}),
            "file": {"kubeConfigPath": kubeconfig.path},
            "tlsBootstrapToken": request.token,
        }
        if request.control_plane:
            document["controlPlane"]["certificateKey"] = request.certificate_key
        said = run_kubeadm(run, "join", [document], settings=request.settings, descriptors=[kubeconfig.descriptor])
    if request.control_plane:
        etcd = Etcd(run)
        if etcd.stacked:
            etcd.wait(_PATIENCE)
    record.finish(request.name, request.node, membership.role(request.control_plane))
    return said
