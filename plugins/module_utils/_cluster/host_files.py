# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands at a path, and bringing a path to a state in one atomic step.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Json
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

# More than this is not kept of a file that is replaced: configuration is small, and the journal is read whole.
KEPT_BYTES = 1024 * 1024

ABSENT, FILE, LINK, DIRECTORY, OTHER = "absent", "file", "link", "directory", "other"
# A directory for data: what is in it goes with it.
STATE = "state"
_KINDS = {FILE: stat.S_ISREG, LINK: stat.S_ISLNK, DIRECTORY: stat.S_ISDIR}


@dataclass(frozen=True)
class Node:
    """What stands at a path."""

    kind: str
    content: bytes = b""
    target: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0

    @property
    def mark(self) -> str:
        """Tells the content of two files, or the targets of two links, from each other."""
        if self.kind == FILE:
            return "sha256:" + hashlib.sha256(self.content).hexdigest()
        return f"{self.kind}:{self.target}"

    def same(self, other: Node) -> bool:
        """Equal but for the time of the last change."""
        if self.kind != other.kind or self.mark != other.mark:
            return False
        return self.kind in (ABSENT, LINK) or (self.mode, self.uid, self.gid) == (other.mode, other.uid, other.gid)

    def to_json(self) -> Json:
        told: Json = {"kind": self.kind}
        if self.kind == LINK:
            told["target"] = self.target
        if self.kind in (FILE, DIRECTORY):
            told.update(mode=self.mode, uid=self.uid, gid=self.gid, mtime_ns=self.mtime_ns)
        if self.kind == FILE:
            told["content"] = base64.b64encode(self.content).decode("ascii")
        return told

    @classmethod
    def from_json(cls, data: Json) -> Node:
        return cls(
            kind=str(data["kind"]),
            content=base64.b64decode(data.get("content", "")),
            target=str(data.get("target", "")),
            mode=int(data.get("mode", 0)),
            uid=int(data.get("uid", 0)),
            gid=int(data.get("gid", 0)),
            mtime_ns=int(data.get("mtime_ns", 0)),
        )


NOTHING = Node(ABSENT)


def look(path: str) -> Node:
    """What stands there now; of a file bigger than KEPT_BYTES only the size is read."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    kind = next((kind for kind, fits in _KINDS.items() if fits(found.st_mode)), OTHER)
    content, target = b"", ""
    if kind == LINK:
        target = os.readlink(path)
    elif kind == FILE and found.st_size <= KEPT_BYTES:
        with open(path, "rb") as stream:
            content = stream.read()
    mode = stat.S_IMODE(found.st_mode)
    return Node(kind, content, target, mode, found.st_uid, found.st_gid, found.st_mtime_ns, found.st_size)


def keepable(path: str, node: Node) -> Json:
    """The state to be kept of a path that will be replaced."""
    if node.kind in (DIRECTORY, OTHER):
        what = "a directory" if node.kind == DIRECTORY else "a device, socket or pipe"
        raise ClusterError(f"{what} is in the way", where=path, fix="Move it away")
    if node.size > KEPT_BYTES:
        raise ClusterError(
            "the file that is there is too big to be kept for the way back",
            where=path,
            why=f"{node.size} bytes, at most {KEPT_BYTES} are kept",
            fix="Move it away",
        )
    return node.to_json()


def fresh_name(path: str) -> str:
    """Where the next state of a path is prepared: always the same name, so that an interrupted step is found again."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.sealer-new")


def place(path: str, node: Node, keep_time: bool = False) -> None:
    """Bring a path, which is no directory, to this state."""
    if node.kind == ABSENT:
        remove(path)
        return
    fresh = fresh_name(path)
    remove(fresh)
    if node.kind == LINK:
        os.symlink(node.target, fresh)
    else:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as stream:
            stream.write(node.content)
            stream.flush()
            os.fsync(stream.fileno())
        _own(fresh, node)
        os.chmod(fresh, node.mode)
        if keep_time:
            os.utime(fresh, ns=(node.mtime_ns, node.mtime_ns))
    os.replace(fresh, path)


def _own(path: str, node: Node) -> None:
    found = os.lstat(path)
    if (found.st_uid, found.st_gid) != (node.uid, node.gid):
        os.chown(path, node.uid, node.gid)


def remove(path: str) -> None:
    """Remove a file or link that may be gone already."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)


def missing_parents(path: str, exists: t.Callable[[str], bool]) -> t.List[str]:
    """The directories above a path that have to be made, topmost first."""
    missing: t.List[str] = []
    parent = os.path.dirname(path)
    while parent not in ("", "/") and not exists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    return list(reversed(missing))


def listed(path: str) -> t.List[str]:
    """The names in a directory; none when it is not there."""
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
