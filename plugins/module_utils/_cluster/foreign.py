# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of others is where a node is to be removed: mounts, sockets that somebody listens at, other nodes.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import mounts
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.processes import PROC, Process, Processes
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_OWN_PROGRAMS = "/var/lib/sealer/"
_KUBELETS = frozenset({"kubelet", "kubelite", "k3s-agent", "k3s-server"})
# By what names chains and links begin that such a program makes in the network namespace where it runs.
_AGENTS = {
    "KUBE-": _KUBELETS | {"kube-proxy", "kube-router"},
    "FLANNEL-": frozenset({"flanneld", "kubelite", "k3s-agent", "k3s-server"}),
}


class Kept(t.NamedTuple):
    """Something that stays though it is where the node is, and why."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


def foreign_mounts(
    directory: str, found: t.Iterable[mounts.Mount], ours: t.Collection[mounts.Mount], before: t.Collection[str]
) -> t.List[Kept]:
    """Mounts of others in a directory, whose path is a real one.

    ours: mounts that go; before: what was a mount point before, so that what is in it may be the node's where it is the
    directory itself.
    """
    return [
        Kept(mount.point, f"{mount.described} is mounted there, and not by the node")
        for mount in dict.fromkeys(mounts.below(found, directory))
        if mount not in ours and not (mount.point == directory and mount.point in before)
    ]


def foreign_sockets(directories: t.Sequence[str], look: t.Callable[[], Processes]) -> t.List[Kept]:
    """Sockets in these directories, whose paths are real ones, that processes of others have open.

    look: gives the processes, which is slow, and needed only where there are sockets.
    """
    inodes = dict(_bound(directories, f"{PROC}/self/net/unix"))
    if not inodes:
        return []
    processes, kept = look(), {}
    for process in processes.others():
        for inode in _opened(processes, process.number) & set(inodes):
            path = inodes[inode]
            if path not in kept and _same_file(f"{processes.proc}/{process.number}/root{path}", path):
                kept[path] = Kept(path, f"{processes.described(process.number)} listens there")
    return [kept[path] for path in sorted(kept)]


def _bound(directories: t.Sequence[str], table: str) -> t.Iterator[t.Tuple[str, str]]:
    """Inode and path of the sockets that have a path there."""
    with open(table, encoding="utf-8", errors="surrogateescape") as stream:
        lines = stream.read().splitlines()[1:]
    for line in lines:
        words = line.split(None, 7)
        if len(words) > 7 and words[7].startswith("/"):
            above, name = os.path.split(words[7])
            path = os.path.join(os.path.realpath(above), name)
            if any(path.startswith(f"{directory}/") for directory in directories):
                yield words[6], path


def _opened(processes: Processes, number: int) -> t.Set[str]:
    """Inodes of the sockets that a process has open."""
    directory = f"{processes.proc}/{number}/fd"
    found = set()
    try:
        for name in os.listdir(directory):
            target = os.readlink(f"{directory}/{name}")
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except OSError:
        return found
    return found


def _same_file(path: str, other: str) -> bool:
    """A container's path may read like one of the host's."""
    try:
        return os.path.samestat(os.stat(path), os.stat(other))
    except OSError:
        return False


def agents(processes: Processes) -> t.Dict[str, str]:
    """Programs of other nodes that run in this network namespace: what they make begins with this, and which it is."""
    return {
        prefix: f"{processes.described(process.number)} may have made it"
        for prefix, names in _AGENTS.items()
        for process in _running(names, processes, "net")
    }


def _running(names: t.Collection[str], processes: Processes, kind: str) -> t.Iterator[Process]:
    """Processes of others with one of these names that share a namespace of this kind with this process."""
    here = processes.namespace("self", kind)
    for process in processes.others():
        if process.name in names and here is not None and processes.namespace(process.number, kind) == here:
            yield process


def in_namespace(path: str, processes: Processes) -> t.Optional[Process]:
    """A process of others in the network namespace that is mounted at a path."""
    try:
        number = os.stat(path).st_ino
    except OSError:
        return None
    others = (process for process in processes.others() if processes.namespace(process.number, "net") == number)
    return next(others, None)


def refuse_other_node(processes: Processes, record: str) -> None:
    """Raise ClusterError where the host is at the same time a node of somebody else's.

    record: the file that tells what the host was like before it became ours.
    """
    for process in _running(_KUBELETS, processes, "mnt"):
        if processes.program(process.number).startswith(_OWN_PROGRAMS):
            continue
        raise ClusterError(
            "another node of Kubernetes runs on this host, and what is whose cannot be told apart",
            why=f"{processes.described(process.number)} is none of this collection's",
            fix=f"Remove that node first. Or, if nothing on this host is this collection's any more, remove {record}",
        )
