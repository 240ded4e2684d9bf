# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a node is on a host, told from what is somebody else's and from what was there before.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    cni,
    foreign,
    leftovers,
    links,
    mounts,
    netfilter,
    processes,
    record,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.foreign import Kept
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.record import Before
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import STATE_PATH
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import FORWARDING, Traces

DEFAULT_CRI_SOCKET = "unix:///run/containerd/containerd.sock"
DEFAULT_CNI_FILES = ("10-flannel.conflist",)
DEFAULT_LINKS = ("cni0", "flannel.*", "flannel-v6.*", "kube-ipvs0")
_FLANNEL = "/run/flannel"
_CONFIGURATIONS = "/etc/cni/net.d"
_CONTAINERS = ('labels."io.cri-containerd.kind"==container', 'labels."io.cri-containerd.kind"==sandbox')


@dataclasses.dataclass(frozen=True)
class ResetSettings:
    """What the caller may choose."""

    cri_socket: str = DEFAULT_CRI_SOCKET
    cni_files: t.Sequence[str] = DEFAULT_CNI_FILES
    links: t.Sequence[str] = DEFAULT_LINKS
    addresses: t.Sequence[str] = ()
    keep_quorum: bool = False
    force: bool = False


@dataclasses.dataclass(frozen=True)
class Survey:
    """What of a node is on the host now, and what stays though it is where a node's things are."""

    units: t.Sequence[str] = ()
    containers: t.Sequence[str] = ()
    mounts: t.Sequence[str] = ()
    links: t.Sequence[str] = ()
    addresses: t.Sequence[t.Tuple[str, str]] = ()
    rules: t.Mapping[str, netfilter.Ruleset] = dataclasses.field(default_factory=dict)
    nft_tables: t.Sequence[t.Tuple[str, str]] = ()
    paths: t.Sequence[str] = ()
    husks: t.Sequence[str] = ()
    cgroups: t.Sequence[str] = ()
    sysctls: t.Mapping[str, str] = dataclasses.field(default_factory=dict)
    kept: t.Sequence[Kept] = ()

    def lines(self) -> t.List[str]:
        """A sentence for each thing that has to go."""
        found = [f"service {name}" for name in self.units]
        found += [f"container {name}" for name in self.containers]
        found += [f"mount {path}" for path in self.mounts]
        found += [f"link {name}" for name in self.links]
        found += [f"address {address} of {link}" for link, address in self.addresses]
        found += [f"{program} {line}" for program, rules in self.rules.items() for line in rules.described()]
        found += [f"nftables table {family} {name}" for family, name in self.nft_tables]
        found += [f"path {path}" for path in [*self.paths, *self.husks]]
        found += [f"cgroup {path}" for path in self.cgroups]
        found += [f"sysctl {name} other than {value}" for name, value in self.sysctls.items()]
        return list(map(printable, found))


def printable(text: t.Any) -> str:
    """A text with the bytes that are none written out: names of files may have any."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


class Surveyor:
    """Looks at one host for a node of one runtime."""

    def __init__(self, run: Runner, settings: ResetSettings, traces: Traces, before: Before) -> None:
        self._run = run
        self._settings = settings
        self._traces = traces
        self._before = before

    def survey(self, met: t.Iterable[Kept] = ()) -> Survey:
        """What is there; met: what was come across that stays while something was removed."""
        mounted = mounts.read()
        running = processes.Processes(self._traces.units, self._traces.own)
        containers, others = self.containers()
        pods, namespaces = self._pods_mounts(mounted, running, others)
        owners = netfilter.Owners(networks=self._networks(), others=foreign.agents(running))
        in_directories = [*self._in_directories(mounted, pods, running), *met]
        if os.path.isdir(_FLANNEL) and "FLANNEL-" in owners.others:
            in_directories.append(Kept(os.path.realpath(_FLANNEL), owners.others["FLANNEL-"]))
        names = [os.path.basename(kept.what) for kept in namespaces]
        found_links, kept_links = links.left_links(self._run, self._settings.links, self._before.links, owners, names)
        rules, kept_rules = netfilter.rulesets(self._run, owners, self._before.rules)
        left = self._left(mounted, [kept.what for kept in (*in_directories, *namespaces)], owners)
        sysctls, kept_sysctls = self._sysctls()
        return Survey(
            units=[name for name in self._traces.units if self._is_active(name)],
            containers=containers,
            mounts=[mount.point for mount in pods],
            links=found_links,
            addresses=links.left_addresses(self._run, self._settings.addresses, self._before.addresses),
            rules=rules,
            nft_tables=netfilter.our_nft_tables(self._run, self._before.nft_tables, rules, owners.others),
            paths=left.paths,
            husks=left.husks,
            cgroups=processes.pods_cgroups(mounted, self._before.cgroups),
            sysctls=sysctls,
            kept=[*left.kept, *in_directories, *namespaces, *kept_links, *kept_rules, *kept_sysctls],
        )

    def _is_active(self, unit: str) -> bool:
        return self._run(["systemctl", "is-active", "--quiet", unit]).rc == 0

    def filled(self, command: t.Sequence[str]) -> t.List[str]:
        """A command of the traces with the container runtime's socket in it."""
        cri_socket = self._settings.cri_socket
        socket = cri_socket[len("unix://") :] if cri_socket.startswith("unix://") else cri_socket
        return [word.format(socket=socket, cri_socket=cri_socket) for word in command]

    def containers(self) -> t.Tuple[t.List[str], t.Set[str]]:
        """Containers of pods, and those of others in the same namespace of containerd."""
        if self._traces.socket and not os.path.exists(self._traces.socket):
            return [], set()
        command = [*self.filled(self._traces.ctr), "containers", "list", "--quiet"]
        pods = self._run([*command, *_CONTAINERS])
        if pods.rc != 0:
            return [], set()
        found = pods.stdout.split()
        return sorted(found), set(self._run(command).stdout.split()) - set(found)

    def _pods_mounts(
        self, mounted: t.Sequence[mounts.Mount], running: processes.Processes, others: t.Collection[str]
    ) -> t.Tuple[t.List[mounts.Mount], t.List[Kept]]:
        """What pods have mounted, and the network namespaces that look like theirs and are not."""
        pods, kept = [], []
        for mount in mounts.of_node(mounted, self._traces, self._before.mounts):
            if mounts.container_of(mount.point, self._traces) in others:
                continue
            holder = foreign.in_namespace(mount.point, running) if mounts.NAMESPACE.fullmatch(mount.point) else None
            if holder is None:
                pods.append(mount)
            else:
                kept.append(Kept(mount.point, f"{running.described(holder.number)} is in this network namespace"))
        return pods, kept

    def _in_directories(
        self, mounted: t.Sequence[mounts.Mount], pods: t.Sequence[mounts.Mount], running: processes.Processes
    ) -> t.List[Kept]:
        """What of others is in directories of the node."""
        own = {path: os.path.realpath(path) for path in (*self._traces.own, *leftovers.SHARED) if os.path.isdir(path)}
        places = list(own.values())
        kept = [one for place in places for one in foreign.foreign_mounts(place, mounted, pods, self._before.mounts)]
        kept += foreign.foreign_sockets(places, lambda: running)
        for path in self._traces.shared:
            inner = [one for one in kept if path in own and one.what.startswith(f"{own[path]}/")]
            if inner:
                kept.append(Kept(own[path], f"others use it, too: {inner[0]}"))
        return list(dict.fromkeys(kept))

    def _networks(self) -> cni.Networks:
        files = [f"{_CONFIGURATIONS}/{name}" for name in self._settings.cni_files]
        if self._traces.cni and os.path.isdir(self._traces.cni):
            files += [f"{self._traces.cni}/{name}" for name in sorted(os.listdir(self._traces.cni))]
        return cni.read(files, self._before.directories.get(f"{cni.STATE}/networks", ()))

    def _left(
        self, mounted: t.Sequence[mounts.Mount], kept: t.Collection[str], owners: netfilter.Owners
    ) -> leftovers.Left:
        extra = [f"{_CONFIGURATIONS}/{name}" for name in self._settings.cni_files]
        extra += [path for path in self._traces.files if path not in self._before.files]
        extra += [STATE_PATH, self._traces.record_path]
        return leftovers.left_paths(
            self._before,
            kept,
            mounted={mount.point for mount in mounted},
            extra=extra,
            own=self._traces.own,
            networks=sorted(owners.networks.names),
        )

    def _sysctls(self) -> t.Tuple[t.Dict[str, str], t.List[Kept]]:
        """Values to be put back; where others have come to forward by this host, it goes on forwarding."""
        now = {name: record.read_sysctl(name) for name in self._before.sysctls}
        changed = {name: value for name, value in self._before.sysctls.items() if now[name] not in (None, value)}
        later = [
            name
            for name in links.forwarders(self._run)
            if name not in self._before.links
            and not any(fnmatch.fnmatchcase(name, pattern) for pattern in self._settings.links)
        ]
        needed = [name for name in changed if later and name in FORWARDING and now[name] == "1"]
        kept = [Kept(f"sysctl {name} = 1", f"{later[0]} came later, and needs it") for name in needed]
        return {name: value for name, value in changed.items() if name not in needed}, kept
