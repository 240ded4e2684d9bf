# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of a cluster, out of an inventory's groups."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: cluster_hosts
short_description: Hosts of a cluster, whatever the inventory calls its groups
version_added: 0.1.0
description:
  - Knows the group names of this collection, of kubespray, of k3s-ansible and of sealer, and lists each host once,
    in the order of the inventory.
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
      - Name of the group to look at instead of the known names. Only for V(control_plane), V(worker), V(registry).
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

GROUPS = {
    "control_plane": ("kube_control_plane", "kube-master", "server", "masters", "master"),
    "worker": ("kube_node", "kube-node", "agent", "nodes", "node", "workers"),
    "registry": ("sealer_registry",),
}
KINDS = ("control_plane", "worker", "registry", "cluster", "schedulable", "all")

Groups = t.Mapping[str, t.Sequence[str]]


def _in_groups(groups: Groups, kind: str, group_name: str | None) -> list[str]:
    names = (group_name,) if group_name else GROUPS[kind]
    return list(dict.fromkeys(str(host) for name in names for host in groups.get(name) or ()))


def cluster_hosts(groups: Groups, kind: str, group_name: str | None = None) -> list[str]:
    """Hosts of one kind."""
    if not isinstance(groups, t.Mapping):
        raise AnsibleFilterError("cluster_hosts wants the variable 'groups', and was given something else")
    if kind not in KINDS:
        raise AnsibleFilterError(f"cluster_hosts knows no kind {kind!r}; there are {', '.join(KINDS)}")
    if group_name and kind not in GROUPS:
        raise AnsibleFilterError(f"cluster_hosts: a group name does not go with kind {kind!r}")
    if kind in ("control_plane", "registry"):
        found = _in_groups(groups, kind, group_name)
        return found or ([] if kind == "control_plane" else _in_groups(groups, "control_plane", None))
    control_planes = _in_groups(groups, "control_plane", None)
    workers = _in_groups(groups, "worker", group_name)
    if kind == "schedulable":
        return workers or control_planes
    if kind == "worker":
        return [host for host in workers if host not in control_planes]
    more = _in_groups(groups, "registry", None) if kind == "all" else []
    return list(dict.fromkeys([*control_planes, *workers, *more]))


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"cluster_hosts": cluster_hosts}
