# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Problems that can be seen in the inventory alone."""

from __future__ import annotations

import functools
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._groups import KINDS, convention_of, hosts_of
from ansible_collections.sealer.cluster.plugins.plugin_utils._host_aliases import Taken, alias_problems
from ansible_collections.sealer.cluster.plugins.plugin_utils._node_labels import label_problems, role_problems
from ansible_collections.sealer.cluster.plugins.plugin_utils._node_names import name_problems

DOCUMENTATION = r"""
name: inventory_problems
short_description: Problems of a cluster that can be seen in the inventory alone
version_added: 0.1.0
description:
  - Names hosts that share an address, in the inventory or, where their facts are known, as nodes; groups that are named
    but do not exist, the absence of hosts, hosts whose nodes cannot be called as they are, and hosts that are both
    kinds of node in groups that mean one kind each.
    C(kube_control_plane) and C(kube_node), and groups named by variables, may share hosts; these are control planes
    that run workloads.
  - Names what is wrong with C(sealer_host_aliases), where names of the API and of hosts are taken, and with
    C(sealer_node_labels) and C(sealer_node_roles).
author:
  - sealer.cluster contributors (@sealerio)
positional: hosts, hostvars, named_groups
options:
  _input:
    description: The magic variable C(groups).
    type: dict
    required: true
  hosts:
    description: The hosts of the cluster.
    type: list
    elements: str
    required: true
  hostvars:
    description: The magic variable C(hostvars).
    type: dict
    required: true
  named_groups:
    description:
      - Groups that variables name, those of control planes, workers and registry hosts, in this order. An empty name
        is none.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at the inventory
  ansible.builtin.debug:
    msg: "{{ groups | sealer.cluster.inventory_problems(groups['k8s_cluster'], hostvars, ['planes', 'boxes', '']) }}"
"""

RETURN = r"""
_value:
  description: A sentence for each problem.
  type: list
  elements: str
  sample: ["w1 and w2 have the same address 10.0.0.12. Give each host its own ansible_host or sealer_node_address"]
"""

_ADDRESSES = ("sealer_node_address", "ansible_host")
_API_NAME = "apiserver.cluster.local"


def inventory_problems(
    groups: t.Mapping[str, t.Sequence[str]],
    hosts: t.Sequence[str],
    hostvars: t.Mapping[str, t.Mapping[str, t.Any]],
    named_groups: t.Sequence[str] = (),
) -> list[str]:
    """A sentence for each problem."""
    if not isinstance(groups, t.Mapping) or not isinstance(hostvars, t.Mapping):
        raise AnsibleFilterError("inventory_problems wants the variables 'groups' and 'hostvars'")
    problems = [
        f"Group {name} is named by a variable, but the inventory has no such group. It has {_known(groups)}"
        for name in named_groups
        if name and name not in groups
    ]
    if not hosts:
        problems.append("The inventory names no host of a cluster. Put one into the group kube_control_plane")
    used = convention_of(groups, dict(zip(KINDS, named_groups)))
    workers = hosts_of(groups, used.worker)
    both = [host for host in hosts_of(groups, used.control_plane) if host in hosts and host in workers]
    if used.apart and both:
        problems.append(
            f"{' and '.join(both)}: in the groups {used.control_plane} and {used.worker} at once. Leave each host"
            " in one of them"
        )
    problems += name_problems([host for host in hosts if host in {*hosts_of(groups, used.control_plane), *workers}])
    alike = _sharing({host: _inventory_address(host, hostvars[host]) for host in hosts})
    problems += [
        f"{' and '.join(names)} have the same address {address}."
        " Give each host its own ansible_host or sealer_node_address"
        for address, names in alike.items()
    ]
    nodes = {host: _node_address(hostvars[host]) for host in hosts}
    problems += [
        f"{' and '.join(names)} would be nodes with the same address {address}. They are one host, or each has it on"
        " the interface of its default route. Leave one of them, or give each its own sealer_node_address"
        for address, names in _sharing(nodes).items()
        if names not in alike.values()
    ]
    return problems + _problems_of_hosts(hosts, hostvars)


def _problems_of_hosts(hosts: t.Sequence[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """What is wrong with variables of hosts; what is wrong on all of them alike is told without their names."""
    nodes = {
        host.lower(): Taken(
            f"the host {host}", {_inventory_address(host, hostvars[host]), _node_address(hostvars[host])}
        )
        for host in hosts
    }
    found: dict[tuple[str, str], list[str]] = {}
    for host in hosts:
        checks: dict[str, t.Callable[[t.Any], list[str]]] = {
            "sealer_host_aliases": functools.partial(alias_problems, taken={**nodes, **_api_name(hostvars[host])}),
            "sealer_node_labels": label_problems,
            "sealer_node_roles": role_problems,
        }
        for variable, check in checks.items():
            value = hostvars[host].get(variable)
            for problem in check(value) if value else ():
                found.setdefault((variable, problem), []).append(host)
    return [
        f"{variable}{'' if len(names) == len(hosts) else ' of ' + ' and '.join(names)}: {problem}"
        for (variable, problem), names in found.items()
    ]


def _api_name(variables: t.Mapping[str, t.Any]) -> dict[str, Taken]:
    """The name that nodes get for the API, unless it is reached in another way."""
    name = str(variables.get("sealer_api_name") or _API_NAME)
    ours = str(variables.get("sealer_api_endpoint") or f"{name}:6443") == f"{name}:6443"
    return {name.lower(): Taken("the API")} if ours else {}


def _sharing(addresses: t.Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for host, address in addresses.items():
        if address:
            found.setdefault(address, []).append(host)
    return {address: names for address, names in found.items() if len(names) > 1}


def _inventory_address(host: str, variables: t.Mapping[str, t.Any]) -> str:
    found = next((variables[key] for key in _ADDRESSES if variables.get(key)), host)
    port = variables.get("ansible_port")
    return f"{found} port {port}" if port else str(found)


def _node_address(variables: t.Mapping[str, t.Any]) -> str:
    """As far as it is known: nothing where there are no facts."""
    route = (variables.get("ansible_facts") or {}).get("default_ipv4") or {}
    return str(variables.get("sealer_node_address") or route.get("address") or "")


def _known(groups: t.Mapping[str, t.Sequence[str]]) -> str:
    return ", ".join(sorted(name for name in groups if name not in ("all", "ungrouped"))) or "none"


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"inventory_problems": inventory_problems}
