# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and directories that a node of Kubernetes leaves behind.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import errno
import glob
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.cni import DEFAULT_NETWORK
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.foreign import Kept
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.record import Before
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import KUBEADM

# Containers are called so: another network's name may begin like one of the pods'.
_CONTAINER = "[0-9a-f]" * 64
# What a network of pods leaves in directories that others use, too.
SHARED = {
    "/var/lib/cni": (
        "networks/{network}",
        "flannel",
        f"results/{{network}}-{_CONTAINER}-*",
        f"results/cni-loopback-{_CONTAINER}-*",
        f"cache/results/{{network}}-{_CONTAINER}-*",
    ),
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
_NOT_EMPTY = (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST)


class Left(t.NamedTuple):
    """Paths to be removed with all that is in them, and directories that are empty then; what stays, and why."""

    paths: t.Sequence[str] = ()
    husks: t.Sequence[str] = ()
    kept: t.Sequence[Kept] = ()


def left_paths(
    before: Before,
    kept: t.Collection[str] = (),
    *,
    mounted: t.Collection[str] = (),
    extra: t.Sequence[str] = (),
    own: t.Sequence[str] = KUBEADM.own,
    networks: t.Collection[str] = (DEFAULT_NETWORK,),
    root: str = "",
) -> Left:
    """What is to be removed, given what each directory held before; directories stand after what is in them.

    kept: real paths that stay, with the directories above them; mounted: all mount points; extra: single files; own:
    directories of the node alone; networks: those of its pods; root: where the host's paths are really.
    """
    links = [Kept(path, why) for path in own for why in [_why_not_followed(path, before, root)] if why]
    followed = [path for path in own if path not in [link.what for link in links]]
    found = [path for directory in followed for path in _own(directory, before, kept, root)]
    single = [*_shared(networks, root), *(path for path in extra if os.path.lexists(root + path))]
    found += [path for path in single if not _was_there(before, path)]
    # An own directory may be an entry of another one.
    paths = list(dict.fromkeys(part for path in found for part in _free(path, kept, root)))
    return Left(paths, _husks(before, paths, mounted, root), links)


def _why_not_followed(directory: str, before: Before, root: str) -> str:
    """Why a directory of the node stays with all that is in it: it is a link, and was none when the node came."""
    if not os.path.islink(root + directory):
        return ""
    place = _below(os.path.realpath(root + directory), root)
    if before.resolved.get(directory) == place:
        return ""
    return f"it leads to {place} since, and nothing is known of what there is the node's; remove that by hand"


def _own(directory: str, before: Before, kept: t.Collection[str], root: str) -> t.List[str]:
    if not os.path.isdir(root + directory) or os.path.realpath(root + directory) in kept:
        return []
    held = before.directories.get(directory)
    entries = [f"{directory}/{name}" for name in sorted(os.listdir(root + directory)) if name not in (held or ())]
    return [*entries, *([directory] if held is None else [])]


def _shared(networks: t.Iterable[str], root: str) -> t.Iterator[str]:
    for directory, patterns in SHARED.items():
        for pattern in patterns:
            for network in networks:
                whole = f"{glob.escape(root)}{directory}/{pattern.format(network=glob.escape(network))}"
                yield from sorted(_below(path, root) for path in glob.glob(whole))


def _free(path: str, kept: t.Collection[str], root: str) -> t.List[str]:
    """The path itself if nothing in it stays, else what in it can go."""
    above, name = os.path.split(root + path)
    found, todo = [], [(path, os.path.join(os.path.realpath(above), name))]
    while todo:
        one, real = todo.pop()
        if any(stays.startswith(f"{real}/") for stays in kept):
            names = sorted(os.listdir(real), reverse=True)
            todo += [(f"{one}/{name}", f"{real}/{name}") for name in names]
        elif real not in kept:
            found.append(one)
    return found


def _husks(before: Before, leaving: t.Collection[str], mounted: t.Collection[str], root: str) -> t.List[str]:
    gone: t.List[str] = []
    for directory in HUSKS:
        path = root + directory
        if not os.path.isdir(path) or os.path.islink(path) or os.path.realpath(path) in mounted:
            continue
        left = {f"{directory}/{name}" for name in os.listdir(path)} - {*leaving, *gone}
        if not left and not _was_there(before, directory):
            gone.append(directory)
    return gone


def _was_there(before: Before, path: str) -> bool:
    directory, name = os.path.split(path)
    return path in before.directories or name in before.directories.get(directory, ())


def _below(path: str, root: str) -> str:
    return path[len(root) :]


def remove_empty(directory: str) -> None:
    """Remove a directory, unless it has something in it, or is gone already."""
    try:
        os.rmdir(directory)
    except OSError as error:
        if error.errno not in _NOT_EMPTY:
            raise
