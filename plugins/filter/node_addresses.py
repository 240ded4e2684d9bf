# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of nodes."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._addresses import address_of, is_address

DOCUMENTATION = r"""
name: node_addresses
short_description: IP addresses of these hosts
version_added: 0.1.0
description:
  - The address of each host is its C(sealer_node_address), else that of its default route, else another that its facts
    show. How Ansible reaches a host is no answer, because that may be a network that the other hosts do not know.
  - A host of which no address is known is an error, so no list is ever shorter than the cluster.
author:
  - sealer.cluster contributors (@sealerio)
positional: hostvars
options:
  _input:
    description: The hosts, in order.
    type: list
    elements: str
    required: true
  hostvars:
    description: The magic variable C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show where the API servers are
  ansible.builtin.debug:
    msg: "{{ groups | sealer.cluster.cluster_hosts('control_plane') | sealer.cluster.node_addresses(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The addresses.
  type: list
  elements: str
  sample: [10.0.0.11, 10.0.0.12]
"""


def node_addresses(hosts: t.Sequence[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """An address for each host. Raises AnsibleFilterError where one is not known, or is a name."""
    if isinstance(hosts, str) or not isinstance(hosts, t.Sequence) or not isinstance(hostvars, t.Mapping):
        raise AnsibleFilterError("node_addresses wants a list of hosts and the variable 'hostvars'")
    addresses = {host: address_of(host, hostvars[host]) for host in hosts}
    for host, address in addresses.items():
        if not is_address(address):
            raise AnsibleFilterError(f"sealer_node_address of {host} is {address!r}, and has to be an IP address")
    return list(addresses.values())


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"node_addresses": node_addresses}
