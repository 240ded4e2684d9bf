# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A runtime that is one service of systemd: starting it on a host that is no node, and undoing that when it fails.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_wait import Probe, wait_until
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import remove
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import NodeReset
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import ResetSettings
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import Traces
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import replace_file

_TAIL_LINES = 25
_RESTARTS = 3


class Handed:
    """Files and environment that a service is given, if not kept only while the host becomes a node.

    The unit reads `environment` in the directory, if there is one.
    """

    def __init__(
        self, directory: str, files: t.Mapping[str, str], environment: t.Mapping[str, str], kept: bool = False
    ) -> None:
        self._directory = directory
        self._kept = kept
        self._files = dict(files)
        if environment:
            self._files["environment"] = "".join(f"{name}={value}\n" for name, value in environment.items())

    def __enter__(self) -> None:
        if self._files:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            for name, content in self._files.items():
                replace_file(f"{self._directory}/{name}", content.encode(), 0o600)

    def __exit__(self, *_caught: object) -> None:
        if self._files and not self._kept:
            for name in self._files:
                remove(f"{self._directory}/{name}")
            os.rmdir(self._directory)


@dataclasses.dataclass(frozen=True)
class Service:
    """The service of a node.

    ready: tells why the node is not up yet; redact: takes the secrets out of what the service said; links: what it
    makes on the network, as patterns.
    """

    runtime: str
    unit: str
    traces: Traces
    ready: Probe
    redact: t.Callable[[str], str]
    timeout: float
    links: t.Sequence[str] = ()

    def start(self, run: Runner, action: str, handed: Handed) -> str:
        """Start it and wait; when that fails, the runtime is off the host again. Returns the end of what it said."""
        record.start(run, action, self.traces)
        try:
            with handed:
                self._start(run)
        except (SealerError, OSError) as error:
            failure = ClusterError(
                f"{self.runtime} {action} failed",
                why=self.redact(str(error)),
                fix="What it did was undone; correct the cause and run this again",
            )
            try:
                self.undo(run)
            except (SealerError, OSError) as second:
                failure.fix = f"{failure.fix}. What {self.runtime} did could not be undone whole: {second}"
            raise failure from error
        return self._said(run)

    def _start(self, run: Runner) -> None:
        run(["systemctl", "reset-failed", self.unit])
        done = run(["systemctl", "restart", "--no-block", self.unit])
        if done.rc != 0:
            raise ClusterError(f"{self.unit} cannot be started", why=done.output)
        wait_until(
            self.ready,
            f"{self.runtime} ({self.unit})",
            self.timeout,
            lambda: self._hopeless(run),
            lambda: f"; the end of what it said:\n{self._said(run)}\n",
        )

    def undo(self, run: Runner) -> None:
        """Take the runtime off the host, as reset does."""
        NodeReset(run, ResetSettings(cni_files=(), links=self.links), self.traces).clear()

    def _hopeless(self, run: Runner) -> t.Optional[str]:
        done = run(["systemctl", "show", "--property=NRestarts", "--value", self.unit])
        restarts = done.stdout.strip()
        return f"it ended {restarts} times" if restarts.isdigit() and int(restarts) >= _RESTARTS else None

    def _said(self, run: Runner) -> str:
        done = run(["journalctl", f"--unit={self.unit}", "--no-pager", "--output=cat", f"--lines={_TAIL_LINES}"])
        return self.redact(done.output)
