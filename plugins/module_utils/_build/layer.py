# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layers: tar+gzip of file entries, the same bytes for the same entries wherever they are built.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
import typing as t
import zlib
from dataclasses import dataclass, replace

from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, FILE, LINK, Node
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import Where
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest

OPAQUE = ".wh..wh..opq"
_CHUNK = 1 << 20
_LEVEL = 6
_GZIP = 31
_TYPES = {FILE: tarfile.REGTYPE, DIRECTORY: tarfile.DIRTYPE, LINK: tarfile.SYMTYPE}


@dataclass(frozen=True)
class Ownership:
    """What --chown and --chmod say."""

    uid: int = 0
    gid: int = 0
    mode: t.Optional[int] = None

    def mode_of(self, kind: str, executable: bool) -> int:
        """Directories may be entered wherever --chmod lets files be read."""
        if kind == LINK:
            return 0o777
        if self.mode is None:
            return 0o755 if executable or kind == DIRECTORY else 0o644
        return self.mode | (self.mode & 0o444) >> 2 if kind == DIRECTORY else self.mode


@dataclass(frozen=True)
class Entry:
    """A file, directory or link in the rootfs. Content is in the file `source`; without one it is empty."""

    path: str
    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    source: str = ""
    target: str = ""
    size: int = 0
    sha256: str = ""

    @classmethod
    def empty(cls, path: str) -> Entry:
        return cls(path, FILE, 0o644, sha256=hashlib.sha256().hexdigest())

    @classmethod
    def of(cls, node: Node, path: str, ownership: Ownership) -> Entry:
        """An entry for a node of the context; reads the file to know its hash."""
        mode = ownership.mode_of(node.kind, node.executable)
        entry = cls(path, node.kind, mode, ownership.uid, ownership.gid, node.source, node.target)
        if node.kind != FILE:
            return entry
        digest, size = hashlib.sha256(), 0
        for block in _blocks(node.source):
            digest.update(block)
            size += len(block)
        return replace(entry, size=size, sha256=digest.hexdigest())


@dataclass(frozen=True)
class Layer:
    digest: Digest
    size: int
    diff_id: Digest


class Tree:
    """The merged rootfs of the layers made by this build."""

    def __init__(self) -> None:
        self.entries: t.Dict[str, Entry] = {}

    def is_directory(self, path: str) -> bool:
        return not path or (path in self.entries and self.entries[path].kind == DIRECTORY)

    def complete(self, entries: t.Sequence[Entry], where: Where) -> t.List[Entry]:
        """A layer's entries sorted, with the directories above them; refuses what would make files directories."""
        named: t.Dict[str, Entry] = {}
        for entry in entries:
            twin = named.get(entry.path)
            if twin and not twin.kind == entry.kind == DIRECTORY:
                raise where.error(f"two sources give {entry.path}", why=f"{twin.source} and {entry.source}")
            named[entry.path] = entry
        for path in sorted(named):
            for above in _above(path):
                if above not in named and above not in self.entries:
                    named[above] = Entry(above, DIRECTORY, 0o755)
        for path, entry in named.items():
            self._refuse_clash(path, entry, named, where)
        return [named[path] for path in sorted(named)]

    def apply(self, entries: t.Iterable[Entry]) -> None:
        for entry in entries:
            if posixpath.basename(entry.path) != OPAQUE:
                self.entries[entry.path] = entry

    def _refuse_clash(self, path: str, entry: Entry, named: t.Mapping[str, Entry], where: Where) -> None:
        for above in _above(path):
            holder = named.get(above) or self.entries[above]
            if holder.kind != DIRECTORY:
                raise where.error(f"{path} cannot be made", why=f"{above} is a {holder.kind}")
        before = self.entries.get(path)
        if before and (before.kind == DIRECTORY) != (entry.kind == DIRECTORY):
            raise where.error(
                f"{path} is a {before.kind} already and cannot become a {entry.kind}",
                fix="End the destination with / to put files into a directory",
            )


def layer_key(entries: t.Sequence[Entry], epoch: int) -> str:
    """Name for everything that decides a layer's bytes."""
    facts = [[one.path, one.kind, one.mode, one.uid, one.gid, one.target, one.sha256] for one in entries]
    told = json.dumps([1, _LEVEL, zlib.ZLIB_RUNTIME_VERSION, epoch, facts], separators=(",", ":"))
    return hashlib.sha256(told.encode()).hexdigest()


def write_layer(entries: t.Sequence[Entry], epoch: int, sink: t.Callable[[bytes], t.Any]) -> Layer:
    """Pack entries; the compressed bytes go to `sink` as they come."""
    gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    plain, packed, size = hashlib.sha256(), hashlib.sha256(), 0
    for block in _tar(entries, epoch):
        plain.update(block)
        out = gzip.compress(block)
        packed.update(out)
        size += len(out)
        sink(out)
    out = gzip.flush()
    packed.update(out)
    sink(out)
    return Layer(
        Digest.parse(f"sha256:{packed.hexdigest()}"), size + len(out), Digest.parse(f"sha256:{plain.hexdigest()}")
    )


def _tar(entries: t.Sequence[Entry], epoch: int) -> t.Iterator[bytes]:
    for entry in entries:
        info = tarfile.TarInfo(entry.path)
        info.type = _TYPES[entry.kind]
        info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, epoch
        info.linkname, info.size = entry.target, entry.size
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        if entry.size:
            yield from _content(entry)
            yield b"\0" * (-entry.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _content(entry: Entry) -> t.Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for block in _blocks(entry.source):
        digest.update(block)
        size += len(block)
        yield block
    if (size, digest.hexdigest()) != (entry.size, entry.sha256):
        raise BuildError("the file changed while it was being packed", where=entry.source, fix="Run the build again")


def _blocks(path: str) -> t.Iterator[bytes]:
    try:
        with open(path, "rb") as handle:
            while True:
                block = handle.read(_CHUNK)
                if not block:
                    return
                yield block
    except OSError as error:
        raise BuildError("cannot read a file", where=path, why=error.strerror or str(error)) from error


def _above(path: str) -> t.List[str]:
    names = path.split("/")[:-1]
    return ["/".join(names[: count + 1]) for count in range(len(names))]
