# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of hosts, as far as they are known."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._addresses import known_address

DOCUMENTATION = r"""
name: known_addresses
short_description: Addresses of these hosts by name, as far as they are known
version_added: 0.1.0
description:
  - The address of each host is what P(sealer.cluster.node_addresses#filter) takes. Hosts of which none is known are
    left out.
author:
  - sealer.cluster contributors (@sealerio)
positional: hostvars
options:
  _input:
    description: The hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: The magic variable C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show which hosts are still to be asked
  ansible.builtin.debug:
    msg: "{{ groups['all'] | difference(groups['all'] | sealer.cluster.known_addresses(hostvars)) }}"
"""

RETURN = r"""
_value:
  description: The addresses.
  type: dict
  sample: {cp1: 10.0.0.11, cp2: 10.0.0.12}
"""


def known_addresses(hosts: t.Sequence[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> dict[str, str]:
    """The addresses by name. Raises AnsibleFilterError where the input is something else."""
    if isinstance(hosts, str) or not isinstance(hosts, t.Sequence) or not isinstance(hostvars, t.Mapping):
        raise AnsibleFilterError("known_addresses wants a list of hosts and the variable 'hostvars'")
    found = {host: known_address(hostvars[host]) for host in hosts}
    return {host: address for host, address in found.items() if address}


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., dict[str, str]]]:
        return {"known_addresses": known_addresses}
