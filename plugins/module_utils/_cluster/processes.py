# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The processes and control groups of a host: which ones are the node's.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import signal
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import mounts
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tree_removal import remove_tree

PROC = "/proc"
CGROUPS = "/sys/fs/cgroup"
PODS_SLICE = "kubepods.slice"
_PODS = ("kubepods", PODS_SLICE)
_KINDS = ("cgroup", "cgroup2")


class Process(t.NamedTuple):
    """A process: its parent, its name (at most 15 bytes), and its control group in each hierarchy."""

    number: int
    parent: int
    name: str
    groups: t.Sequence[str]


def hierarchies(found: t.Iterable[mounts.Mount]) -> t.List[mounts.Mount]:
    """The hierarchies of control groups, as this host sees them; where it is a container, not from their roots on."""
    return [mount for mount in mounts.below(found, CGROUPS) if mount.kind in _KINDS]


def roots(proc: str) -> t.Set[str]:
    """Where the host's own control groups begin: a container may see its own below those of the machine."""
    return {"/", *(mount.root for mount in hierarchies(mounts.read(f"{proc}/self/mountinfo")))}


def is_of_pods(group: str, beginnings: t.Iterable[str]) -> bool:
    """Whether a control group is of the host's own pods.

    Containers and virtual machines have pods, too, but further down: `/docker/<id>/kubepods`, `/lxc/<name>/kubepods`.
    """
    return any(names[0] in _PODS for names in _relative(group, beginnings))


def is_of_unit(group: str, units: t.Collection[str], beginnings: t.Iterable[str]) -> bool:
    """Whether a control group is of one of these services of the host's own systemd, and of none in a container."""
    outermost = (
        next((name for name in names if not name.endswith(".slice")), "") for names in _relative(group, beginnings)
    )
    return any(name in units for name in outermost)


def _relative(group: str, beginnings: t.Iterable[str]) -> t.Iterator[t.List[str]]:
    for root in beginnings:
        above = root.rstrip("/") + "/"
        if group.startswith(above):
            yield group[len(above) :].split("/")


class Processes:
    """All processes at one moment, and which of them are the node's.

    units: the node's services; directories: those of the node's own programs.
    """

    def __init__(self, units: t.Collection[str], directories: t.Sequence[str] = (), proc: str = "") -> None:
        self.proc = proc or PROC
        self._units = units
        self._programs = tuple(f"{directory}/" for directory in directories)
        self._files = self.namespace("self", "mnt")
        self._roots = roots(self.proc)
        self.all = {process.number: process for process in map(self._read, self._numbers()) if process is not None}
        self._ours = {number for number in self.all if self._is_ours(number)}

    def _numbers(self) -> t.List[int]:
        return sorted(int(name) for name in os.listdir(self.proc) if name.isdigit())

    def _read(self, number: int) -> t.Optional[Process]:
        try:
            status, groups = (self._text(number, name) for name in ("stat", "cgroup"))
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name stands in brackets, and may have any byte in it.
        head, _bracket, tail = status.rpartition(")")
        found = [line.split(":", 2)[2] for line in groups.splitlines() if line.count(":") > 1]
        return Process(number, int(tail.split()[1]), head.partition("(")[2], found)

    def _text(self, number: int, name: str) -> str:
        with open(f"{self.proc}/{number}/{name}", encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()

    def _is_ours(self, number: int) -> bool:
        """Whether it, or a process that it descends from, is in a control group of the node or a program of its own.

        A kubelet may have put itself into another control group, and a container may have programs with such paths.
        """
        seen: t.Set[int] = set()
        while number in self.all and number not in seen:
            seen.add(number)
            process = self.all[number]
            if any(self._is_of_node(group) for group in process.groups):
                return True
            if self.program(number).startswith(self._programs) and self.namespace(number, "mnt") == self._files:
                return True
            number = process.parent
        return False

    def _is_of_node(self, group: str) -> bool:
        return is_of_pods(group, self._roots) or is_of_unit(group, self._units, self._roots)

    def of_node(self) -> t.List[int]:
        """Processes of pods, and what these services started."""
        return sorted(self._ours)

    def others(self) -> t.List[Process]:
        """All processes that are not the node's."""
        return [process for number, process in self.all.items() if number not in self._ours]

    def described(self, number: int) -> str:
        process = self.all[number]
        groups = [group for group in process.groups if group != "/"]
        place = f" in {max(groups, key=len)}" if groups else ""
        return f"{process.name} (process {number}{place})"

    def program(self, number: int) -> str:
        """The path of what a process runs, in the files that it sees; empty where that cannot be told."""
        try:
            return os.readlink(f"{self.proc}/{number}/exe")
        except OSError:
            return ""

    def namespace(self, number: t.Union[int, str], kind: str) -> t.Optional[int]:
        """The number of a namespace of a process, which may be `self` (namespaces(7)); None where it is gone."""
        try:
            return os.stat(f"{self.proc}/{number}/ns/{kind}").st_ino
        except OSError:
            return None


def end_processes(units: t.Collection[str], directories: t.Sequence[str], seconds: float = 10) -> None:
    """Kill the node's processes and wait until they are gone."""
    end = time.monotonic() + seconds
    while True:
        left = Processes(units, directories).of_node()
        if not left or time.monotonic() >= end:
            return
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.2)


def pods_cgroups(found: t.Sequence[mounts.Mount], before: t.Collection[str] = ()) -> t.List[str]:
    """The topmost control groups of the host's own pods, in each hierarchy once; not those that were there before."""
    places = {CGROUPS, *(mount.point for mount in hierarchies(found))}
    paths = {os.path.realpath(f"{place}/{name}") for place in places for name in _PODS}
    return sorted(path for path in paths if os.path.isdir(path) and path not in before)


def remove_cgroup(path: str) -> None:
    """Remove a cgroup with those below it; all have to be without processes."""
    remove_tree(path, files=False)
