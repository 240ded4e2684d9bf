# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which networks of CNI plugins are the node's, and what is known of those of others, as podman's and nerdctl's.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import glob
import ipaddress
import json
import os
import typing as t

STATE = "/var/lib/cni"
# How the manifests of flannel, and those of this collection's images, call the network of pods.
DEFAULT_NETWORK = "cbr0"
# Each container has the loopback interface by a network of its own, whoever runs it.
_LOOPBACK = "cni-loopback"


@dataclasses.dataclass(frozen=True)
class Networks:
    """What CNI made.

    names: networks of the node; containers: what is in them, as CNI calls it; addresses: those that they have; links:
    those that networks of others use, and none of the node's.
    """

    names: t.FrozenSet[str] = frozenset({DEFAULT_NETWORK})
    containers: t.FrozenSet[str] = frozenset()
    addresses: t.FrozenSet[str] = frozenset()
    links: t.FrozenSet[str] = frozenset()


def read(configurations: t.Iterable[str], before: t.Collection[str] = (), state: str = "") -> Networks:
    """What is there now.

    configurations: files of the node's networks; before: networks that there were before, by name; state: where CNI
    keeps its state.
    """
    state = state or STATE
    found = (str(_object(path).get("name", "")) for path in configurations)
    names = frozenset({DEFAULT_NETWORK, *found} - {""}) - frozenset(before)
    results = [_object(path) for path in sorted(glob.glob(f"{state}/results/*"))]
    ours = [result for result in results if result.get("networkName") in names]
    others = [result for result in results if result.get("networkName") not in {*names, _LOOPBACK, None}]
    return Networks(
        names=names,
        containers=frozenset(str(result.get("containerId", "")) for result in ours),
        addresses=frozenset(address for name in names for address in _leases(f"{state}/networks/{name}")),
        links=_links(others) - _links(ours),
    )


def _object(path: str) -> t.Dict[str, t.Any]:
    """The object in a file; what cannot be read tells nothing of whose something is."""
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _links(results: t.Iterable[t.Dict[str, t.Any]]) -> t.FrozenSet[str]:
    """Names of the interfaces on the host, which are in no sandbox (CNI specification, section 5)."""
    return frozenset(
        str(interface.get("name"))
        for result in results
        for interface in (result.get("result") or {}).get("interfaces") or ()
        if not interface.get("sandbox")
    )


def _leases(directory: str) -> t.Iterator[str]:
    """Addresses that the plugin host-local has given, each the name of a file."""
    for name in os.listdir(directory) if os.path.isdir(directory) else ():
        try:
            yield str(ipaddress.ip_address(name))
        except ValueError:
            continue
