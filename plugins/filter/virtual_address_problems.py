# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Problems of an address that several hosts are to hold in turn."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._addresses import is_address, known_address
from ansible_collections.sealer.cluster.plugins.plugin_utils._interfaces import interface_of, interfaces

DOCUMENTATION = r"""
name: virtual_address_problems
short_description: Problems of an address that several hosts are to hold in turn
version_added: 0.1.0
description:
  - Tells when nothing or no address is given, when it is the address of a host, and when it is in no network of an
    interface that would get it.
  - The interface is the one that C(kubeadm_virtual_interface) names, else that of the host's own address. Of hosts
    without facts nothing is said.
author:
  - sealer.cluster contributors (@sealerio)
positional: hosts, hostvars, others
options:
  _input:
    description: The address.
    type: str
    required: true
  hosts:
    description: The hosts that are to hold it.
    type: list
    elements: str
    required: true
  hostvars:
    description: The magic variable C(hostvars).
    type: dict
    required: true
  others:
    description: Hosts whose own address it may not be either.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at the address
  ansible.builtin.debug:
    msg: "{{ '10.0.0.10' | sealer.cluster.virtual_address_problems(groups['kube_control_plane'], hostvars) }}"
"""

RETURN = r"""
_value:
  description: A sentence for each problem.
  type: list
  elements: str
  sample: ["kubeadm_virtual_address: 10.0.0.11 is the address of cp1. Take one that no host has"]
"""

_NAME = "kubeadm_virtual_address"
Address = t.Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
_Variables = t.Mapping[str, t.Mapping[str, t.Any]]


def virtual_address_problems(
    address: str, hosts: t.Sequence[str], hostvars: _Variables, others: t.Sequence[str] = ()
) -> list[str]:
    """A sentence for each problem."""
    if isinstance(hosts, str) or not isinstance(hosts, t.Sequence) or not isinstance(hostvars, t.Mapping):
        raise AnsibleFilterError("virtual_address_problems wants a list of hosts and the variable 'hostvars'")
    if not address:
        return [f"kubeadm_balancer is kube-vip, and {_NAME} is empty. Name a free one in the control planes' network"]
    if not is_address(address):
        return [f"{_NAME}: {address} is no IP address. Name a free one in the control planes' network"]
    known = [*hosts, *(host for host in others if host not in hosts)]
    owners = [host for host in known if address in _own(host, hostvars[host])]
    if owners:
        return [f"{_NAME}: {address} is the address of {' and '.join(owners)}. Take one that no host has"]
    return [told for host in hosts for told in _out_of_reach(host, hostvars[host], address)]


def _own(host: str, variables: t.Mapping[str, t.Any]) -> set[str]:
    """Not all that its interfaces have: one of the hosts has the virtual address itself."""
    return {known_address(variables), str(variables.get("ansible_host") or host)}


def _out_of_reach(host: str, variables: t.Mapping[str, t.Any], address: str) -> t.Iterator[str]:
    found = interfaces(variables.get("ansible_facts") or {})
    named = str(variables.get("kubeadm_virtual_interface") or "")
    if named and found and named not in found:
        yield f"kubeadm_virtual_interface: {host} has no interface {named}. It has {', '.join(sorted(found))}"
        return
    interface = named or interface_of(variables.get("ansible_facts") or {}, known_address(variables))
    wanted = ipaddress.ip_address(address)
    # Virtual addresses are alone in theirs, and a link's own are no place for one.
    shared = [held for held in found.get(interface, []) if not held.is_link_local]
    networks = [held.network for held in shared if held.network.num_addresses > 1]
    if networks and not any(_usable(wanted, network) for network in networks):
        yield (
            f"{_NAME}: {address} is no address for hosts in the network of {host}, whose interface {interface} is in"
            f" {' and '.join(map(str, networks))}. Take a free one there, or name"
            " the interface (kubeadm_virtual_interface)"
        )


def _usable(address: Address, network: Network) -> bool:
    if address.version != network.version or address not in network:
        return False
    ends = (network.network_address, network.broadcast_address)
    return network.version == 6 or network.prefixlen > 30 or address not in ends


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[str]]]:
        return {"virtual_address_problems": virtual_address_problems}
