# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layers: tar+gzip of file entries, the same bytes for the same entries wherever they are built.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import typing as t
import zlib
from dataclasses import dataclass, replace

from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, FILE, LINK, Node
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest

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
    """A file, directory or link in the rootfs.

    `source` is the path that it is taken from, on this host; the base's entries have none, nor do directories that
    are made on the way to others. `mtime` is in seconds since 1970; None is the time of the build.
    """

    path: str
    kind: str
    mode: int
    uid: int = 0
    gid: int = 0
    source: str = ""
    target: str = ""
    size: int = 0
    sha256: str = ""
    mtime: t.Optional[int] = None

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


def layer_key(entries: t.Sequence[Entry], epoch: int) -> str:
    """Name for everything that decides a layer's bytes."""
    facts = [[one.path, one.kind, one.mode, one.uid, one.gid, one.target, one.sha256, one.mtime] for one in entries]
    told = json.dumps([2, _LEVEL, zlib.ZLIB_RUNTIME_VERSION, epoch, facts], separators=(",", ":"))
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
        info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.gid
        info.mtime = epoch if entry.mtime is None else entry.mtime
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
