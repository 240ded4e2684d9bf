# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network links and mounts that pods left on a host.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import json
import os
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import KUBEADM
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_BRIDGE = "cni0"
_ESCAPED = re.compile(r"\\([0-7]{3})")


def _links(run: Runner) -> t.List[t.Dict[str, t.Any]]:
    done = run(["ip", "-json", "link", "show"])
    if done.rc != 0:
        raise ClusterError("the network links of this host cannot be listed", where="ip -json link", why=done.output)
    return [entry for entry in json.loads(done.stdout or "[]") if "ifname" in entry]


def link_names(run: Runner) -> t.List[str]:
    return sorted(str(entry["ifname"]) for entry in _links(run))


def left_links(run: Runner, patterns: t.Sequence[str], before: t.Collection[str]) -> t.List[str]:
    """Links that fit the patterns or hang on the bridge of the CNI plugins, and were not there before."""
    found = []
    for entry in _links(run):
        name = str(entry["ifname"])
        ours = any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        if name not in before and (ours or entry.get("master") == _BRIDGE):
            found.append(name)
    return sorted(found, key=lambda name: (name == _BRIDGE, name))


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


def left_mounts(mountinfo: str, prefixes: t.Sequence[str] = KUBEADM.mounts) -> t.List[str]:
    """Mount points of pods, deepest first."""
    targets = {_unescaped(line.split(" ")[4]) for line in mountinfo.splitlines() if line.count(" ") >= 4}
    return sorted(
        (path for path in targets if path.startswith(tuple(prefixes))), key=lambda path: (-path.count("/"), path)
    )


def mount_points(mountinfo: str) -> t.Set[str]:
    return {_unescaped(line.split(" ")[4]) for line in mountinfo.splitlines() if line.count(" ") >= 4}


def read_mountinfo() -> str:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), text)


def unmount(run: Runner, path: str) -> None:
    """Unmount, and let go lazily of what is still in use; the file under a network namespace goes too."""
    if run(["umount", path]).rc != 0:
        done = run(["umount", "--lazy", path])
        if done.rc != 0 and path in mount_points(read_mountinfo()):
            raise ClusterError(f"{path} cannot be unmounted", why=done.output)
    if path.startswith("/run/netns/cni-") and os.path.exists(path):
        os.unlink(path)
