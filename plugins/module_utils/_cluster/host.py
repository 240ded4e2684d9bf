# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules that change a host share: its root, how they start programs, and how they tell a change.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

Json = t.Dict[str, t.Any]


@dataclass
class Host:
    """The host to be changed. Paths in records and results are the host's own; `at` maps them below `root`."""

    run: Runner
    root: str = "/"
    check: bool = False
    warnings: t.List[str] = field(default_factory=list)
    gone: t.Set[str] = field(default_factory=set)

    def at(self, path: str) -> str:
        return path if self.root == "/" else os.path.join(self.root, path.lstrip("/"))

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def must(self, command: t.Sequence[str], what: str, fix: str = "") -> str:
        """Standard output of a program that has to succeed."""
        done = self.run(command)
        if done.rc != 0:
            raise ClusterError(what, where=" ".join(command), why=done.output or f"exit status {done.rc}", fix=fix)
        return done.stdout


@dataclass
class Change:
    """One thing that changes: how it reads before and after; paths tell whose units have to be restarted."""

    before: str
    after: str
    path: str = ""


def diff_of(changes: t.Iterable[Change]) -> t.Dict[str, str]:
    """The text before and after of all changes, in the shape that Ansible prints."""
    told = list(changes)
    return {
        "before": "".join(change.before + "\n" for change in told if change.before),
        "after": "".join(change.after + "\n" for change in told if change.after),
    }
