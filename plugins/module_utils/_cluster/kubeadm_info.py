# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be told of a cluster: recorded state, live members, expiry of certificates.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm_token import is_ready

_CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"


def member_of(node: Json) -> Json:
    """One Node as a member."""
    metadata, status = node["metadata"], node.get("status", {})
    addresses = {item["type"]: item["address"] for item in reversed(status.get("addresses", []))}
    return {
        "name": metadata["name"],
        "role": "control_plane" if _CONTROL_PLANE_LABEL in metadata.get("labels", {}) else "worker",
        "address": addresses.get("InternalIP", ""),
        "version": status.get("nodeInfo", {}).get("kubeletVersion", ""),
        "container_runtime": status.get("nodeInfo", {}).get("containerRuntimeVersion", ""),
        "ready": is_ready(node),
    }


def members_of(nodes: t.Iterable[Json]) -> t.List[Json]:
    """Members, control planes first."""
    return sorted((member_of(node) for node in nodes), key=lambda item: (item["role"] != "control_plane", item["name"]))


def certificates(run: Runner) -> t.List[Json]:
    """Name and expiry of kubeadm's certificates on this control plane; none where kubeadm cannot tell."""
    done = run(["kubeadm", "certs", "check-expiration", "-o", "json"])
    if done.rc != 0 or "{" not in done.stdout:
        return []
    found = json.loads(done.stdout[done.stdout.index("{") :])
    listed = [*found.get("certificates", []), *found.get("certificateAuthorities", [])]
    return [
        {"name": item["name"], "expires": item["expirationDate"]}
        for item in listed
        if not item.get("missing") and "expirationDate" in item
    ]


def cluster_of(state: t.Optional[Json], members: t.Sequence[Json], expiry: t.Sequence[Json]) -> Json:
    """All of it in one document."""
    known = state or {}
    return {
        "exists": state is not None,
        "name": known.get("name", ""),
        "image": known.get("image", {}),
        "runtime": known.get("runtime", {}),
        "endpoint": known.get("endpoint", ""),
        "members": list(members),
        "certificates": list(expiry),
    }
