# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The address by which the other hosts of a cluster reach a host.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible.errors import AnsibleFilterError

Variables = t.Mapping[str, t.Any]


def known_address(variables: Variables) -> str:
    """What the inventory says, else what the cluster has recorded, else what facts show; empty where nothing is there.

    How Ansible reaches a host is no answer: that may be another network, which the other hosts do not know. It decides
    only between addresses that the host has, where none of them is that of a default route.
    """
    facts = variables.get("ansible_facts") or {}
    routed = [(facts.get(family) or {}).get("address") for family in ("default_ipv4", "default_ipv6")]
    found = [*(facts.get("all_ipv4_addresses") or ()), *(facts.get("all_ipv6_addresses") or ())]
    own = [one for one in found if _is_usable(one)]
    reached = [one for one in own if one == variables.get("ansible_host")]
    said = [variables.get(name) for name in ("sealer_node_address", "preflight_recorded_address")]
    candidates = (*said, *routed, *reached, *own)
    return next((str(one) for one in candidates if one), "")


def address_of(host: str, variables: Variables) -> str:
    """The same. Raises AnsibleFilterError where it is not known."""
    address = known_address(variables)
    if not address:
        raise AnsibleFilterError(
            f"the address by which other hosts reach {host} is not known: no facts of it were gathered in this run, and"
            f" nothing is recorded. Gather its facts, or set sealer_node_address for {host} in the inventory"
        )
    return address


def _is_usable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not address.is_loopback and not address.is_link_local


def is_address(text: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def bracketed(address: str) -> str:
    """The address as a URL has it."""
    return f"[{address}]" if is_address(address) and ":" in address else address
