# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is mounted on a host, which mounts are the node's, and unmounting them.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import shlex
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import Traces
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

MOUNTINFO = "/proc/self/mountinfo"
NAMESPACE = re.compile(r"/run/netns/cni-[0-9a-f]+(-[0-9a-f]+){4}")
_ESCAPED = re.compile(r"\\([0-7]{3})")
# A pod's UID: of a static pod it is a hash.
_POD = r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}"
_KUBELET = r"/(pods/" + _POD + r"/(volumes|volume-subpaths|volumeDevices|plugins)|plugins)/.+"
# What containerd mounts in its data: by snapshotters, and while it unpacks an image.
_DATA = r"/(.+/)?(tmpmounts/containerd-mount[0-9]+|io\.containerd\.snapshotter\.v1\.[^/]+/.+)"
_CONTAINERD = r"/io\.containerd\.(runtime\.v2\.task/k8s\.io|grpc\.v1\.cri/sandboxes)/(?P<container>[^/]+)/.+"


class Mount(t.NamedTuple):
    """A line of mountinfo (proc_pid_mountinfo(5)); root: what of the file system is mounted."""

    root: str
    point: str
    kind: str
    source: str

    @property
    def described(self) -> str:
        return f"{self.kind} of {self.source}"


def parse(mountinfo: str) -> t.List[Mount]:
    """All mounts, in the order in which one covers another."""
    found = []
    for line in mountinfo.splitlines():
        head, dash, tail = line.partition(" - ")
        words, kinds = head.split(" "), tail.split(" ")
        if dash and len(words) > 4 and len(kinds) > 1:
            found.append(Mount(_unescaped(words[3]), _unescaped(words[4]), kinds[0], _unescaped(kinds[1])))
    return found


def read(path: str = MOUNTINFO) -> t.List[Mount]:
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return parse(stream.read())


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), text)


def of_node(found: t.Iterable[Mount], traces: Traces, before: t.Collection[str] = ()) -> t.List[Mount]:
    """Those that the kubelet, containerd and the CNI made, the deepest first; not those that were there before."""
    patterns = [
        re.compile(re.escape(os.path.realpath(traces.kubelet)) + _KUBELET),
        re.compile(re.escape(traces.containerd) + _CONTAINERD),
        NAMESPACE,
        *(re.compile(re.escape(os.path.realpath(path)) + _DATA) for path in traces.own),
    ]
    ours = [
        mount
        for mount in found
        if mount.point not in before and any(pattern.fullmatch(mount.point) for pattern in patterns)
    ]
    return sorted(ours, key=lambda mount: (-mount.point.count("/"), mount.point))


def container_of(point: str, traces: Traces) -> str:
    """The container whose mount it is; nothing for other mounts."""
    found = re.fullmatch(re.escape(traces.containerd) + _CONTAINERD, point)
    return found["container"] if found else ""


def below(found: t.Iterable[Mount], directory: str) -> t.List[Mount]:
    """Those at a directory, whose path is a real one, and below it."""
    return [mount for mount in found if mount.point == directory or mount.point.startswith(f"{directory}/")]


def unmount(run: Runner, point: str) -> None:
    """Unmount, and let go lazily of what is still in use; the file under a network namespace goes too."""
    if run(["umount", point]).rc != 0:
        before = _count(point)
        done = run(["umount", "--lazy", point])
        if done.rc != 0 and before and _count(point) >= before:
            raise ClusterError(f"{point} cannot be unmounted", why=done.output)
    if NAMESPACE.fullmatch(point) and not _count(point) and os.path.lexists(point):
        os.unlink(point)


def _count(point: str) -> int:
    return sum(mount.point == point for mount in read())


def without_directories(
    command: t.Sequence[str], directories: t.Sequence[str], found: t.Sequence[Mount]
) -> t.Tuple[t.List[str], str]:
    """A program, and what it reads from standard input, that runs a command where it can harm no directory.

    The command sees empty directories in place of these, and nothing of what is mounted in them: it has a mount
    namespace of its own, from which nothing comes back.
    """
    points = [mount.point for directory in directories for mount in below(found, os.path.realpath(directory))]
    inner = [point for point in points if point not in map(os.path.realpath, directories)]
    lines = [["umount", "--lazy", "--no-canonicalize", point] for point in sorted(inner, key=_deepest_first)]
    lines += [["mount", "-t", "tmpfs", "tmpfs", directory] for directory in directories if os.path.isdir(directory)]
    script = "".join(f"{_quoted(line)} || exit\n" for line in lines) + f"exec {_quoted(command)}\n"
    return ["unshare", "--mount", "--propagation", "private", "sh"], script


def _deepest_first(point: str) -> t.Tuple[int, str]:
    return -point.count("/"), point


def _quoted(words: t.Sequence[str]) -> str:
    return " ".join(map(shlex.quote, words))
