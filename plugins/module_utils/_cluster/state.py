# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of a cluster: /etc/sealer/cluster.json on control planes and the Secret kube-system/sealer-cluster.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import json
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json, pretty, read_json
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

SCHEMA_VERSION = 1
STATE_PATH = "/etc/sealer/cluster.json"
NAMESPACE = "kube-system"
OBJECT_NAME = "sealer-cluster"
_FIELD = "cluster.json"


def new_state(
    *,
    name: str,
    image: t.Optional[Json],
    runtime: str,
    version: str,
    endpoint: str,
    control_planes: t.Sequence[str],
    workers: t.Sequence[str],
    inputs: Json,
    addresses: t.Mapping[str, str],
    pod_subnet: str,
    service_subnet: str,
) -> Json:
    """The state of a cluster as it is recorded. Subnets are networks separated by commas."""
    made_from = image or {}
    members = [{"name": host, "role": "control_plane"} for host in control_planes]
    members += [{"name": host, "role": "worker"} for host in workers]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "name": name,
        "image": {"reference": made_from.get("reference", ""), "digest": made_from.get("digest", "")},
        "runtime": {"name": runtime, "version": version},
        "endpoint": endpoint,
        "members": members,
        "addresses": {host: str(address) for host, address in sorted(addresses.items())},
        "networks": {"pods": pod_subnet, "services": service_subnet},
        "inputs": inputs,
    }


def read_state(path: str = STATE_PATH) -> t.Optional[Json]:
    """The recorded state, or None where this host has none."""
    state = read_json(path)
    if state is not None and state.get("schemaVersion") != SCHEMA_VERSION:
        raise ClusterError(
            f"the recorded state has version {state.get('schemaVersion')!r}, this collection reads {SCHEMA_VERSION}",
            where=path,
            fix="Use the release of the collection that made or last changed the cluster, or a newer one",
        )
    return state


def with_known_addresses(state: Json, recorded: Json) -> Json:
    """The same state, with the recorded addresses of hosts that it has none of."""
    return {**state, "addresses": {**recorded.get("addresses", {}), **state["addresses"]}}


def with_member(state: Json, name: str, role: str) -> Json:
    """The same state, in which a host is a member."""
    others = [member for member in state["members"] if member["name"] != name]
    known = len(others) < len(state["members"])
    return state if known else {**state, "members": [*others, {"name": name, "role": role}]}


def state_in(secret: t.Optional[Json]) -> t.Optional[Json]:
    """The state that a Secret carries, or None where there is none."""
    if secret is None:
        return None
    found = json.loads(base64.b64decode(secret["data"][_FIELD]))
    return t.cast("Json", found)


def secret_of(state: Json) -> Json:
    """The Secret that carries a state."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "io.sealer/cluster",
        "metadata": {"name": OBJECT_NAME, "namespace": NAMESPACE},
        "data": {_FIELD: base64.b64encode(pretty(state).encode()).decode()},
    }


def secret_carries(secret: t.Optional[Json], state: Json) -> bool:
    """Whether that Secret has this state."""
    return secret is not None and secret.get("data") == secret_of(state)["data"]


def differences(recorded: Json, wanted: Json) -> t.Iterator[ClusterError]:
    """What can only be set when a cluster is made, and differs. Either may have less than a whole state."""
    if recorded.get("name") != wanted["name"]:
        yield ClusterError(
            f"the control plane belongs to the cluster {recorded.get('name')!r}, and not to {wanted['name']!r}",
            where=STATE_PATH,
            fix="Correct sealer_cluster_name or the inventory, or reset the cluster first",
        )
    old, new = recorded.get("runtime"), wanted["runtime"]
    if old and old != new:
        yield ClusterError(
            f"the cluster runs {old['name']} {old['version']}, the image brings {new['name']} {new['version']}",
            where=STATE_PATH,
            fix="Installing does not change the version of a running cluster; use an image with the same version",
        )
    if recorded.get("endpoint", wanted["endpoint"]) != wanted["endpoint"]:
        yield ClusterError(
            f"the API of the cluster is at {recorded['endpoint']}, the inventory names {wanted['endpoint']}",
            where=STATE_PATH,
            why="certificates and nodes have the name that the cluster was made with",
            fix="Set sealer_api_name and sealer_api_endpoint to what they were, or reset the cluster first",
        )
    networks = recorded.get("networks", {})
    for kind, variable in (("pods", "sealer_pod_subnet"), ("services", "sealer_service_subnet")):
        found, asked = networks.get(kind, ""), wanted["networks"][kind]
        if found and asked and found != asked:
            yield ClusterError(
                f"the {kind} of the cluster are in {found}, the inventory says {asked}",
                where=STATE_PATH,
                why="networks are set when a cluster is made",
                fix=f"Set {variable} to {found}, or reset the cluster first",
            )


def refuse_other_cluster(recorded: Json, wanted: Json) -> None:
    """Raise ClusterError where the host carries another cluster than is asked for, or another version of it."""
    for difference in differences(recorded, wanted):
        raise difference
