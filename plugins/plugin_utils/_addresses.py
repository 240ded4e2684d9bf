# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a host of the inventory is reached.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ipaddress
import typing as t


def address_of(host: str, variables: t.Mapping[str, t.Any]) -> str:
    """What is said of it, else what was found on the host, else how Ansible reaches it, else its name."""
    facts = variables.get("ansible_facts") or {}
    routed = (facts.get("default_ipv4") or {}).get("address")
    return str(variables.get("sealer_node_address") or routed or variables.get("ansible_host") or host)


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
