# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the kernel whether it has a route to the addresses of Services. No packet is sent.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ipaddress
import socket
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_DISCARD = 9


def service_addresses(subnets: t.Iterable[str]) -> t.List[str]:
    """The first address of each subnet; that of the API server's own Service is in the first one."""
    addresses = []
    for text in subnets:
        try:
            addresses.append(str(ipaddress.ip_network(text.strip(), strict=False).network_address + 1))
        except ValueError as error:
            raise ClusterError(
                f"{text!r} is no subnet", why=str(error), fix="Write it like 10.96.0.0/12, as sealer_service_subnet"
            ) from error
    return addresses


def why_unreachable(address: str) -> str:
    """What the kernel says against sending to an address; empty when it would."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, _DISCARD))
    except OSError as error:
        return error.strerror or str(error)
    return ""
