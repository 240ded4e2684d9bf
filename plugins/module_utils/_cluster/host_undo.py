# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing back what was there before, record by record; what others changed since is left alone and told.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import shutil
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    host_accounts,
    host_blocks,
    host_files,
    host_sysctl,
    links,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Change, Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_files import Node
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_items import told
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal, Record
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

Undo = t.Callable[[Host, Record], t.Optional[Change]]


def undo(host: Host, journal: Journal, owner: str, record: Record) -> t.Optional[Change]:
    """Undo one record (in check mode: tell what undoing it would change)."""
    heir = next((other for _name, other in journal.others(owner) if other.key == record.key), None)
    if heir is not None:
        heir.written = sorted({*heir.written, *record.written})
        return None
    if record.kind == host_files.DIRECTORY:
        return _undo_directory(host, record, journal, owner)
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
    heir = next((name for name, other in journal.others(owner) if other.name.startswith(below)), None)
    if heir is None:
        host.warn(f"directory {record.name} is left: others keep {', '.join(left[:5])} in it")
    elif not host.check:
        journal.hand_over(heir, record)


def _undo_state(host: Host, record: Record) -> t.Optional[Change]:
    path = host.at(record.name)
    now, before = host_files.look(path), Node.from_json(record.before)
    if now.kind != host_files.DIRECTORY:
        return None
    whole = before.kind == host_files.ABSENT
    names = [name for name in host_files.listed(path) if name != "lost+found" or whole]
    if not names and not whole and now.same(before):
        return None
    if whole:
        host.gone.add(record.name)
    if not host.check:
        empty(host, record.name)
        if whole:
            _remove_unless_mounted(host, path)
        else:
            os.chown(path, before.uid, before.gid)
            os.chmod(path, before.mode)
    return Change(f"directory {record.name} with its data", "" if whole else told(record.name, before))


def _remove_unless_mounted(host: Host, path: str) -> None:
    if os.path.ismount(path):
        host.warn(f"{path} is a mount point and is only emptied")
    else:
        os.rmdir(path)


def empty(host: Host, name: str) -> None:
    """Remove all that is in a directory; what is mounted below is unmounted first and never removed."""
    path = host.at(name)
    for point in sorted(_mounts_below(path), key=lambda point: (-point.count("/"), point)):
        links.unmount(host.run, point)
    still = sorted(_mounts_below(path))
    if still:
        raise ClusterError(
            f"{name} is not removed: {', '.join(still[:3])} is still mounted below it",
            fix="Stop the containers that use it, unmount it and run this again",
        )
    for entry in host_files.listed(path):
        whole = os.path.join(path, entry)
        if entry == "lost+found" and os.path.ismount(path):
            continue
        if os.path.isdir(whole) and not os.path.islink(whole):
            shutil.rmtree(whole)
        else:
            os.unlink(whole)


def _mounts_below(path: str) -> t.Set[str]:
    real = os.path.realpath(path)
    return {point for point in links.mount_points(links.read_mountinfo()) if point.startswith(real.rstrip("/") + "/")}


def _undo_sysctl(host: Host, record: Record) -> t.Optional[Change]:
    now, before = host_sysctl.read(host, record.name), record.before.get("value")
    if now is None or before is None or now == before:
        return None
    if now not in record.written:
        host.warn(f"kernel parameter {record.name} was set to {now!r} by others since, and is left so")
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
    "state": _undo_state,
    "sysctl": _undo_sysctl,
    "module": _undo_module,
    host_blocks.BLOCK: host_blocks.undo_block,
    host_accounts.USER: host_accounts.undo_user,
    host_accounts.OWNED: host_accounts.undo_owned,
}
