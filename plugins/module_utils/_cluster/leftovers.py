# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files, directories and cgroups that a node of Kubernetes leaves behind.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import KUBEADM

# Directories that belong to the node alone: what was not in them before goes, however it is called.
SHARED = {
    "/var/lib/cni": ("networks/cbr0", "flannel", "results/cbr0-*", "results/cni-loopback-*", "cache/results/cbr0-*"),
}
# Directories that go when they are empty and were not there before. Children stand before their parents.
HUSKS = (
    "/etc/cni/net.d",
    "/etc/cni",
    "/lib/modules",
    "/run/netns",
    "/var/lib/cni/networks",
    "/var/lib/cni/results",
    "/var/lib/cni/cache/results",
    "/var/lib/cni/cache",
    "/var/lib/cni",
)
_CGROUPS = ("/sys/fs/cgroup/kubepods*", "/sys/fs/cgroup/*/kubepods*")


def left_paths(
    before: t.Mapping[str, t.Sequence[str]],
    *,
    mounted: t.Collection[str],
    extra: t.Sequence[str] = (),
    own: t.Sequence[str] = KUBEADM.own,
    root: str = "",
) -> t.List[str]:
    """What is to be removed, given what each directory held before; directories stand after what is in them."""
    found: t.List[str] = []
    for directory in own:
        found += _own(directory, before.get(directory), mounted, root)
    for directory, patterns in SHARED.items():
        for pattern in patterns:
            found += sorted(_below(path, root) for path in glob.glob(f"{root}{directory}/{pattern}"))
    found += [path for path in extra if os.path.lexists(root + path) and not _was_there(before, path)]
    # An own directory may be an entry of another one.
    return list(dict.fromkeys(found + _husks(before, found, root)))


def _own(directory: str, kept: t.Optional[t.Sequence[str]], mounted: t.Collection[str], root: str) -> t.List[str]:
    if not os.path.isdir(root + directory):
        return []
    entries = [f"{directory}/{name}" for name in sorted(os.listdir(root + directory)) if name not in (kept or ())]
    gone = kept is None and directory not in mounted
    return [*(entry for entry in entries if entry not in mounted), *([directory] if gone else [])]


def _husks(before: t.Mapping[str, t.Sequence[str]], leaving: t.Sequence[str], root: str) -> t.List[str]:
    gone = list(leaving)
    for directory in HUSKS:
        if os.path.isdir(root + directory) and not _was_there(before, directory):
            left = {f"{directory}/{name}" for name in os.listdir(root + directory)} - set(gone)
            if not left:
                gone.append(directory)
    return gone[len(leaving) :]


def _was_there(before: t.Mapping[str, t.Sequence[str]], path: str) -> bool:
    directory, name = os.path.split(path)
    return path in before or name in before.get(directory, ())


def _below(path: str, root: str) -> str:
    return path[len(root) :]


def remove_path(path: str) -> None:
    """Remove a file or a whole directory, which may be gone already."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def remove_empty(directory: str) -> None:
    """Remove a directory, unless it has something in it, or is gone already."""
    if os.path.isdir(directory) and not os.listdir(directory):
        os.rmdir(directory)


def left_cgroups(patterns: t.Sequence[str] = _CGROUPS) -> t.List[str]:
    """The topmost cgroups of pods, in each hierarchy once."""
    return sorted(
        {os.path.realpath(path) for pattern in patterns for path in glob.glob(pattern) if os.path.isdir(path)}
    )


def remove_cgroup(path: str) -> None:
    """Remove a cgroup with those below it; all have to be without processes."""
    for directory, _children, _files in os.walk(path, topdown=False):
        os.rmdir(directory)


def left_processes(units: t.Sequence[str], proc: str = "/proc") -> t.List[int]:
    """Processes of pods, and what these services left running when they were stopped."""
    marks = ("/kubepods", *(f"/{unit}" for unit in units))
    found = []
    for name in filter(str.isdigit, os.listdir(proc)):
        try:
            with open(f"{proc}/{name}/cgroup", encoding="ascii") as stream:
                groups = stream.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(mark in groups for mark in marks):
            found.append(int(name))
    return sorted(found)


def end_processes(units: t.Sequence[str], seconds: float = 10) -> None:
    """Kill them and wait until they are gone."""
    end = time.monotonic() + seconds
    while True:
        left = left_processes(units)
        if not left or time.monotonic() >= end:
            return
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.2)
