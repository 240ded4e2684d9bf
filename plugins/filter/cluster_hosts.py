# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts of a cluster, out of an inventory's groups."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from jinja2 import pass_context
from jinja2.runtime import Context

DOCUMENTATION = r"""
name: cluster_hosts
short_description: Hosts of a cluster, whatever the inventory calls its groups
version_added: 0.1.0
description:
  - Knows the group names of this collection, of kubespray, of k3s-ansible and of sealer, and lists each host once,
    in the order of the inventory.
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

GROUPS = {
    "control_plane": ("kube_control_plane", "kube-master", "server", "masters", "master"),
    "worker": ("kube_node", "kube-node", "agent", "nodes", "node", "workers"),
    "registry": ("sealer_registry",),
}
KINDS = ("control_plane", "worker", "registry", "cluster", "schedulable", "all")

Groups = t.Mapping[str, t.Sequence[str]]
Names = t.Mapping[str, str]


def _in_groups(groups: Groups, kind: str, names: Names) -> list[str]:
    wanted = (names[kind],) if names.get(kind) else GROUPS[kind]
    return list(dict.fromkeys(str(host) for name in wanted for host in groups.get(name) or ()))


def cluster_hosts(groups: Groups, kind: str, names: Names) -> list[str]:
    """Hosts of one kind. `names` holds the groups to look at instead of the known ones, by kind."""
    control_planes = _in_groups(groups, "control_plane", names)
    if kind == "control_plane":
        return control_planes
    registries = _in_groups(groups, "registry", names)
    if kind == "registry":
        return registries or control_planes
    workers = _in_groups(groups, "worker", names)
    if kind == "schedulable":
        return workers or control_planes
    if kind == "worker":
        return [host for host in workers if host not in control_planes]
    return list(dict.fromkeys([*control_planes, *workers, *(registries if kind == "all" else [])]))


def _agreed(hosts: t.Iterable[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]], variable: str) -> str:
    """The one value that these hosts have; nothing when none has any."""
    found = sorted({str(hostvars[host].get(variable) or "") for host in hosts if host in hostvars} - {""})
    if len(found) > 1:
        raise AnsibleFilterError(
            f"cluster_hosts: hosts of the inventory have different values of {variable}: {', '.join(found)}."
            f" Say which cluster is meant: -e {variable}={found[0]}"
        )
    return found[0] if found else ""


def _names(context: Context, groups: Groups) -> dict[str, str]:
    """The groups that variables name, as seen from a host, or from a play that has none yet."""
    hostvars, here = context.resolve_or_missing("hostvars"), context.resolve_or_missing("inventory_hostname")
    outside = isinstance(hostvars, t.Mapping) and here not in (groups.get("all") or ())
    names: dict[str, str] = {}
    for kind in GROUPS:
        variable = f"sealer_{kind}_group"
        value = context.resolve_or_missing(variable)
        asked = groups.get(names.get("control_plane", "")) or groups.get("all") or ()
        names[kind] = value if isinstance(value, str) else _agreed(asked, hostvars, variable) if outside else ""
    return names


@pass_context
def _filter(context: Context, groups: Groups, kind: str, group_name: str | None = None) -> list[str]:
    if not isinstance(groups, t.Mapping):
        raise AnsibleFilterError("cluster_hosts wants the variable 'groups', and was given something else")
    if kind not in KINDS:
        raise AnsibleFilterError(f"cluster_hosts knows no kind {kind!r}; there are {', '.join(KINDS)}")
    meant = "worker" if kind == "schedulable" else kind
    if group_name and meant not in GROUPS:
        raise AnsibleFilterError(f"cluster_hosts: a group name does not go with kind {kind!r}")
    names = _names(context, groups)
    if group_name:
        names[meant] = group_name
    return cluster_hosts(groups, kind, names)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"cluster_hosts": _filter}
