# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host may become a node of the cluster that the inventory and the image describe.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import links, preflight_networks
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import state as cluster_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json, read_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import BY_RUNTIME
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError


def problems(host: Host, wanted: Json, recorded: Json) -> t.Iterator[ClusterError]:
    """What the cluster's record and the host's own do not allow.

    wanted: ``name``, ``runtime``, ``endpoint`` and ``networks``, as a state has them, and ``node`` and
    ``role`` of the host, empty where they do not matter; recorded: the state that a control plane has, or empty.
    """
    if recorded:
        yield from cluster_state.differences(recorded, wanted)
    records = {runtime: read_json(host.at(traces.record_path)) for runtime, traces in BY_RUNTIME.items()}
    for runtime, found in records.items():
        if found is not None:
            yield from _other_membership(found, runtime, BY_RUNTIME[runtime].record_path, wanted)
    # A node has addresses in the networks of its cluster.
    is_new = not any(records.values())
    yield from preflight_networks.problems(wanted["networks"], links.addresses(host.run) if is_new else ())


def _other_membership(found: Json, runtime: str, path: str, wanted: Json) -> t.Iterator[ClusterError]:
    fix = "Reset the host with sealer.cluster.reset first, or take another one"
    asked = wanted["runtime"]["name"]
    if runtime != asked:
        yield ClusterError(f"this host is a node of {runtime}, and the image brings {asked}", where=path, fix=fix)
    elif found.get("cluster", wanted["name"]) != wanted["name"]:
        yield ClusterError(
            f"this host is a node of the cluster {found['cluster']!r}, and not of {wanted['name']!r}",
            where=path,
            fix=f"Correct sealer_cluster_name or the inventory. {fix}",
        )
    elif wanted["role"] and found.get("role", wanted["role"]) != wanted["role"]:
        yield ClusterError(
            f"this host is a {found['role']} of the cluster, and a {wanted['role']} in the inventory".replace("_", " "),
            where=path,
            why="a node cannot take the other role",
            fix="Put it back into its group; or reset it alone first, and run this again",
        )
    elif wanted["node"] and found.get("node", wanted["node"]) not in ("", wanted["node"]):
        yield ClusterError(
            f"this host is the node {found['node']}, and the inventory calls it {wanted['node']}",
            where=path,
            why="the name, or the address in ansible_host, is another host's",
            fix=f"Correct the inventory. To give the node another name, reset it as {found['node']} first",
        )
