# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Groups of an inventory that look like a cluster's, and are not."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._groups import (
    Groups,
    convention_of,
    named_groups,
    unused_groups,
)
from jinja2 import pass_context
from jinja2.runtime import Context

DOCUMENTATION = r"""
name: foreign_groups
short_description: Groups of an inventory that look like a cluster's, and are not
version_added: 0.1.0
description:
  - An inventory follows one convention of group names, as P(sealer.cluster.cluster_hosts#filter) describes. This filter
    names groups that another convention knows, with their hosts, which are not in the cluster and are never touched.
author:
  - sealer.cluster contributors (@sealerio)
options:
  _input:
    description: The magic variable C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what is left alone
  ansible.builtin.debug:
    msg: "{{ groups | sealer.cluster.foreign_groups }}"
"""

RETURN = r"""
_value:
  description: A sentence for each group.
  type: list
  elements: str
  sample:
    - "Group nodes (db1, db2) is not part of the cluster, because the inventory has kube_control_plane and kube_node. If
      it belongs to the cluster, name it in sealer_control_plane_group or in
      sealer_worker_group"
"""


@pass_context
def foreign_groups(context: Context, groups: Groups) -> list[str]:
    """A sentence for each group. Raises AnsibleFilterError where the input is not ``groups``."""
    if not isinstance(groups, t.Mapping):
        raise AnsibleFilterError("foreign_groups wants the variable 'groups', and was given something else")
    names = named_groups(context, groups)
    used = convention_of(groups, names)
    return [
        f"Group {name} ({', '.join(hosts)}) is not part of the cluster, because the inventory has {used.control_plane}"
        f" and {used.worker}. If it belongs to the cluster, name it in sealer_control_plane_group or in"
        " sealer_worker_group"
        for name, hosts in unused_groups(groups, names).items()
    ]


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"foreign_groups": foreign_groups}
