# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network interfaces of a host, out of its facts.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ipaddress
import typing as t

Held = t.Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]


def interfaces(facts: t.Mapping[str, t.Any]) -> dict[str, list[Held]]:
    """Addresses with their networks by interface; facts are not named as the interfaces are, but say whose they are."""
    found: dict[str, list[Held]] = {}
    for fact in facts.values():
        if isinstance(fact, t.Mapping) and isinstance(fact.get("device"), str):
            found[fact["device"]] = [held for entry in _entries(fact) for held in _held(entry)]
    return found


def interface_of(facts: t.Mapping[str, t.Any], address: str) -> str:
    """The interface that has this address, or nothing."""
    return next((name for name, held in interfaces(facts).items() if address in {str(one.ip) for one in held}), "")


def _entries(fact: t.Mapping[str, t.Any]) -> t.Iterator[t.Mapping[str, t.Any]]:
    for key in ("ipv4", "ipv4_secondaries", "ipv6"):
        entries = fact.get(key) or []
        yield from [entries] if isinstance(entries, t.Mapping) else entries


def _held(entry: t.Mapping[str, t.Any]) -> t.Iterator[Held]:
    length = entry.get("prefix") or entry.get("netmask")
    if entry.get("address") and length:
        yield ipaddress.ip_interface(f"{entry['address']}/{length}")
