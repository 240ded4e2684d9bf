# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rootfs as nodes have it: the base's layers, and over them what this build has put so far.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, LINK
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layers import OPAQUE, WHITEOUT

# As Linux does: what needs more cannot be opened on a node.
_LINKS_FOLLOWED = 40


class LinkLoop(BuildError):
    """A path leads through too many links."""


@dataclass
class _Node:
    entry: Entry
    children: t.Dict[str, _Node] = field(default_factory=dict)


class Tree:
    """Entries by their path, relative to the root, which is "". Only `resolve` follows links."""

    def __init__(self) -> None:
        self._root = _Node(Entry("", DIRECTORY, 0o755))

    def get(self, path: str) -> t.Optional[Entry]:
        node = self._find(path)
        return node.entry if node else None

    def entries(self) -> t.List[Entry]:
        """All but the root, sorted by path."""
        found = []
        rest = list(self._root.children.values())
        while rest:
            node = rest.pop()
            found.append(node.entry)
            rest.extend(node.children.values())
        return sorted(found, key=lambda one: one.path)

    def resolve(self, path: str, *, follow_last: bool = True) -> str:
        """The path without links in it, as for a process whose root directory is the tree; LinkLoop where that ends nowhere.

        Names that are not there stay as they are. `follow_last` is about the last name of the path itself.
        """
        followed = 0
        done: t.List[str] = []
        rest = path.split("/")[::-1]
        while rest:
            name = rest.pop()
            if name == "..":
                del done[-1:]
            elif name not in ("", "."):
                done.append(name)
                entry = self.get("/".join(done))
                if entry and entry.kind == LINK and (rest or follow_last):
                    followed += 1
                    if followed > _LINKS_FOLLOWED:
                        raise LinkLoop(f"{path} leads through more than {_LINKS_FOLLOWED} links")
                    done = [] if entry.target.startswith("/") else done[:-1]
                    rest.extend(entry.target.split("/")[::-1])
        return "/".join(done)

    def put(self, entry: Entry) -> None:
        """Put an entry in the place of whatever is there; a directory keeps what is in it.

        Directories above that are not there are made; BuildError where one of them is something else.
        """
        directory, name = posixpath.split(entry.path)
        above = self._make(directory)
        node = above.children.get(name)
        if node and node.entry.kind == entry.kind == DIRECTORY:
            node.entry = entry
        else:
            above.children[name] = _Node(entry)

    def clear(self, directory: str) -> None:
        """Remove all that is in a directory."""
        node = self._find(directory)
        if node:
            node.children.clear()

    def apply(self, layer: t.Sequence[Entry]) -> None:
        """Put a layer over what is there, its whiteouts first; BuildError where nodes would refuse it."""
        for entry in layer:
            self._apply_whiteout(entry.path)
        for entry in layer:
            if not posixpath.basename(entry.path).startswith(WHITEOUT):
                self.put(entry)

    def _apply_whiteout(self, path: str) -> None:
        directory, name = posixpath.split(path)
        if name == OPAQUE:
            self.clear(directory)
        elif name.startswith(WHITEOUT):
            above = self._find(directory)
            if above:
                above.children.pop(name[len(WHITEOUT) :], None)

    def _make(self, path: str) -> _Node:
        node, done = self._root, ""
        for name in path.split("/") if path else ():
            done = posixpath.join(done, name)
            node = node.children.setdefault(name, _Node(Entry(done, DIRECTORY, 0o755)))
            if node.entry.kind != DIRECTORY:
                raise BuildError(f"{path} cannot be made", why=f"{done} is a {node.entry.kind}")
        return node

    def _find(self, path: str) -> t.Optional[_Node]:
        node: t.Optional[_Node] = self._root
        for name in path.split("/") if path else ():
            node = node.children.get(name) if node else None
        return node


def directories_above(path: str) -> t.List[str]:
    """The directories that a path lies in, the outermost first, without the root."""
    names = path.split("/")[:-1]
    return ["/".join(names[: count + 1]) for count in range(len(names))]
