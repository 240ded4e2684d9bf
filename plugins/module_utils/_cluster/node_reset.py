# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making a node a plain host again: look, leave the cluster, stop and remove what is the node's, look again.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    foreign,
    leftovers,
    links,
    mounts,
    netfilter,
    processes,
    record,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.foreign import Kept
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import (
    ResetSettings,
    Survey,
    Surveyor,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import STATE_PATH
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import KUBEADM, Traces
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tree_removal import remove_tree
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError


class Cleared(t.NamedTuple):
    """What the runtime said to its own reset, why the member of etcd could not leave, and what was come across that
    stays.
    """

    said: str = ""
    hindrance: str = ""
    met: t.Sequence[Kept] = ()


class NodeReset:
    """One host on its way back."""

    def __init__(self, run: Runner, settings: ResetSettings, traces: Traces = KUBEADM) -> None:
        self._run = run
        self._settings = settings
        self._traces = traces
        self._record = record.read_record(traces.record_path)
        self._surveyor = Surveyor(run, settings, traces, record.Before.of(self._record))
        self._etcd = Etcd(run, traces.etcd)
        self._met: t.List[Kept] = []

    @property
    def ours(self) -> bool:
        """Whether this collection made a node of the host, as far as is recorded."""
        return self._record is not None or self._settings.force

    @property
    def foreign(self) -> bool:
        """Whether there is a node that this collection knows nothing of."""
        return not self.ours and any(os.path.exists(path) for path in self._traces.nodes)

    def survey(self) -> Survey:
        return self._surveyor.survey(self._met) if self.ours else Survey()

    def refuse(self) -> None:
        """Raise ClusterError where the reset would harm others; changes nothing."""
        running = processes.Processes(self._traces.units, self._traces.own)
        foreign.refuse_other_node(running, self._traces.record_path)
        if self._settings.keep_quorum:
            self._etcd.refuse_to_leave_without_quorum()

    def clear(self) -> Cleared:
        """Remove everything.

        Raises ClusterError where that would harm others, before anything is changed, and when something of ours stays.
        """
        self.refuse()
        hindrance = self._etcd.leave()
        self._stop()
        said = self._remove_pods()
        processes.end_processes(self._traces.units, self._traces.own)
        self._remove_network(self.survey())
        self._remove_files()
        left = [line for line in self.survey().lines() if self._traces.record_path not in line]
        if left:
            told = [text for text in (hindrance, said[-1500:]) if text]
            raise ClusterError(
                "this is still there after the reset",
                why=", ".join(left),
                fix=" ".join(["Run the reset again.", *told]),
            )
        record.forget(self._traces.record_path)
        leftovers.remove_empty(os.path.dirname(STATE_PATH))
        self._record = None
        return Cleared(said, hindrance, self._met)

    def _stop(self) -> None:
        for unit in self._traces.units:
            self._run(["systemctl", "stop", unit])

    def _remove_pods(self) -> str:
        """Ask the container runtime to remove its pods; returns what was said."""
        said = ""
        if self._traces.reset:
            command = self._surveyor.filled(self._traces.reset)
            program, script = mounts.without_directories(command, self._traces.own, mounts.read())
            said = self._run(program, data=script).output
        for name in self._surveyor.containers()[0]:
            self._remove_container(name)
        return said

    def _remove_container(self, name: str) -> None:
        ctr = self._surveyor.filled(self._traces.ctr)
        self._run([*ctr, "tasks", "kill", "--all", "--signal", "SIGKILL", name])
        self._run([*ctr, "tasks", "delete", "--force", name])
        self._run([*ctr, "containers", "delete", name])

    def _remove_network(self, found: Survey) -> None:
        for path in found.mounts:
            mounts.unmount(self._run, path)
        for name in found.links:
            links.remove_link(self._run, name)
        for link, address in found.addresses:
            links.remove_address(self._run, link, address)
        for program, rules in found.rules.items():
            netfilter.remove_ruleset(self._run, program, rules)
        for family, name in self.survey().nft_tables:
            netfilter.remove_nft_table(self._run, family, name)

    def _remove_files(self) -> None:
        found = self.survey()
        if any(os.path.basename(path) == processes.PODS_SLICE for path in found.cgroups):
            self._run(["systemctl", "stop", processes.PODS_SLICE])
        for path in found.cgroups:
            processes.remove_cgroup(path)
        for path in found.paths:
            if path != self._traces.record_path:
                self._met += [Kept(met, "another file system is there") for met in remove_tree(path)]
        for path in found.husks:
            leftovers.remove_empty(path)
        for name, value in found.sysctls.items():
            record.write_sysctl(name, value)
