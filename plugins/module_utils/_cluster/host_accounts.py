# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""System users for services, and the directories that are theirs.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import host_files
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Change, Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Record
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

USER = "user"
OWNED = "owned"

_BACKUPS = ("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-")
_NOLOGIN = "/usr/sbin/nologin"
_NO_HOME = "/nonexistent"

Ids = t.Tuple[int, int]


def user_ids(host: Host, name: str) -> t.Optional[Ids]:
    """Number of the user and of its group; None when there is no such user."""
    fields = _entry(host, "passwd", name)
    return None if fields is None else (int(fields[2]), int(fields[3]))


def group_id(host: Host, name: str) -> t.Optional[int]:
    """Number of the group; None when there is no such group."""
    fields = _entry(host, "group", name)
    return None if fields is None else int(fields[2])


def _entry(host: Host, database: str, name: str) -> t.Optional[t.List[str]]:
    done = host.run(["getent", database, name])
    fields = done.stdout.split("\n", 1)[0].split(":")
    return fields if done.rc == 0 and len(fields) > 3 else None


def add_user(host: Host, name: str) -> None:
    """Make a system user that nobody can log in as, with a group of the same name."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", _NO_HOME, "--shell", _NOLOGIN]
    with backups_kept(host.at):
        host.must([*command, "--", name], f"the system user {name} cannot be made")


@contextlib.contextmanager
def backups_kept(at: t.Callable[[str], str] = str) -> t.Iterator[None]:
    """The programs that change users put copies of the files beside them; those that were there are put back.

    at: where a path of the host is really.
    """
    kept = [(path, host_files.look(path)) for path in map(at, _BACKUPS)]
    yield
    for path, node in kept:
        if node.size <= host_files.KEPT_BYTES and not host_files.look(path).same(node):
            host_files.place(path, node, keep_time=True)


def give(path: str, ids: Ids, only: t.Optional[Ids] = None) -> None:
    """Make all below a directory, and itself in the end, belong to this user; or what belongs to only that one."""
    for parent, directories, files in os.walk(path):
        for name in (*directories, *files):
            _give_one(os.path.join(parent, name), ids, only)
    _give_one(path, ids, only)


def _give_one(path: str, ids: Ids, only: t.Optional[Ids]) -> None:
    """Links are not followed."""
    with contextlib.suppress(FileNotFoundError):
        now = _owner(path)
        if now != ids and only in (None, now):
            os.lchown(path, *ids)


def _owner(path: str) -> Ids:
    found = os.lstat(path)
    return found.st_uid, found.st_gid


def undo_user(host: Host, record: Record) -> t.Optional[Change]:
    """Remove a user that was not there before."""
    if record.before["found"] or user_ids(host, record.name) is None:
        return None
    if not host.check:
        fix = "End what runs as this user, and run this again"
        with backups_kept(host.at):
            host.must(["userdel", "--", record.name], f"the system user {record.name} cannot be removed", fix)
            if group_id(host, record.name) is not None:
                host.must(["groupdel", "--", record.name], f"the group {record.name} cannot be removed", fix)
    return Change(f"user {record.name}", "")


def undo_owned(host: Host, record: Record) -> t.Optional[Change]:
    """Give a directory back, unless it has come to belong to somebody else since."""
    path = host.at(record.name)
    before = (int(record.before["uid"]), int(record.before["gid"]))
    if not os.path.isdir(path) or os.path.islink(path):
        return None
    now = _owner(path)
    ours = [ids for ids in (user_ids(host, name) for name in record.written) if ids is not None]
    if now not in (before, *ours):
        host.warn(f"{record.name} was given to another user since, and is left so")
        return None
    if not host.check:
        for ids in ours:
            give(path, before, only=ids)
    return None if now == before else Change(told_owned(record.name, now), told_owned(record.name, before))


def told_owned(path: str, ids: Ids) -> str:
    """How it reads in a diff."""
    return f"directory {path} and all in it of user {ids[0]}:{ids[1]}"


def require_group(host: Host, name: str, where: str) -> int:
    """The group's number; raises when there is none."""
    found = group_id(host, name)
    if found is None:
        raise ClusterError(f"there is no group {name}", where=where, fix="Make it, or name another one")
    return found
