# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of ours in a file that is somebody else's, as /etc/hosts: between two lines that tell whose they are.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import host_files
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Change, Host, Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_files import Node
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_items import Item
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Record
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

BLOCK = "block"
_BEGIN = "# Begin of what sealer.cluster wrote for {owner}"
_END = "# End of what sealer.cluster wrote for {owner}"


class Parts(t.NamedTuple):
    """A file cut at the block: what stands before it, what is in it (None: there is no block), what stands after it."""

    head: str
    block: t.Optional[str]
    tail: str


@dataclass(frozen=True)
class BlockItem(Item):
    """A file that has these lines of an owner; the name, which is not the path, tells owners of one file apart."""

    name: str
    path: str
    owner: str
    content: str
    kind = BLOCK

    @classmethod
    def of(cls, path: str, owner: str, content: str) -> BlockItem:
        return cls(f"{path} for {owner}", path, owner, content)

    def met(self, host: Host) -> bool:
        return _cut(host, self.path, self.owner).block == self.content

    def before(self, host: Host) -> Json:
        now = _look(host, self.path)
        ended = not now.content or now.content.endswith(b"\n")
        return {"path": self.path, "owner": self.owner, "found": now.kind != host_files.ABSENT, "ended": ended}

    def mark(self) -> str:
        return _mark(self.content)

    def change(self, host: Host) -> Change:
        now = _cut(host, self.path, self.owner).block
        return Change("" if now is None else _told(self.path, now), _told(self.path, self.content), self.path)

    def apply(self, host: Host) -> None:
        head, _block, tail = _cut(host, self.path, self.owner)
        if head and not head.endswith("\n"):
            head += "\n"
        ours = f"{_BEGIN.format(owner=self.owner)}\n{self.content}{_END.format(owner=self.owner)}\n"
        _write(host, self.path, head + ours + tail)


def undo_block(host: Host, record: Record) -> t.Optional[Change]:
    """Take the lines out, unless others changed them."""
    path, owner = record.before["path"], record.before["owner"]
    head, block, tail = _cut(host, path, owner)
    if block is None:
        return None
    if _mark(block) not in record.written:
        host.warn(f"the lines for {owner} in {path} were changed by others since, and are left as they are")
        return None
    if not host.check:
        left = head + tail
        if not record.before["ended"] and not tail:
            left = left[:-1]
        if left or record.before["found"]:
            _write(host, path, left)
        else:
            host_files.remove(os.path.realpath(host.at(path)))
    return Change(_told(path, block), "", path)


def _mark(content: str) -> str:
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def _told(path: str, content: str) -> str:
    return "\n".join([f"lines in {path}", *(f"    {line}" for line in content.splitlines())])


def _look(host: Host, path: str) -> Node:
    now = host_files.look(os.path.realpath(host.at(path)))
    if now.kind not in (host_files.ABSENT, host_files.FILE) or now.size > host_files.KEPT_BYTES:
        raise ClusterError("lines cannot be put into this", where=path, why="it is no file, or a very big one")
    return now


def _cut(host: Host, path: str, owner: str) -> Parts:
    text = _look(host, path).content.decode("utf-8", errors="surrogateescape")
    begin, end = _BEGIN.format(owner=owner) + "\n", _END.format(owner=owner) + "\n"
    head, found, rest = text.partition(begin)
    block, closed, tail = rest.partition(end)
    return Parts(head, block, tail) if found and closed else Parts(text, None, "")


def _write(host: Host, path: str, text: str) -> None:
    """Replace the file; one that is mounted over its place, as in containers, can only be written as it stands."""
    place = os.path.realpath(host.at(path))
    now = host_files.look(place)
    if now.kind == host_files.ABSENT:
        now = Node(host_files.FILE, mode=0o644, uid=os.geteuid(), gid=os.getegid())
    node = dataclasses.replace(now, content=text.encode("utf-8", errors="surrogateescape"))
    try:
        host_files.place(place, node)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        host_files.remove(host_files.fresh_name(place))
        with open(place, "r+b") as stream:
            stream.write(node.content)
            stream.truncate()
