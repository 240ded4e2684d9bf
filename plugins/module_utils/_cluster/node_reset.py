# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a node a plain host again: look, run kubeadm reset, remove what it leaves, look again.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import leftovers, links, netfilter, record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import APPLICATIONS_PATH, STATE_PATH
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
    force: bool = False


@dataclasses.dataclass(frozen=True)
class Survey:
    """What of a node is on the host now."""

    kubelet: bool = False
    containers: t.Sequence[str] = ()
    mounts: t.Sequence[str] = ()
    links: t.Sequence[str] = ()
    rules: t.Mapping[str, netfilter.Ruleset] = dataclasses.field(default_factory=dict)
    nft_tables: t.Sequence[t.Tuple[str, str]] = ()
    paths: t.Sequence[str] = ()
    cgroups: t.Sequence[str] = ()
    sysctls: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    def lines(self) -> t.List[str]:
        """A sentence for each thing that has to go."""
        found = ["service kubelet.service"] if self.kubelet else []
        found += [f"container {name}" for name in self.containers]
        found += [f"mount {path}" for path in self.mounts]
        found += [f"link {name}" for name in self.links]
        found += [f"{program} {line}" for program, rules in self.rules.items() for line in rules.described()]
        found += [f"nftables table {family} {name}" for family, name in self.nft_tables]
        found += [f"path {path}" for path in self.paths]
        found += [f"cgroup {path}" for path in self.cgroups]
        return found + [f"sysctl {name} other than {value}" for name, value in self.sysctls.items()]


class NodeReset:
    """One host on its way back."""

    def __init__(self, run: Runner, settings: ResetSettings) -> None:
        self._run = run
        self._settings = settings
        self._record = record.read_record()

    @property
    def ours(self) -> bool:
        """Whether this collection made a node of the host, as far as is recorded."""
        return self._record is not None or self._settings.force

    @property
    def foreign(self) -> bool:
        """Whether there is a node that this collection knows nothing of."""
        return not self.ours and os.path.exists("/etc/kubernetes/kubelet.conf")

    def survey(self) -> Survey:
        if not self.ours:
            return Survey()
        before = self._record["before"] if self._record else _BEFORE_NOTHING
        mountinfo = links.read_mountinfo()
        extra = [f"/etc/cni/net.d/{name}" for name in self._settings.cni_files]
        extra += [path for path in record.FILES if path not in before["files"]]
        extra += [STATE_PATH, APPLICATIONS_PATH, record.RECORD_PATH]
        return Survey(
            kubelet=self._run(["systemctl", "is-active", "--quiet", "kubelet.service"]).rc == 0,
            containers=self._containers(),
            mounts=links.left_mounts(mountinfo),
            links=links.left_links(self._run, self._settings.links, before["links"]),
            rules=netfilter.rulesets(self._run),
            nft_tables=netfilter.our_nft_tables(self._run, before["nft_tables"]),
            paths=leftovers.left_paths(before["directories"], mounted=links.mount_points(mountinfo), extra=extra),
            cgroups=leftovers.left_cgroups(),
            sysctls={k: v for k, v in before["sysctls"].items() if record.read_sysctl(k) not in (None, v)},
        )

    def _containers(self) -> t.List[str]:
        done = self._run([*self._ctr(), "containers", "list", "--quiet", *_CONTAINERS])
        return sorted(done.stdout.split()) if done.rc == 0 else []

    def _ctr(self) -> t.List[str]:
        socket = self._settings.cri_socket
        address = socket[len("unix://") :] if socket.startswith("unix://") else socket
        return ["ctr", "--address", address, "--namespace", "k8s.io"]

    def clear(self) -> str:
        """Remove everything; returns what kubeadm said. Raises ClusterError when something of ours stays."""
        said = self._kubeadm_reset()
        self._run(["systemctl", "stop", "kubelet.service"])
        self._remove_containers(self._containers())
        self._remove_network(self.survey())
        self._remove_files()
        left = [line for line in self.survey().lines() if record.RECORD_PATH not in line]
        if left:
            raise ClusterError(
                "this is still there after the reset",
                why=", ".join(left),
                fix=f"Run the reset again. kubeadm reset said: {said[-1500:]}",
            )
        record.forget()
        self._record = None
        return said

    def _kubeadm_reset(self) -> str:
        command = ["kubeadm", "reset", "--force", "--cri-socket", self._settings.cri_socket]
        return self._run(command).output

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
            if path != record.RECORD_PATH:
                leftovers.remove_path(path)
        for name, value in found.sysctls.items():
            record.write_sysctl(name, value)
