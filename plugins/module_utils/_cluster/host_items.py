# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The things an owner can have on a host: each can tell whether it is so, tell what is there instead, and make it so.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    host_accounts,
    host_files,
    host_sysctl,
    links,
    mounts,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Change, Host, Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_files import Node
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Key
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError


class Item:
    """One thing, wanted by an owner."""

    kind: t.ClassVar[str] = ""
    name: str

    @property
    def key(self) -> Key:
        return self.kind, self.name

    def met(self, host: Host) -> bool:
        """Whether it is so already."""
        raise NotImplementedError

    def before(self, host: Host) -> Json:
        """The state to go back to; raises when it could not be brought back."""
        raise NotImplementedError

    def mark(self) -> str:
        """What tells our state from that of others."""
        raise NotImplementedError

    def change(self, host: Host) -> Change:
        """How it reads in a diff."""
        raise NotImplementedError

    def apply(self, host: Host) -> None:
        """Make it so."""
        raise NotImplementedError

    def worth_a_record(self, host: Host) -> bool:
        """Whether undoing matters though nothing is changed now."""
        del host
        return False


@dataclass(frozen=True)
class FileItem(Item):
    """A file with this content."""

    name: str
    content: bytes
    mode: int = 0o644
    sensitive: bool = False
    group: str = ""
    kind = host_files.FILE

    def node(self, gid: t.Optional[int] = None) -> Node:
        """The file as it is wanted."""
        gid = os.getegid() if gid is None else gid
        return Node(host_files.FILE, content=self.content, mode=self.mode, uid=os.geteuid(), gid=gid)

    def met(self, host: Host) -> bool:
        return host_files.look(host.at(self.name)).same(self._now_wanted(host))

    def before(self, host: Host) -> Json:
        return host_files.keepable(self.name, host_files.look(host.at(self.name)))

    def mark(self) -> str:
        return self.node().mark

    def change(self, host: Host) -> Change:
        now = host_files.look(host.at(self.name))
        same = now.mark == self.mark()
        return Change(
            told(self.name, now, "content not shown" if self.sensitive else ""),
            told(
                self.name,
                self._now_wanted(host),
                ("content not shown" if same else "other content, not shown") if self.sensitive else "",
                self.group,
            ),
            self.name,
        )

    def apply(self, host: Host) -> None:
        gid = host_accounts.require_group(host, self.group, self.name) if self.group else None
        host_files.place(host.at(self.name), self.node(gid))

    def _now_wanted(self, host: Host) -> Node:
        """A group that is to be made yet has no number, and no file is of it."""
        gid = host_accounts.group_id(host, self.group) if self.group else os.getegid()
        return self.node(-1 if gid is None else gid)


@dataclass(frozen=True)
class LinkItem(Item):
    """A symbolic link; `replace` tells whether something else in its place is put aside or is an error."""

    name: str
    target: str
    replace: bool = True
    kind = host_files.LINK

    @property
    def node(self) -> Node:
        return Node(host_files.LINK, target=self.target)

    def met(self, host: Host) -> bool:
        return host_files.look(host.at(self.name)).same(self.node)

    def before(self, host: Host) -> Json:
        now = host_files.look(host.at(self.name))
        if not self.replace and now.kind != host_files.ABSENT:
            raise ClusterError(
                "something that is not ours is in the way",
                where=self.name,
                why=f"a link to {self.target} belongs there",
                fix="Move it away, or remove the package that brought it",
            )
        return host_files.keepable(self.name, now)

    def mark(self) -> str:
        return self.node.mark

    def change(self, host: Host) -> Change:
        return Change(told(self.name, host_files.look(host.at(self.name))), told(self.name, self.node), self.name)

    def apply(self, host: Host) -> None:
        host_files.place(host.at(self.name), self.node)


@dataclass(frozen=True)
class DirectoryItem(Item):
    """A directory; without a mode whatever directory is there will do."""

    name: str
    mode: t.Optional[int] = None
    kind = host_files.DIRECTORY

    @property
    def node(self) -> Node:
        return Node(
            host_files.DIRECTORY, mode=0o755 if self.mode is None else self.mode, uid=os.geteuid(), gid=os.getegid()
        )

    def met(self, host: Host) -> bool:
        if self.mode is None and os.path.isdir(host.at(self.name)):
            return True
        now = host_files.look(host.at(self.name))
        return now.kind == host_files.DIRECTORY and now.mode == self.mode

    def before(self, host: Host) -> Json:
        now = host_files.look(host.at(self.name))
        if now.kind not in (host_files.ABSENT, host_files.DIRECTORY):
            raise ClusterError("a directory is needed here, and something else is in the way", where=self.name)
        return now.to_json()

    def mark(self) -> str:
        return f"mode:{self.node.mode:04o}"

    def change(self, host: Host) -> Change:
        return Change(told(self.name, host_files.look(host.at(self.name))), told(self.name, self.node))

    def apply(self, host: Host) -> None:
        path = host.at(self.name)
        if not os.path.isdir(path):
            os.mkdir(path)
        os.chmod(path, self.node.mode)


@dataclass(frozen=True)
class StateItem(Item):
    """A directory in which programs keep data; where there was none or an empty one, it goes with all that is in it."""

    name: str
    mode: int = 0o755
    kind = host_files.STATE

    def met(self, host: Host) -> bool:
        return os.path.isdir(host.at(self.name))

    def before(self, host: Host) -> Json:
        now = host_files.look(host.at(self.name))
        if now.kind not in (host_files.ABSENT, host_files.DIRECTORY):
            raise ClusterError("a directory is needed here, and something else is in the way", where=self.name)
        place = os.path.realpath(host.at(self.name))
        return {**now.to_json(), "mounted": any(mount.point == place for mount in mounts.read())}

    def worth_a_record(self, host: Host) -> bool:
        return not [name for name in host_files.listed(host.at(self.name)) if name != "lost+found"]

    def mark(self) -> str:
        return host_files.STATE

    def change(self, host: Host) -> Change:
        del host
        return Change("", f"directory {self.name} for data, mode {self.mode:04o}")

    def apply(self, host: Host) -> None:
        if not self.met(host):
            os.mkdir(host.at(self.name))
            os.chmod(host.at(self.name), self.mode)


@dataclass(frozen=True)
class UserItem(Item):
    """A system user for services."""

    name: str
    kind = host_accounts.USER

    def met(self, host: Host) -> bool:
        return host_accounts.user_ids(host, self.name) is not None

    def before(self, host: Host) -> Json:
        return {"found": self.met(host)}

    def mark(self) -> str:
        return "found"

    def change(self, host: Host) -> Change:
        del host
        return Change("", f"user {self.name}")

    def apply(self, host: Host) -> None:
        if not self.met(host):
            host_accounts.add_user(host, self.name)


@dataclass(frozen=True)
class OwnedItem(Item):
    """A directory that belongs to a user with all that is in it when it is given; what comes later is not looked at."""

    name: str
    user: str
    kind = host_accounts.OWNED

    def met(self, host: Host) -> bool:
        ids = host_accounts.user_ids(host, self.user)
        return ids is not None and self._ids(host) == ids

    def before(self, host: Host) -> Json:
        uid, gid = self._ids(host) or (os.geteuid(), os.getegid())
        return {"uid": uid, "gid": gid}

    def mark(self) -> str:
        return self.user

    def change(self, host: Host) -> Change:
        now = self._ids(host)
        after = f"directory {self.name} and all in it of user {self.user}"
        return Change("" if now is None else host_accounts.told_owned(self.name, now), after)

    def apply(self, host: Host) -> None:
        ids = host_accounts.user_ids(host, self.user)
        if ids is None:
            raise ClusterError(f"there is no user {self.user}", where=self.name, fix="Make it, or name another one")
        host_accounts.give(host.at(self.name), ids)

    def _ids(self, host: Host) -> t.Optional[host_accounts.Ids]:
        path = host.at(self.name)
        if not os.path.isdir(path):
            return None
        found = os.lstat(path)
        return found.st_uid, found.st_gid


@dataclass(frozen=True)
class SysctlItem(Item):
    """A kernel parameter."""

    name: str
    value: str
    kind = "sysctl"

    def met(self, host: Host) -> bool:
        return host_sysctl.read(host, self.name) == host_sysctl.plain(self.value)

    def before(self, host: Host) -> Json:
        known = {"value": host_sysctl.read(host, self.name)}
        return {**known, "links": links.forwarders(host.run)} if host_sysctl.forwards(self.name) else known

    def mark(self) -> str:
        return host_sysctl.plain(self.value)

    def change(self, host: Host) -> Change:
        now = host_sysctl.read(host, self.name)
        return Change("" if now is None else f"sysctl {self.name} = {now}", f"sysctl {self.name} = {self.mark()}")

    def apply(self, host: Host) -> None:
        host_sysctl.write(host, self.name, self.value)


@dataclass(frozen=True)
class ModuleItem(Item):
    """A kernel module, or what it brings when the kernel has that built in."""

    name: str
    kind = "module"

    def met(self, host: Host) -> bool:
        return host_sysctl.module_is_there(host, self.name)

    def before(self, host: Host) -> Json:
        del host
        return {"loaded": False}

    def mark(self) -> str:
        return "loaded"

    def change(self, host: Host) -> Change:
        del host
        return Change("", f"kernel module {self.name} loaded")

    def apply(self, host: Host) -> None:
        host_sysctl.load_module(host, self.name)


def told(path: str, node: Node, instead: str = "", group: str = "") -> str:
    """How a state of a path reads in a diff."""
    if node.kind == host_files.ABSENT:
        return ""
    if node.kind == host_files.LINK:
        return f"link {path} -> {node.target}"
    head = f"{node.kind} {path} mode {node.mode:04o} owner {node.uid}:{group or node.gid}"
    if node.kind != host_files.FILE:
        return head
    content = instead or node.content.decode("utf-8", errors="backslashreplace").rstrip("\n")
    return "\n".join([head, *(f"    {line}" for line in content.split("\n"))])
