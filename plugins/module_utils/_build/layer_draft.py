# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one instruction changes in the rootfs, which becomes a layer.

Private to the collection: may change at any time.

Entries land as `buildah copy` lets them: links in the directories above are followed within the rootfs, the last name
is replaced whatever it was, and directories on the way keep their mode, owner and time.
"""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import replace

from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, LINK
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry, Ownership
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import Where
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import LinkLoop, Tree, directories_above
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layers import OPAQUE


class LayerDraft:
    """Changes the tree at once, and knows what has to be packed for it.

    `place` is where the instruction says its destination; `owner` gets the directories that have to be made.
    """

    def __init__(self, tree: Tree, place: Where, owner: Ownership) -> None:
        self._tree = tree
        self._place = place
        self._owner = owner
        self._changed: t.Set[str] = set()
        self._made: t.Set[str] = set()
        self._given: t.Dict[str, Entry] = {}
        self._opaque: t.List[Entry] = []
        self.warnings: t.List[str] = []

    def find(self, path: str, *, follow_last: bool = True) -> t.Optional[Entry]:
        """What is at a path."""
        return self._tree.get(self._resolve(path, follow_last))

    def directory(self, path: str) -> str:
        """Make sure that there is a directory; its path without links."""
        real = self._resolve(path)
        for one in [*directories_above(real), real] if real else ():
            there = self._tree.get(one)
            if there is None:
                self._made.add(one)
                self._tree.put(Entry(one, DIRECTORY, 0o755, self._owner.uid, self._owner.gid))
            elif there.kind != DIRECTORY:
                raise self._place.error(f"{path} cannot be a directory", why=f"{one} is a {there.kind}")
        if real:
            self._changed.add(real)
        return real

    def empty_directory(self, path: str) -> None:
        """Make sure that there is a directory with nothing in it, and that it is no link."""
        real = posixpath.join(self.directory(posixpath.dirname(path)), posixpath.basename(path))
        there = self._tree.get(real)
        if there and there.kind == DIRECTORY:
            self._tree.clear(real)
            self._opaque.append(Entry.empty(f"{real}/{OPAQUE}"))
        self._tree.put(Entry(real, DIRECTORY, 0o755, self._owner.uid, self._owner.gid))
        self._changed.add(real)

    def put(self, entry: Entry, where: Where) -> None:
        """Put what the source at `where` names; BuildError where that cannot be, or another source gave it already."""
        directory, name = posixpath.split(entry.path)
        real = posixpath.join(self.directory(directory), name)
        entry = replace(entry, path=real)
        if entry.kind == LINK:
            _check_link(entry, where)
        there = self._tree.get(real)
        self._refuse_twin(entry, there, where)
        if there and real not in self._made and real not in self._given:
            self._warn_of_change(there, entry, where)
        self._tree.put(entry)
        self._given[real] = entry
        self._changed.add(real)

    def entries(self) -> t.List[Entry]:
        """The layer: what was changed and the directories above it, which some tools make anew where a layer lacks them."""
        paths = {one for path in self._changed for one in (*directories_above(path), path)}
        found = [entry for path in paths for entry in [self._tree.get(path)] if entry]
        return sorted(found + self._opaque, key=lambda one: one.path)

    def _resolve(self, path: str, follow_last: bool = True) -> str:
        try:
            return self._tree.resolve(path, follow_last=follow_last)
        except LinkLoop as error:
            raise self._place.error(f"{path} is no place in the rootfs", why=error.what) from error

    def _refuse_twin(self, entry: Entry, there: t.Optional[Entry], where: Where) -> None:
        twin = self._given.get(entry.path)
        if twin is None and there and there.kind == DIRECTORY != entry.kind:
            below = (self._given[path] for path in sorted(self._given) if path.startswith(f"{entry.path}/"))
            twin = next(below, None)
        if twin and not twin.kind == entry.kind == DIRECTORY:
            raise where.error(f"two sources give {entry.path}", why=f"{twin.source} and {entry.source}")

    def _warn_of_change(self, there: Entry, entry: Entry, where: Where) -> None:
        if there.kind == entry.kind == DIRECTORY:
            before, after = _describe(there), _describe(entry)
            if before != after:
                self.warnings.append(f"{where}: directory {entry.path} had {before}, and gets {after}")
        elif DIRECTORY in (there.kind, entry.kind):
            lost = " with all that is in it" if there.kind == DIRECTORY else ""
            self.warnings.append(f"{where}: {there.kind} {entry.path}{lost} is replaced by a {entry.kind}")


def _describe(entry: Entry) -> str:
    return f"mode {entry.mode:04o} and owner {entry.uid}:{entry.gid}"


def _check_link(entry: Entry, where: Where) -> None:
    target = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.target))
    if entry.target.startswith("/") or target == ".." or target.startswith("../"):
        raise where.error(
            f"link {entry.path} leaves the rootfs", why=f"it points to {entry.target}", fix="Make it a relative link"
        )
