# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease of a cluster: a run holds it while it changes the cluster, and shows that it is alive by renewing it.

A lease is a file in a directory of its own on a host, named by its holder. Its time of modification says when it was
renewed, in seconds since the host's kernel started: no step of a clock ends a lease or keeps one. A host that starts
again has none, as the directory lies in memory.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

DEFAULT_DIRECTORY = "/run/sealer-lease"
SUFFIX = ".json"
UNFINISHED = ".new"
# What a renewal exits with where another run has the lease instead. Shells, sudo and SSH have other numbers.
REPLACED = 66


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
    """A lease that somebody else holds. renewed: how many seconds ago."""

    holder: Holder
    renewed: float


class Lease:
    """The lease in a directory, which exists while it is held."""

    def __init__(self, directory: str = DEFAULT_DIRECTORY) -> None:
        self._directory = directory

    def acquire(self, holder: Holder, replaced: str = "", duration: float = 0) -> t.Optional[Held]:
        """Take the lease for a run, or tell who else has it. Raises ClusterError where this user may not.

        replaced: identity of a holder that is taken for dead, whose lease ends with this, unless it was renewed within
        the last seconds of this duration.
        """
        while True:
            with contextlib.suppress(FileNotFoundError), self._locked():
                self._remove_unfinished()
                held = self.held_by_another(holder.identity)
                if held is not None and held.holder.identity == replaced and held.renewed >= duration:
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
                now, renewed = _seconds_since_start(), os.fstat(stream.fileno()).st_mtime
                # No run set a time that is yet to come.
                return Held(Holder.from_json(json.load(stream)), now - renewed if renewed <= now else now)
        return None

    @contextlib.contextmanager
    def _locked(self) -> t.Iterator[None]:
        """Keep others from the directory. Raises FileNotFoundError where it went, with the last lease, meanwhile."""
        try:
            with contextlib.suppress(FileExistsError):
                os.makedirs(self._directory, mode=0o755)
        except PermissionError as error:
            raise ClusterError(
                "the lease of the cluster cannot be taken",
                where=self._directory,
                why=error.strerror or "permission denied",
                fix="Log in as root, or let Ansible become root: become=true",
            ) from error
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

    def _remove_unfinished(self) -> None:
        """Files of writers that were killed. Whoever writes has the lock."""
        for name in self._names():
            if name.endswith(UNFINISHED):
                os.unlink(os.path.join(self._directory, name))

    def _write(self, holder: Holder) -> None:
        path = self._path(holder.identity)
        fresh = path + UNFINISHED
        with open(fresh, "w", encoding="utf-8") as stream:
            json.dump(holder.to_json(), stream)
        os.utime(fresh, (_seconds_since_start(),) * 2)
        os.replace(fresh, path)

    def _path(self, identity: str) -> str:
        return os.path.join(self._directory, identity + SUFFIX)


def _seconds_since_start() -> float:
    """What a shell reads, too: containers may be told of their own start, and system calls of the kernel's."""
    with open("/proc/uptime", encoding="ascii") as stream:
        return float(stream.read().split()[0])


def renew_command(directory: str, identity: str) -> str:
    """What a shell on the host runs to renew a lease. It exits with REPLACED where another run has the lease instead.

    It brings none back that has ended.
    """
    path, others = shlex.quote(os.path.join(directory, identity + SUFFIX)), f"{shlex.quote(directory)}/*{SUFFIX}"
    renewed = f"read -r uptime idle </proc/uptime && touch -c -d @$uptime {path}"
    return f"{renewed} && {{ test -e {path} || ! ls {others} >/dev/null 2>&1 || exit {REPLACED}; }}"


def release_command(directory: str, identity: str) -> str:
    """What a shell on the host runs to end a lease, and the directory with the last one."""
    return (
        f"rm -f {shlex.quote(os.path.join(directory, identity + SUFFIX))};"
        f" rmdir {shlex.quote(directory)} 2>/dev/null || true"
    )
