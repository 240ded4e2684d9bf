# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of a cluster, out of an inventory's groups."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._groups import (
    KINDS,
    REGISTRY_GROUP,
    Groups,
    Names,
    convention_of,
    hosts_of,
    named_groups,
)
from jinja2 import pass_context
from jinja2.runtime import Context

DOCUMENTATION = r"""
name: cluster_hosts
short_description: Hosts of a cluster, whatever the inventory calls its groups
version_added: 0.1.0
description:
  - Lists each host once, in the order of the inventory.
  - Knows the group names of this collection and of kubespray (C(kube_control_plane), C(kube_node)), of k3s-ansible
    (C(server), C(agent); C(master), C(node)) and of sealer (C(masters), C(nodes)). The first of these conventions whose
    control planes the inventory has counts, and it alone. A group with a name of another convention means something
    else there, and its hosts are not in the cluster.
  - Where the variables C(sealer_control_plane_group), C(sealer_worker_group) and C(sealer_registry_group) are set, they
    name the groups instead.
  - In C(hosts) of a play, and on hosts that are not in the inventory, the variables of all hosts are looked at, which
    have to agree. Where one inventory has several clusters, C(-e sealer_control_plane_group=...) says which one is
    meant; the names of the other groups are then those that its control planes have.
  - A host that is a control plane is never a worker as well.
author:
  - sealer.cluster contributors (@sealerio)
positional: kind, group_name
options:
  _input:
    description: The magic variable C(groups).
    type: dict
    required: true
  kind:
    description:
      - V(control_plane) and V(worker) are the two kinds of node, V(cluster) is both.
      - V(registry) are the hosts that serve images, which are the control planes where the inventory has no such group.
      - V(schedulable) are the hosts that run workloads, which are the hosts of the worker groups, or the control
        planes where there are none.
      - V(all) is V(cluster) and V(registry) together.
    type: str
    required: true
    choices: [control_plane, worker, registry, cluster, schedulable, all]
  group_name:
    description:
      - Name of the group to look at instead of the known names and of the variable. Only for V(control_plane),
        V(worker), V(registry), and V(schedulable), for which it is the group of workers.
    type: str
"""

EXAMPLES = r"""
- name: Name the first control plane
  ansible.builtin.debug:
    msg: "{{ groups | sealer.cluster.cluster_hosts('control_plane') | first }}"

- name: Name the workers of an inventory with its own group
  ansible.builtin.debug:
    msg: "{{ groups | sealer.cluster.cluster_hosts('worker', 'edge_boxes') }}"
"""

RETURN = r"""
_value:
  description: Names of the hosts.
  type: list
  elements: str
  sample: [cp1, w1, w2]
"""

CHOICES = (*KINDS, "cluster", "schedulable", "all")


def cluster_hosts(groups: Groups, kind: str, names: Names) -> list[str]:
    """Hosts of one kind. `names` holds the groups to look at instead of the known ones, by kind."""
    used = convention_of(groups, names)
    control_planes = hosts_of(groups, used.control_plane)
    registries = hosts_of(groups, names.get("registry") or REGISTRY_GROUP)
    workers = hosts_of(groups, used.worker)
    return {
        "control_plane": control_planes,
        "worker": [host for host in workers if host not in control_planes],
        "registry": registries or control_planes,
        "cluster": list(dict.fromkeys([*control_planes, *workers])),
        "schedulable": workers or control_planes,
        "all": list(dict.fromkeys([*control_planes, *workers, *registries])),
    }[kind]


@pass_context
def _filter(context: Context, groups: Groups, kind: str, group_name: str | None = None) -> list[str]:
    if not isinstance(groups, t.Mapping):
        raise AnsibleFilterError("cluster_hosts wants the variable 'groups', and was given something else")
    if kind not in CHOICES:
        raise AnsibleFilterError(f"cluster_hosts knows no kind {kind!r}; there are {', '.join(CHOICES)}")
    meant = "worker" if kind == "schedulable" else kind
    if group_name and meant not in KINDS:
        raise AnsibleFilterError(f"cluster_hosts: a group name does not go with kind {kind!r}")
    names = named_groups(context, groups)
    if group_name:
        names[meant] = group_name
    return cluster_hosts(groups, kind, names)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"cluster_hosts": _filter}
