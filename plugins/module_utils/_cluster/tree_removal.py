# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing a directory with all that is in it, however deep, and nothing that is mounted in it or linked from it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

# Names in a directory that stay, with those in them that do; a name without any stays with all that is in it.
Staying = t.Dict[str, t.Any]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Place(t.NamedTuple):
    """Tells directories apart: a bind mount has the device and the inode of what it shows."""

    mount: str
    device: int
    inode: int

    @property
    def same_mount(self) -> t.Tuple[str, int]:
        return self.mount, self.device


@dataclass
class _Level:
    """A directory on the way down: what is still to be removed in it, and whether something in it stays."""

    name: str
    place: _Place
    staying: Staying
    todo: t.List[t.Tuple[str, bool]] = field(default_factory=list)
    stays: bool = False


def staying_below(path: str, kept: t.Iterable[str]) -> Staying:
    """What of these paths is below a path, by names."""
    tree: Staying = {}
    for one in sorted(kept):
        level = tree
        for name in one[len(path) + 1 :].split("/") if one.startswith(f"{path}/") else ():
            if level.get(name) == {}:
                break
            level = level.setdefault(name, {})
    return tree


def remove_tree(path: str, kept: t.Iterable[str] = (), files: bool = True) -> t.List[str]:
    """Remove a file, a link, or a directory with all in it, which may be gone already. Links are not followed.

    kept: paths that stay, with the directories above them; files: whether a directory has to be emptied of files, which
    cgroups cannot. No directory on another mount or file system is entered; the paths of those that were met are
    returned. Raises ClusterError when something cannot be removed.
    """
    try:
        return _remove(path, staying_below(path, kept), files)
    except OSError as error:
        raise ClusterError(
            f"{path} cannot be removed",
            why=str(error),
            fix="See what holds it (fuser, lsattr), and run this again",
        ) from error


def _remove(path: str, staying: Staying, files: bool) -> t.List[str]:
    above, name = os.path.split(path)
    try:
        current = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return []
    walk = _Walk(above, current, files)
    try:
        walk.remove(name, staying)
    finally:
        os.close(walk.current)
    return walk.met


class _Walk:
    """The way through a tree, with one directory open at a time: neither depth nor length of a path has a limit."""

    def __init__(self, above: str, current: int, files: bool) -> None:
        self.current = current
        self.met: t.List[str] = []
        self._files = files
        self._levels = [_Level(above, _place(current), {})]

    def remove(self, name: str, staying: Staying) -> None:
        try:
            found = os.stat(name, dir_fd=self.current, follow_symlinks=False)
        except FileNotFoundError:
            return
        self._levels[0].staying = {name: staying} if staying else {}
        self._levels[0].todo = [(name, stat.S_ISDIR(found.st_mode))]
        while self._levels[0].todo or len(self._levels) > 1:
            level = self._levels[-1]
            if not level.todo:
                self._leave()
            else:
                self._take(level, *level.todo.pop())

    def _take(self, level: _Level, name: str, directory: bool) -> None:
        staying = level.staying.get(name)
        if staying == {}:
            level.stays = True
        elif directory:
            self._enter(level, name, staying or {})
        elif self._files:
            try:
                os.unlink(name, dir_fd=self.current)
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                # A file on which another one is mounted.
                self._meet(level, name)

    def _enter(self, level: _Level, name: str, staying: Staying) -> None:
        try:
            inner = os.open(name, _DIRECTORY, dir_fd=self.current)
        except FileNotFoundError:
            return
        place = _place(inner)
        if place.same_mount != level.place.same_mount:
            os.close(inner)
            self._meet(level, name)
            return
        os.close(self.current)
        self.current = inner
        with os.scandir(inner) as entries:
            todo = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        self._levels.append(_Level(name, place, staying, sorted(todo, reverse=True)))

    def _leave(self) -> None:
        done, level = self._levels.pop(), self._levels[-1]
        outer = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.current)
        os.close(self.current)
        self.current = outer
        if _place(outer) != level.place:
            raise ClusterError(f"{self._path(done.name)} was moved while it was being removed")
        if done.stays:
            level.stays = True
        else:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(done.name, dir_fd=outer)

    def _meet(self, level: _Level, name: str) -> None:
        level.stays = True
        self.met.append(self._path(name))

    def _path(self, name: str) -> str:
        return "/".join([*(level.name.rstrip("/") for level in self._levels), name])


def _place(descriptor: int) -> _Place:
    found = os.fstat(descriptor)
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as stream:
        mount = next((line.split()[1] for line in stream if line.startswith("mnt_id:")), "")
    return _Place(mount, found.st_dev, found.st_ino)
