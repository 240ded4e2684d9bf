# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the networks of pods, Services and hosts leave each other alone.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ipaddress
import itertools
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_VARIABLES = {"pods": "sealer_pod_subnet", "services": "sealer_service_subnet"}

Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Named = t.Tuple[str, Network]


def problems(networks: t.Mapping[str, str], addresses: t.Iterable[t.Tuple[str, str]]) -> t.Iterator[ClusterError]:
    """What is wrong with the networks of a new cluster.

    networks: those of ``pods`` and ``services``, each with commas between several; addresses: the host's, as link and
    address with the length of its prefix.
    """
    wanted: t.List[Named] = []
    for kind, variable in _VARIABLES.items():
        for text in filter(None, networks.get(kind, "").split(",")):
            try:
                wanted.append((f"the network of {kind} {text.strip()}", ipaddress.ip_network(text.strip())))
            except ValueError as error:
                yield ClusterError(f"{text.strip()!r} is no network", where=variable, why=str(error))
    for (one, first), (other, second) in itertools.combinations(wanted, 2):
        if _overlap(first, second):
            yield ClusterError(
                f"{one} overlaps with {other}", fix="Set sealer_pod_subnet and sealer_service_subnet to networks apart"
            )
    for link, address in addresses:
        own = ipaddress.ip_interface(address)
        for name, network in wanted:
            if not own.is_loopback and not own.is_link_local and _overlap(network, own.network):
                yield ClusterError(
                    f"{name} overlaps with {own.network}, in which this host has {own.ip} on {link}",
                    why="packets for one of them would take the way to the other",
                    fix="Set sealer_pod_subnet or sealer_service_subnet to another network",
                )


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and one.overlaps(t.cast("t.Any", other))
