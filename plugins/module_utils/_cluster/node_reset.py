# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a node a plain host again: look, let the runtime reset itself, remove what that leaves, look again.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    host_accounts,
    leftovers,
    links,
    netfilter,
    record,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import STATE_PATH
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import KUBEADM, Traces
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

DEFAULT_CRI_SOCKET = "unix:///run/containerd/containerd.sock"
DEFAULT_CNI_FILES = ("10-flannel.conflist",)
DEFAULT_LINKS = ("cni0", "flannel.*", "flannel-v6.*", "kube-ipvs0")
_CONTAINERS = ('labels."io.cri-containerd.kind"==container', 'labels."io.cri-containerd.kind"==sandbox')
_BEFORE_NOTHING: Json = {"sysctls": {}, "directories": {}, "files": [], "links": [], "nft_tables": None}


@dataclasses.dataclass(frozen=True)
class ResetSettings:
    """What the caller may choose."""

    cri_socket: str = DEFAULT_CRI_SOCKET
    cni_files: t.Sequence[str] = DEFAULT_CNI_FILES
    links: t.Sequence[str] = DEFAULT_LINKS
    addresses: t.Sequence[str] = ()
    force: bool = False


@dataclasses.dataclass(frozen=True)
class Survey:
    """What of a node is on the host now."""

    units: t.Sequence[str] = ()
    containers: t.Sequence[str] = ()
    mounts: t.Sequence[str] = ()
    links: t.Sequence[str] = ()
    addresses: t.Sequence[t.Tuple[str, str]] = ()
    rules: t.Mapping[str, netfilter.Ruleset] = dataclasses.field(default_factory=dict)
    nft_tables: t.Sequence[t.Tuple[str, str]] = ()
    paths: t.Sequence[str] = ()
    cgroups: t.Sequence[str] = ()
    sysctls: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def lines(self) -> t.List[str]:
        """A sentence for each thing that has to go."""
        found = [f"service {name}" for name in self.units]
        found += [f"container {name}" for name in self.containers]
        found += [f"mount {path}" for path in self.mounts]
        found += [f"link {name}" for name in self.links]
        found += [f"address {address} of {link}" for link, address in self.addresses]
        found += [f"{program} {line}" for program, rules in self.rules.items() for line in rules.described()]
        found += [f"nftables table {family} {name}" for family, name in self.nft_tables]
        found += [f"path {path}" for path in self.paths]
        found += [f"cgroup {path}" for path in self.cgroups]
        return found + [f"sysctl {name} other than {value}" for name, value in self.sysctls.items()]


class NodeReset:
    """One host on its way back."""

    def __init__(self, run: Runner, settings: ResetSettings, traces: Traces = KUBEADM) -> None:
        self._run = run
        self._settings = settings
        self._traces = traces
        self._record = record.read_record(traces.record_path)

    @property
    def ours(self) -> bool:
        """Whether this collection made a node of the host, as far as is recorded."""
        return self._record is not None or self._settings.force

    @property
    def foreign(self) -> bool:
        """Whether there is a node that this collection knows nothing of."""
        return not self.ours and any(os.path.exists(path) for path in self._traces.nodes)

    def survey(self) -> Survey:
        if not self.ours:
            return Survey()
        before = self._record["before"] if self._record else _BEFORE_NOTHING
        mountinfo = links.read_mountinfo()
        extra = [f"/etc/cni/net.d/{name}" for name in self._settings.cni_files]
        extra += [path for path in self._traces.files if path not in before["files"]]
        extra += [STATE_PATH, self._traces.record_path]
        return Survey(
            units=[name for name in self._traces.units if self._is_active(name)],
            containers=self._containers(),
            mounts=links.left_mounts(mountinfo, self._traces.mounts),
            links=links.left_links(self._run, self._settings.links, before["links"]),
            addresses=links.left_addresses(self._run, self._settings.addresses, before.get("addresses") or ()),
            rules=netfilter.rulesets(self._run),
            nft_tables=netfilter.our_nft_tables(self._run, before["nft_tables"]),
            paths=leftovers.left_paths(
                before["directories"], mounted=links.mount_points(mountinfo), extra=extra, own=self._traces.own
            ),
            cgroups=leftovers.left_cgroups(),
            sysctls={k: v for k, v in before["sysctls"].items() if record.read_sysctl(k) not in (None, v)},
        )

    def _containers(self) -> t.List[str]:
        if self._traces.socket and not os.path.exists(self._traces.socket):
            return []
        done = self._run([*self._ctr(), "containers", "list", "--quiet", *_CONTAINERS])
        return sorted(done.stdout.split()) if done.rc == 0 else []

    def _is_active(self, unit: str) -> bool:
        return self._run(["systemctl", "is-active", "--quiet", unit]).rc == 0

    def _filled(self, command: t.Sequence[str]) -> t.List[str]:
        cri_socket = self._settings.cri_socket
        socket = cri_socket[len("unix://") :] if cri_socket.startswith("unix://") else cri_socket
        return [word.format(socket=socket, cri_socket=cri_socket) for word in command]

    def _ctr(self) -> t.List[str]:
        return self._filled(self._traces.ctr)

    def clear(self) -> str:
        """Remove everything; returns what was said meanwhile. Raises ClusterError when something of ours stays."""
        said = self._leave()
        self._stop()
        self._remove_containers(self._containers())
        if self._traces.reset_stopped:
            leftovers.end_processes(self._traces.units)
        self._remove_network(self.survey())
        self._remove_files()
        left = [line for line in self.survey().lines() if self._traces.record_path not in line]
        if left:
            raise ClusterError(
                "this is still there after the reset",
                why=", ".join(left),
                fix=f"Run the reset again. {' '.join(self._traces.reset[:2]) or 'etcd'} said: {said[-1500:]}",
            )
        record.forget(self._traces.record_path)
        leftovers.remove_empty(os.path.dirname(STATE_PATH))
        self._record = None
        return said

    def _leave(self) -> str:
        """Let the runtime reset itself; where that leaves its member of etcd, this goes while it still runs."""
        said = Etcd(self._run, self._traces.etcd).leave() if self._traces.etcd.name else ""
        if not self._traces.reset:
            return said
        if self._traces.reset_stopped:
            self._stop()
        with host_accounts.backups_kept():
            return said + self._run(self._filled(self._traces.reset)).output

    def _stop(self) -> None:
        for unit in self._traces.units:
            self._run(["systemctl", "stop", unit])

    def _remove_containers(self, names: t.Sequence[str]) -> None:
        for name in names:
            self._run([*self._ctr(), "tasks", "kill", "--all", "--signal", "SIGKILL", name])
            self._run([*self._ctr(), "tasks", "delete", "--force", name])
            self._run([*self._ctr(), "containers", "delete", name])

    def _remove_network(self, found: Survey) -> None:
        for path in found.mounts:
            links.unmount(self._run, path)
        for name in found.links:
            links.remove_link(self._run, name)
        for link, address in found.addresses:
            links.remove_address(self._run, link, address)
        for program, rules in found.rules.items():
            netfilter.remove_ruleset(self._run, program, rules)
        for family, name in self.survey().nft_tables:
            netfilter.remove_nft_table(self._run, family, name)

    def _remove_files(self) -> None:
        self._run(["systemctl", "stop", "kubepods.slice"])
        found = self.survey()
        for path in found.cgroups:
            leftovers.remove_cgroup(path)
        for path in found.paths:
            if path != self._traces.record_path:
                leftovers.remove_path(path)
        for name, value in found.sysctls.items():
            record.write_sysctl(name, value)
