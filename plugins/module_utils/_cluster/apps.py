# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Launching the applications of an image, and waiting until they are up.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import apps_plan, readiness
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_diff import before_and_after
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_plan import Step
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import SEARCH_PATH, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json, read_json, write_json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import APPLICATIONS_PATH
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_SAME, _DIFFERS = 0, 1
_KINDS = "deployments.apps,daemonsets.apps,statefulsets.apps,jobs.batch"
_SYSTEM = "kube-system"


@dataclasses.dataclass
class Outcome:
    """What was done, or would be."""

    launched: t.List[str] = dataclasses.field(default_factory=list)
    before: t.List[str] = dataclasses.field(default_factory=list)
    after: t.List[str] = dataclasses.field(default_factory=list)


class Launcher:
    """Runs steps on the first control plane."""

    def __init__(self, run: Runner, kubectl: Kubectl, *, rootfs: str, timeout: int, check: bool) -> None:
        self._run = run
        self._kubectl = kubectl
        self._rootfs = rootfs
        self._timeout = timeout
        self._check = check
        self._record: t.Optional[Json] = read_json(APPLICATIONS_PATH)
        self._applied: t.Set[readiness.Key] = set()
        self._seen: t.Dict[readiness.Key, t.Tuple[str, int]] = {}
        self.reachable = os.path.exists(kubectl.kubeconfig)

    def launch(self, steps: t.Sequence[Step]) -> Outcome:
        """Run what is not done yet, in order. The first failure ends it; what came before stays recorded."""
        if not self.reachable and not self._check:
            raise ClusterError(
                "there is no cluster on this host",
                where=self._kubectl.kubeconfig,
                fix="Run the init entry point of the runtime's role first",
            )
        outcome = Outcome()
        if self.reachable and not self._check:
            self._seen = readiness.versions(self._workloads())
        for step in steps:
            if step.manifest:
                self._apply(step, outcome)
            elif not apps_plan.is_done(step, self._record):
                self._shell(step, outcome)
        return outcome

    def _apply(self, step: Step, outcome: Outcome) -> None:
        rc, unified = self._difference(step)
        if rc != _SAME:
            outcome.launched.append(str(step))
            before, after = before_and_after(unified) if rc == _DIFFERS else ("", f"{step}\n")
            outcome.before.append(before)
            outcome.after.append(after)
            if not self._check:
                self._command(step)
        if not self._check:
            found = self._kubectl.items("-f", step.manifest)
            self._applied |= readiness.workloads_in(found)

    def _difference(self, step: Step) -> t.Tuple[int, str]:
        """kubectl's answer; anything but same and different means that the cluster cannot tell before it is applied."""
        if not self.reachable or not os.path.exists(step.manifest):
            return 2, ""
        done = self._kubectl.call("diff", "-f", step.manifest)
        return done.rc, done.stdout

    def _shell(self, step: Step, outcome: Outcome) -> None:
        outcome.launched.append(str(step))
        outcome.after.append(f"{step}\n")
        if not self._check:
            self._command(step)
            self._record = apps_plan.with_done(step, self._record)
            write_json(APPLICATIONS_PATH, self._record)

    def _command(self, step: Step) -> None:
        environ = {**step.environ, **self._kubectl.environ, "PATH": f"{self._rootfs}/bin:{SEARCH_PATH}"}
        limit = ["timeout", "--kill-after=10", str(self._timeout)]
        done = self._run([*limit, "/bin/bash", "-c", step.command], environ=environ, cwd=step.directory)
        if done.rc != 0:
            late = f"it was stopped after {self._timeout} seconds" if done.rc == 124 else f"return code {done.rc}"
            raise ClusterError(
                f"a launch command failed: {step.command}",
                where=f"{step.owner}, in {step.directory}",
                why=f"{late}: {done.output[-3000:]}",
                fix="Correct the application or its environment; the next run goes on with this command",
            )

    def _workloads(self) -> t.List[Json]:
        return self._kubectl.items(_KINDS, "--all-namespaces")

    def wait(self, nodes: t.Sequence[str]) -> None:
        """Until these nodes, what was applied, what commands changed, and the system's own workloads are ready."""
        deadline = time.monotonic() + self._timeout
        while True:
            waiting = self._waiting(nodes)
            if not waiting:
                return
            if time.monotonic() >= deadline:
                raise ClusterError(
                    f"not ready after {self._timeout} seconds",
                    why="\n".join(["", *waiting, *self._pods()]) + "\n",
                    fix="Correct the cause and run this again, or allow more time (apps_wait_timeout)",
                )
            time.sleep(1)

    def _waiting(self, nodes: t.Sequence[str]) -> t.List[str]:
        known = self._kubectl.items("nodes")
        told = [(f"node {name}", readiness.waits_for_node(name, known)) for name in nodes]
        there = {readiness.key_of(item): item for item in self._workloads()}
        gone = sorted(self._applied - set(there))
        told += [(str(key), "is not there") for key in gone]
        for key, item in sorted(there.items()):
            if self._concerns(key, item):
                failed = readiness.has_failed(item)
                if failed:
                    raise ClusterError(failed, why="\n".join(["", *self._pods()]) + "\n", fix="Look at its log")
                told.append((str(key), readiness.waits_for_workload(item)))
        return [f"{what}: {why}" for what, why in told if why]

    def _concerns(self, key: readiness.Key, item: Json) -> bool:
        version = (item["metadata"]["uid"], item["metadata"].get("generation", 0))
        return key in self._applied or key.namespace == _SYSTEM or self._seen.get(key) != version

    def _pods(self) -> t.List[str]:
        pods = self._kubectl.items("pods", "--all-namespaces")
        events = self._kubectl.items("events", "--all-namespaces")
        namespaces = {key.namespace for key in self._applied} | {_SYSTEM}
        namespaces |= {
            key.namespace
            for key, version in readiness.versions(self._workloads()).items()
            if self._seen.get(key) != version
        }
        return [readiness.told_pod(pod, events) for pod in readiness.unready_pods(pods, namespaces)]
