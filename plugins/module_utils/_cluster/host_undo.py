# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing back what was there before, record by record; what others changed since is left alone and told.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    foreign,
    host_accounts,
    host_blocks,
    host_files,
    host_sysctl,
    host_units,
    links,
    mounts,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Change, Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_files import Node
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_items import told
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal, Record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.processes import Processes
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tree_removal import remove_tree

# What containerd mounts while it unpacks an image and for pods, and leaves when it is killed.
_CONTAINERD = re.compile(
    r".*/(tmpmounts/containerd-mount[0-9]+|io\.containerd\.(runtime\.v2\.task/k8s\.io|grpc\.v1\.cri/sandboxes)/.+/.+)"
)

Undo = t.Callable[[Host, Record], t.Optional[Change]]


def undo(host: Host, journal: Journal, owner: str, record: Record) -> t.Optional[Change]:
    """Undo one record (in check mode: tell what undoing it would change)."""
    heir = next((other for _name, other in journal.others(owner) if other.key == record.key), None)
    if heir is not None:
        heir.written = sorted({*heir.written, *record.written})
        return None
    if record.kind == host_files.DIRECTORY:
        return _undo_directory(host, record, journal, owner)
    if record.kind == host_files.STATE:
        return _undo_state(host, record, journal, owner)
    return _UNDO[record.kind](host, record)


def _undo_path(host: Host, record: Record) -> t.Optional[Change]:
    path = host.at(record.name)
    now, before = host_files.look(path), Node.from_json(record.before)
    if not host.check:
        host_files.remove(host_files.fresh_name(path))
    if now.same(before):
        _note_gone(host, record, before)
        if now.mark in record.written and not host.check:
            host_files.place(path, before, keep_time=True)
        return None
    if now.mark not in record.written:
        what = "was removed" if now.kind == host_files.ABSENT else "was changed"
        host.warn(f"{record.name} {what} by others since, and is left as it is")
        return None
    _note_gone(host, record, before)
    if not host.check:
        host_files.place(path, before, keep_time=True)
    hidden = "content not shown" if now.kind == host_files.FILE and now.mode & 0o007 == 0 else ""
    return Change(
        told(record.name, now, hidden), told(record.name, before, hidden and "previous content, not shown"), record.name
    )


def _note_gone(host: Host, record: Record, before: Node) -> None:
    host.gone.add(host_files.fresh_name(record.name))
    if before.kind == host_files.ABSENT:
        host.gone.add(record.name)


def _undo_directory(host: Host, record: Record, journal: Journal, owner: str) -> t.Optional[Change]:
    path = host.at(record.name)
    now, before = host_files.look(path), Node.from_json(record.before)
    if now.kind != host_files.DIRECTORY:
        return None
    if before.kind == host_files.DIRECTORY:
        if now.mode == before.mode or f"mode:{now.mode:04o}" not in record.written:
            return None
        if not host.check:
            os.chmod(path, before.mode)
        return Change(told(record.name, now), told(record.name, before))
    left = [name for name in host_files.listed(path) if os.path.join(record.name, name) not in host.gone]
    if left:
        _leave(host, record, journal, owner, left)
        return None
    host.gone.add(record.name)
    if not host.check:
        os.rmdir(path)
    return Change(told(record.name, now), "")


def _leave(host: Host, record: Record, journal: Journal, owner: str, left: t.List[str]) -> None:
    below = record.name + "/"
    heir = next((name for name, other in journal.others(owner) if f"{other.name}/".startswith(below)), None)
    if heir is None:
        host.warn(f"directory {record.name} is left: others keep {', '.join(left[:5])} in it")
    elif not host.check:
        journal.hand_over(heir, record)


def _undo_state(host: Host, record: Record, journal: Journal, owner: str) -> t.Optional[Change]:
    path = host.at(record.name)
    now, before = host_files.look(path), Node.from_json(record.before)
    if now.kind != host_files.DIRECTORY:
        return None
    place = os.path.realpath(path)
    found = mounts.below(mounts.read(), place)
    mounted = any(mount.point == place for mount in found)
    why = _why_left(place, mounted and not record.before.get("mounted"), journal)
    if why:
        host.warn(f"directory {record.name} is left: {why}")
        return None
    whole = before.kind == host_files.ABSENT
    names = [name for name in host_files.listed(path) if name != "lost+found" or (whole and not mounted)]
    if not names and not whole and now.same(before):
        return None
    ours = [mount for mount in found if _CONTAINERD.fullmatch(mount.point)]
    kept = foreign.foreign_mounts(place, found, ours, [place])
    needed = [other.name for _name, other in journal.others(owner) if other.name.startswith(record.name + "/")]
    if not host.check:
        stays = {*(one.what for one in kept), *(place + name[len(record.name) :] for name in needed)}
        kept += _empty(host, place, names, stays, ours)
        _restore(path, before, bool(kept or needed))
    for one in kept:
        host.warn(f"{one.what} is left: {one.why}")
    directory = Record(host_files.DIRECTORY, record.name, record.before)
    if whole and needed:
        if not any(other.key == directory.key for _name, other in journal.others(owner)):
            _leave(host, directory, journal, owner, needed)
    elif whole and not kept:
        host.gone.add(record.name)
    return Change(f"directory {record.name} with its data", "" if whole else told(record.name, before))


def _why_left(place: str, covered: bool, journal: Journal) -> str:
    """Why nothing in a directory of ours can be told from what is somebody else's; nothing if it can."""
    if covered:
        return "something was mounted there since"
    records = [record for owner in journal.owners for record in journal.records(owner)]
    units = {record.name for record in records if record.kind == host_units.KIND}
    sockets = foreign.foreign_sockets([place], lambda: Processes(units))
    return f"others use it, too: {sockets[0]}" if sockets else ""


def _empty(
    host: Host, place: str, names: t.Sequence[str], stays: t.Collection[str], ours: t.Sequence[mounts.Mount]
) -> t.List[foreign.Kept]:
    """Remove what is in a directory; returns what was come across that is not ours."""
    for mount in ours:
        mounts.unmount(host.run, mount.point)
    paths = (os.path.join(place, name) for name in names)
    met = [one for path in paths if path not in stays for one in remove_tree(path, stays)]
    return [foreign.Kept(path, "another file system is there") for path in met]


def _restore(path: str, before: Node, used: bool) -> None:
    """Bring the directory itself back to what it was, as far as others let it go."""
    if before.kind == host_files.DIRECTORY:
        os.chown(path, before.uid, before.gid)
        os.chmod(path, before.mode)
    elif not used:
        os.rmdir(path)


def _undo_sysctl(host: Host, record: Record) -> t.Optional[Change]:
    now, before = host_sysctl.read(host, record.name), record.before.get("value")
    if now is None or before is None or now == before:
        return None
    if now not in record.written:
        host.warn(f"kernel parameter {record.name} was set to {now!r} by others since, and is left so")
        return None
    forwards = now == "1" and host_sysctl.forwards(record.name)
    later = [
        name for name in (links.forwarders(host.run) if forwards else ()) if name not in record.before.get("links", ())
    ]
    if later:
        host.warn(f"kernel parameter {record.name} stays {now}: {later[0]} came later, and needs it")
        return None
    if not host.check:
        host_sysctl.write(host, record.name, before)
    return Change(f"sysctl {record.name} = {now}", f"sysctl {record.name} = {before}")


def _undo_module(host: Host, record: Record) -> t.Optional[Change]:
    if not os.path.isdir(host.at("/sys/module/" + record.name.replace("-", "_"))):
        return None
    if not host.check:
        stays = host_sysctl.unload_module(host, record.name)
        if stays is not None:
            host.warn(stays)
            return None
    return Change(f"kernel module {record.name} loaded", "")


_UNDO: t.Dict[str, Undo] = {
    host_files.FILE: _undo_path,
    host_files.LINK: _undo_path,
    "sysctl": _undo_sysctl,
    "module": _undo_module,
    host_blocks.BLOCK: host_blocks.undo_block,
    host_accounts.USER: host_accounts.undo_user,
    host_accounts.OWNED: host_accounts.undo_owned,
}
