# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpacking layers of an image into a directory, trusting nothing in them.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Readable
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layers import OPAQUE, WHITEOUT, decompressed

_LINK_LIMIT = 4096


class Extractor:
    """Applies layers, one after the other, to an empty directory.

    only: the paths that are unpacked, with what is below them; everything unless given.
    """

    def __init__(self, root: str, only: t.Optional[t.Collection[str]] = None) -> None:
        self._root = root
        self._only = None if only is None else [_parts(path) for path in only]
        self._where = ""
        self._fresh: t.Set[str] = set()

    def apply(self, stream: Readable, media_type: str, where: str) -> None:
        """Unpack one layer; the stream is read to its end, so that a verifying one has the last word."""
        self._where, self._fresh = where, set()
        try:
            with decompressed(stream, media_type, where) as plain:
                with tarfile.open(fileobj=t.cast(t.IO[bytes], plain), mode="r|", bufsize=CHUNK) as archive:
                    for member in archive:
                        self._member(archive, member)
                while plain.read(CHUNK):
                    continue
            while stream.read(CHUNK):
                continue
        except (tarfile.TarError, OverflowError, ValueError) as error:
            raise ClusterError("this layer is damaged", where=where, why=str(error)) from error

    def finish(self) -> None:
        """Make sure that no chain of links leads out of the directory."""
        top = os.path.realpath(self._root)
        for directory, names, files in os.walk(top):
            for path in (os.path.join(directory, name) for name in names + files):
                if os.path.islink(path):
                    goal = os.path.realpath(path)
                    if goal != top and not goal.startswith(top + os.sep):
                        raise self._hostile(
                            os.path.relpath(path, top), f"leads out of the tree, to {os.readlink(path)}"
                        )

    def _member(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        name = self._plain(member.name)
        if not name:
            return
        directory, base = os.path.split(name)
        if base.startswith(WHITEOUT):
            if self._is_asked(directory if base == OPAQUE else os.path.join(directory, base[len(WHITEOUT) :])):
                self._whiteout(directory, base)
            return
        if not self._is_asked(name):
            return
        self._parents(name)
        path = os.path.join(self._root, name)
        if member.isdir():
            self._directory(path, member)
        else:
            _clear(path)
            if member.isreg():
                self._file(path, archive.extractfile(member), member)
            elif member.issym():
                self._link(path, name, member.linkname)
            elif member.islnk():
                self._second_name(path, name, member.linkname)
            else:
                raise self._hostile(name, "is a device or a pipe")
        self._fresh.add(name)

    def _is_asked(self, name: str) -> bool:
        """Whether a path is among those that are unpacked, or one of them lies below it."""
        parts = _parts(name)
        return self._only is None or any(
            all(first == second for first, second in zip(parts, path)) for path in self._only
        )

    def _plain(self, name: str) -> str:
        """A member's name without ./ and the like; empty for the top itself."""
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "\0" in name:
            raise self._hostile(name, "lies outside of the tree")
        return "/".join(_parts(name))

    def _parents(self, name: str) -> None:
        path = self._root
        for part in name.split("/")[:-1]:
            path = os.path.join(path, part)
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                os.mkdir(path, 0o755)
                continue
            if not stat.S_ISDIR(mode):
                raise self._hostile(name, f"lies below {os.path.relpath(path, self._root)}, which is no directory")

    def _whiteout(self, directory: str, base: str) -> None:
        self._parents(os.path.join(directory, base))
        if base == OPAQUE:
            for entry in os.listdir(os.path.join(self._root, directory)):
                self._hide(os.path.join(directory, entry))
            return
        hidden = base[len(WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise self._hostile(os.path.join(directory, base), "hides nothing that could be named")
        self._hide(os.path.join(directory, hidden))

    def _hide(self, name: str) -> None:
        """Remove what lower layers brought; what this layer brought stays."""
        path = os.path.join(self._root, name)
        below = [fresh for fresh in self._fresh if fresh == name or fresh.startswith(name + "/")]
        if not below:
            _clear(path)
        elif os.path.isdir(path) and not os.path.islink(path):
            for entry in os.listdir(path):
                self._hide(os.path.join(name, entry))

    def _directory(self, path: str, member: tarfile.TarInfo) -> None:
        if not os.path.isdir(path) or os.path.islink(path):
            _clear(path)
            os.mkdir(path)
        os.chmod(path, member.mode & 0o777 | 0o700)
        _own(path, member)

    def _file(self, path: str, content: t.Optional[t.IO[bytes]], member: tarfile.TarInfo) -> None:
        if content is None:
            raise self._hostile(member.name, "is not a file")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as stream:
            shutil.copyfileobj(content, stream, CHUNK)
        _own(path, member)
        os.chmod(path, member.mode & 0o777)
        os.utime(path, (member.mtime, member.mtime))

    def _link(self, path: str, name: str, target: str) -> None:
        if not target or target.startswith("/") or len(target) > _LINK_LIMIT:
            raise self._hostile(name, f"is a link to {target[:100]!r}, which is not relative")
        depth = name.count("/")
        for part in target.split("/"):
            depth += {"..": -1, "": 0, ".": 0}.get(part, 1)
            if depth < 0:
                raise self._hostile(name, f"is a link out of the tree, to {target!r}")
        os.symlink(target, path)

    def _second_name(self, path: str, name: str, target: str) -> None:
        plain = self._plain(target)
        self._parents(plain)
        first = os.path.join(self._root, plain)
        if not os.path.isfile(first) or os.path.islink(first):
            raise self._hostile(name, f"is a hard link to {target!r}, which is not a file of the tree")
        os.link(first, path, follow_symlinks=False)

    def _hostile(self, name: str, why: str) -> ClusterError:
        return ClusterError(
            f"{name!r} in this layer is refused", where=self._where, why=f"it {why}", fix="Build the image anew"
        )


def _parts(path: str) -> t.List[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _own(path: str, member: tarfile.TarInfo) -> None:
    if os.geteuid() == 0:
        os.chown(path, member.uid, member.gid)


def _clear(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
