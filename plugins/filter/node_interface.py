# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The network interface of a node's address."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._interfaces import interface_of

DOCUMENTATION = r"""
name: node_interface
short_description: The network interface that has an address
version_added: 0.1.0
description:
  - Looks for the address in the facts of a host. An empty text where no interface has it, as far as facts are known.
author:
  - sealer.cluster contributors (@sealerio)
positional: address
options:
  _input:
    description: The variable C(ansible_facts) of the host.
    type: dict
    required: true
  address:
    description: The address.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the interface
  ansible.builtin.debug:
    msg: "{{ ansible_facts | sealer.cluster.node_interface('10.0.0.11') }}"
"""

RETURN = r"""
_value:
  description: Name of the interface.
  type: str
  sample: eth0
"""


def node_interface(facts: t.Mapping[str, t.Any], address: str) -> str:
    """The interface's name."""
    if not isinstance(facts, t.Mapping):
        raise AnsibleFilterError("node_interface wants the variable 'ansible_facts'")
    return interface_of(facts, address)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"node_interface": node_interface}
