# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""URLs of the mirrors of a cluster."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._addresses import address_of, bracketed

DOCUMENTATION = r"""
name: mirror_urls
short_description: URLs of the mirrors that run on these hosts
version_added: 0.1.0
description:
  - The address of each host is its C(sealer_node_address), which may be a name here, else what
    P(sealer.cluster.node_addresses#filter) takes. A host of which no address is known is an error.
author:
  - sealer.cluster contributors (@sealerio)
positional: hostvars, port
options:
  _input:
    description: The registry hosts, in order.
    type: list
    elements: str
    required: true
  hostvars:
    description: The magic variable C(hostvars).
    type: dict
    required: true
  port:
    description: Port that the mirrors listen on.
    type: int
    default: 5000
"""

EXAMPLES = r"""
- name: Show where images come from
  ansible.builtin.debug:
    msg: "{{ groups['sealer_registry'] | sealer.cluster.mirror_urls(hostvars) }}"
"""

RETURN = r"""
_value:
  description: A URL for each host.
  type: list
  elements: str
  sample: ["https://10.0.0.11:5000"]
"""


def mirror_urls(
    hosts: t.Sequence[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]], port: int | str = 5000
) -> list[str]:
    """A URL for each host. Raises AnsibleFilterError where an address is not known."""
    if isinstance(hosts, str) or not isinstance(hosts, t.Sequence) or not isinstance(hostvars, t.Mapping):
        raise AnsibleFilterError("mirror_urls wants a list of hosts and the variable 'hostvars'")
    return [f"https://{bracketed(address_of(host, hostvars[host]))}:{int(port)}" for host in hosts]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"mirror_urls": mirror_urls}
