# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels of nodes."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._node_labels import role_labels

DOCUMENTATION = r"""
name: node_labels
short_description: Labels that the inventory gives to the nodes of these hosts
version_added: 0.1.0
description:
  - These are C(sealer_node_labels) and, for each of C(sealer_node_roles), the label C(node-role.kubernetes.io/ROLE).
  - Where the inventory has the variable of the runtime's role, as C(k3s_node_labels), that is taken for the former.
author:
  - sealer.cluster contributors (@sealerio)
positional: hostvars, runtime
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
  runtime:
    description: Name of the runtime.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Show the labels
  ansible.builtin.debug:
    msg: "{{ groups['kube_node'] | sealer.cluster.node_labels(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The labels by the names of the nodes.
  type: dict
  sample: {w1: {example.com/rack: r1, node-role.kubernetes.io/ingress: ''}}
"""


def node_labels(
    hosts: t.Sequence[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]], runtime: str = ""
) -> dict[str, dict[str, str]]:
    """The labels of each host's node."""
    if isinstance(hosts, str) or not isinstance(hosts, t.Sequence) or not isinstance(hostvars, t.Mapping):
        raise AnsibleFilterError("node_labels wants a list of hosts and the variable 'hostvars'")
    return {host.lower(): _labels(hostvars[host], runtime) for host in hosts}


def _labels(variables: t.Mapping[str, t.Any], runtime: str) -> dict[str, str]:
    own = f"{runtime}_node_labels"
    labels = variables.get(own if own in variables else "sealer_node_labels") or {}
    return {
        **{str(key): str(value) for key, value in labels.items()},
        **role_labels(variables.get("sealer_node_roles") or []),
    }


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., dict[str, dict[str, str]]]]:
        return {"node_labels": node_labels}
