# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease of a cluster: a run holds it while it changes the cluster, and shows that it is alive by renewing it.

A lease is a file in a directory of its own on a host, named by its holder and renewed by its time of modification. Only
one clock counts, the host's; and a host that starts again has none, as the directory lies in memory.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import time
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

DEFAULT_DIRECTORY = "/run/sealer-lease"
SUFFIX = ".json"


@dataclass(frozen=True)
class Holder:
    """A run of a playbook.

    identity: differs for each run, and is part of a file's name; user: who started it; machine: name of the controller;
    boot: what identifies the controller's kernel since its start, and its process numbers, empty where it is unknown;
    process: its number there; started: when the process began, in a form of the controller's own; acquired: when the
    lease was acquired, RFC 3339.
    """

    identity: str
    user: str
    machine: str
    boot: str
    process: int
    started: str
    acquired: str

    @classmethod
    def from_json(cls, raw: t.Any) -> Holder:
        """Read what ``to_json`` wrote. Raises ClusterError for anything else."""
        try:
            texts = {name: str(raw[name]) for name in ("identity", "user", "machine", "boot", "started", "acquired")}
            return cls(process=int(raw["process"]), **texts)
        except (KeyError, TypeError, ValueError) as error:
            raise ClusterError("this is not the holder of a lease", why=repr(error)) from error

    def to_json(self) -> t.Dict[str, t.Any]:
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.user} on {self.machine} (process {self.process})"


@dataclass(frozen=True)
class Held:
    """A lease that somebody else holds. renewed: how many seconds ago, by the host's clock."""

    holder: Holder
    renewed: float


class Lease:
    """The lease in a directory, which exists while it is held."""

    def __init__(self, directory: str = DEFAULT_DIRECTORY) -> None:
        self._directory = directory

    def acquire(self, holder: Holder, replaced: str = "") -> t.Optional[Held]:
        """Take the lease for a run, or tell who else has it.

        replaced: identity of a holder that is known to be dead, whose lease ends with this.
        """
        while True:
            with contextlib.suppress(FileNotFoundError), self._locked():
                if replaced:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self._path(replaced))
                held = self.held_by_another(holder.identity)
                if held is None:
                    self._write(holder)
                return held

    def held_by_another(self, identity: str = "") -> t.Optional[Held]:
        """Who has it, other than the run with this identity. What was not written to its end holds nothing."""
        for name in self._names():
            path = os.path.join(self._directory, name)
            if not name.endswith(SUFFIX) or name == identity + SUFFIX:
                continue
            with contextlib.suppress(FileNotFoundError, ValueError, ClusterError), open(
                path, encoding="utf-8"
            ) as stream:
                renewed = time.time() - os.fstat(stream.fileno()).st_mtime
                return Held(Holder.from_json(json.load(stream)), max(0.0, renewed))
        return None

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[None]:
        """Keep others from the directory. Raises FileNotFoundError where it went, with the last lease, meanwhile."""
        os.makedirs(os.path.dirname(self._directory), mode=0o755, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._directory, 0o755)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _names(self) -> t.List[str]:
        try:
            return sorted(os.listdir(self._directory))
        except FileNotFoundError:
            return []

    def _write(self, holder: Holder) -> None:
        path = self._path(holder.identity)
        fresh = path + ".new"
        with open(fresh, "w", encoding="utf-8") as stream:
            json.dump(holder.to_json(), stream)
        os.replace(fresh, path)

    def _path(self, identity: str) -> str:
        return os.path.join(self._directory, identity + SUFFIX)


def renew_command(directory: str, identity: str) -> str:
    """What a shell on the host runs to renew a lease. It brings none back that somebody else has replaced."""
    return f"touch -c {shlex.quote(os.path.join(directory, identity + SUFFIX))}"


def release_command(directory: str, identity: str) -> str:
    """What a shell on the host runs to end a lease, and the directory with the last one."""
    return (
        f"rm -f {shlex.quote(os.path.join(directory, identity + SUFFIX))};"
        f" rmdir {shlex.quote(directory)} 2>/dev/null || true"
    )
