# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of nodes in a form that can be compared.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json

_INTERNAL = "InternalIP"


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
