# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of nodes in a form that can be compared, and knowing a host again by them.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json

_INTERNAL = "InternalIP"
T = t.TypeVar("T")


def comparable(address: str) -> str:
    """The address as it is usually written: IPv6 can be written in several ways. A name is returned as it is."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def internal_addresses(item: Json) -> t.List[str]:
    """The addresses at which other nodes reach a Node, or a ControlNode of k0s; comparable."""
    held = item.get("status", {}).get("addresses", [])
    return [comparable(entry["address"]) for entry in held if entry["type"] == _INTERNAL]


@dataclasses.dataclass(frozen=True)
class NodeIdentity:
    """By what something is known as a node's: its name, its addresses, and those that are other nodes'; comparable."""

    name: str
    addresses: t.FrozenSet[str] = frozenset()
    others: t.FrozenSet[str] = frozenset()

    def of_host(
        self, found: t.Iterable[T], is_named: t.Callable[[T], bool], addresses_of: t.Callable[[T], t.Collection[str]]
    ) -> t.List[T]:
        """What is this node's of things that are called as hosts are called, which may be as another node is called.

        So the address counts, and the name only of what is at no other node's address.
        """
        things = list(found)
        at_address = [thing for thing in things if not self.addresses.isdisjoint(addresses_of(thing))]
        return at_address or [
            thing for thing in things if is_named(thing) and self.others.isdisjoint(addresses_of(thing))
        ]


def identity(name: str, nodes: t.Iterable[Json], recorded: t.Mapping[str, str]) -> NodeIdentity:
    """How to know a node again, from the Nodes of the API and the addresses that are recorded by names of nodes.

    A recorded address may be another node's by now.
    """
    addresses = {node["metadata"]["name"]: set(internal_addresses(node)) for node in nodes}
    own = addresses.pop(name, set())
    taken = {comparable(address) for node, address in recorded.items() if node != name}.union(*addresses.values())
    if not own and name in recorded:
        own = {comparable(recorded[name])} - taken
    return NodeIdentity(name, frozenset(own), frozenset(taken - own))
