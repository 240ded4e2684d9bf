# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network links that pods left on a host, and their addresses.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import json
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.foreign import Kept
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.netfilter import Owners
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

BRIDGE = "cni0"
# What others forward by: bridges of containers and virtual machines, tunnels.
_FORWARDERS = frozenset({"bridge", "tun", "wireguard"})
# How the links of pods' networks are called whose chains begin so, as others may have them.
_PREFIXES = {"KUBE-": "kube-*", "FLANNEL-": "flannel*"}
_OTHERS = "a network of others has it"


def _links(run: Runner) -> t.List[t.Dict[str, t.Any]]:
    done = run(["ip", "-json", "-details", "link", "show"])
    if done.rc != 0:
        raise ClusterError("the network links of this host cannot be listed", where="ip -json link", why=done.output)
    return [entry for entry in json.loads(done.stdout or "[]") if "ifname" in entry]


def link_names(run: Runner) -> t.List[str]:
    return sorted(str(entry["ifname"]) for entry in _links(run))


def left_links(
    run: Runner,
    patterns: t.Sequence[str],
    before: t.Collection[str],
    owners: Owners,
    namespaces: t.Collection[str] = (),
) -> t.Tuple[t.List[str], t.List[Kept]]:
    """Links that fit the patterns or hang on the bridge of the CNI plugins; and those of them that are not the node's.

    before: those that there were before; namespaces: names of network namespaces of others in /run/netns.
    """
    why: t.Dict[str, str] = {}
    for entry in _links(run):
        name = str(entry["ifname"])
        port = entry.get("master") == BRIDGE and BRIDGE not in before
        if name not in before and (port or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)):
            theirs = name in owners.networks.links or entry.get("link_netns") in namespaces
            why[name] = why.get(name) or (_OTHERS if theirs else _made_by(name, owners.others))
            if port and theirs:
                # Whatever is on a bridge loses its network with it.
                why[BRIDGE] = _OTHERS
    kept = [Kept(f"link {name}", why[name]) for name in sorted(why) if why[name]]
    return sorted((name for name in why if not why[name]), key=lambda name: (name == BRIDGE, name)), kept


def _made_by(name: str, others: t.Mapping[str, str]) -> str:
    """Why somebody else may have made it; nothing where nobody has."""
    fitting = (prefix for prefix, pattern in _PREFIXES.items() if fnmatch.fnmatchcase(name, pattern))
    return next((others[prefix] for prefix in fitting if prefix in others), "")


def forwarders(run: Runner) -> t.List[str]:
    """Links by which a host forwards for somebody, as a bridge of containers; not those of the pods' networks."""
    return [
        str(entry["ifname"])
        for entry in _links(run)
        if (entry.get("linkinfo") or {}).get("info_kind") in _FORWARDERS
        and not any(fnmatch.fnmatchcase(str(entry["ifname"]), pattern) for pattern in (BRIDGE, *_PREFIXES.values()))
    ]


def remove_link(run: Runner, name: str) -> None:
    """Remove a link; the other end of a veth may have taken it along."""
    done = run(["ip", "link", "delete", "dev", name])
    if done.rc != 0 and name in link_names(run):
        raise ClusterError(f"network link {name} cannot be removed", why=done.output)


def addresses(run: Runner) -> t.List[t.Tuple[str, str]]:
    """Names of links with the addresses that they have, each with the length of its prefix."""
    done = run(["ip", "-json", "address", "show"])
    if done.rc != 0:
        raise ClusterError("the addresses of this host cannot be listed", where="ip -json address", why=done.output)
    return [
        (str(entry["ifname"]), f"{held['local']}/{held['prefixlen']}")
        for entry in json.loads(done.stdout or "[]")
        if "ifname" in entry
        for held in entry.get("addr_info", ())
        if "local" in held
    ]


def left_addresses(run: Runner, wanted: t.Collection[str], before: t.Collection[str]) -> t.List[t.Tuple[str, str]]:
    """Links with those of the addresses that they have now and did not have before."""
    if not wanted:
        return []
    try:
        ours = {str(ipaddress.ip_address(address)) for address in wanted}
    except ValueError as error:
        raise ClusterError("addresses to take from links have to be IP addresses", why=str(error)) from error
    return [held for held in addresses(run) if held[1].partition("/")[0] in ours and held[1] not in before]


def remove_address(run: Runner, link: str, address: str) -> None:
    """Take an address from a link; the pod that gave it may have done so meanwhile."""
    done = run(["ip", "address", "delete", address, "dev", link])
    if done.rc != 0 and (link, address) in addresses(run):
        raise ClusterError(f"address {address} cannot be taken from {link}", why=done.output)
