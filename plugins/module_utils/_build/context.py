# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The build context: a directory, less what .sealignore leaves out. Nothing outside it is ever read.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import Where
from ansible_collections.sealer.cluster.plugins.module_utils._build.patterns import (
    IgnoreRule,
    IgnoreRules,
    compile_glob,
    is_glob,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layers import WHITEOUT

IGNORE_FILE = ".sealignore"
FILE, DIRECTORY, LINK, SPECIAL = "file", "directory", "link", "device or pipe"


@dataclass(frozen=True)
class Node:
    """One file, directory or link; `path` is relative to the context."""

    path: str
    kind: str
    source: str
    executable: bool = False
    target: str = ""

    @property
    def name(self) -> str:
        return posixpath.basename(self.path)


class Context:
    """Selects files below one directory."""

    def __init__(self, root: str, *, without: t.Collection[str] = ()) -> None:
        self.root = os.path.realpath(root)
        if not os.path.isdir(self.root):
            raise BuildError("the build context is no directory", where=root, fix="Set `path` to an existing directory")
        self.rules = _read_rules(self.root)
        self._without = {os.path.join(os.path.realpath(os.path.dirname(one)), os.path.basename(one)) for one in without}
        self._listed: t.Optional[t.List[str]] = None

    def select(self, source: str, where: Where) -> t.List[Node]:
        """What a source of COPY or APP names: one node for a path, any number, but not none, for a pattern."""
        path = _normal(source, where)
        if not is_glob(path):
            return [self._single(path, source, where)]
        try:
            expression = compile_glob(path)
        except (ValueError, re.error) as error:
            raise where.error(f"{source} is no pattern", why=str(error)) from error
        found = [one for one in self._all() if expression.fullmatch(one)]
        if not found:
            raise where.error(
                f"no file matches {source}", why=f"looked in {self.root}", fix=f"Correct the pattern or {IGNORE_FILE}"
            )
        return [self._single(one, source, where) for one in found]

    def below(self, directory: Node) -> t.List[Node]:
        """Everything in a directory, sorted; paths are relative to that directory."""
        found = self._walk(directory.source, directory.path, "")
        return sorted((_node(full, path) for full, path in found), key=lambda node: node.path)

    def _all(self) -> t.List[str]:
        if self._listed is None:
            self._listed = sorted(path for _full, path in self._walk(self.root, "", ""))
        return self._listed

    def _single(self, path: str, source: str, where: Where) -> Node:
        full = os.path.join(self.root, path) if path else self.root
        real = os.path.realpath(full)
        if real != self.root and not real.startswith(self.root + os.sep):
            raise where.error(f"{source} leaves the build context", why=f"it is {real}", fix="Copy it into the context")
        if not os.path.lexists(full) or not os.path.exists(real):
            raise where.error(f"{source} does not exist", why=f"looked for {full}", fix="Correct the path")
        rule = self._ignored_by(path, real)
        if rule and not (self.rules.has_exceptions and os.path.isdir(real)):
            raise where.error(f"{source} is left out by {IGNORE_FILE}", why=f"rule in line {rule.line}")
        if self._is_without(full) or self._is_without(real):
            raise where.error(f"{source} cannot be copied", why="the build writes it")
        _check_name(full)
        kind, executable = _kind(real)
        return Node(path, kind, real, executable)

    def _ignored_by(self, path: str, real: str) -> t.Optional[IgnoreRule]:
        """The rule that leaves a file out, by the name asked for or, behind a link, by its own."""
        own = os.path.relpath(real, self.root)
        names = dict.fromkeys((path or ".", own))
        return next((rule for name in names if name != "." for rule in [self.rules.ignored_by(name)] if rule), None)

    def _is_without(self, full: str) -> bool:
        return bool(self._without) and full in self._without

    def _walk(self, directory: str, context_path: str, relative: str) -> t.Iterator[t.Tuple[str, str]]:
        """Full and relative paths of all that is not left out."""
        try:
            with os.scandir(directory) as scan:
                names = sorted(entry.name for entry in scan)
        except OSError as error:
            raise BuildError("cannot read a directory", where=directory, why=error.strerror or str(error)) from error
        for name in names:
            full = os.path.join(directory, name)
            in_context = posixpath.join(context_path, name)
            path = posixpath.join(relative, name)
            ignored = self._ignored_by(in_context, full) is not None
            if self._is_without(full) or (ignored and not self.rules.has_exceptions):
                continue
            if not ignored:
                yield full, path
            if os.path.isdir(full) and not os.path.islink(full):
                yield from self._walk(full, in_context, path)


def _read_rules(root: str) -> IgnoreRules:
    path = os.path.join(root, IGNORE_FILE)
    try:
        with open(path, encoding="utf-8") as handle:
            return IgnoreRules.parse(handle.read(), path)
    except FileNotFoundError:
        return IgnoreRules()
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError("cannot read the ignore file", where=path, why=str(error)) from error


def _normal(source: str, where: Where) -> str:
    if ".." in source.split("/"):
        raise where.error(f"{source} leaves the build context", fix="Name a path below the context, without ..")
    path = posixpath.normpath(source.lstrip("/")) if source.strip("/") else ""
    return "" if path == "." else path


def _check_name(full: str) -> None:
    try:
        full.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BuildError("a file name is no UTF-8", where=repr(full), fix="Rename it or ignore it") from error
    if os.path.basename(full).startswith(WHITEOUT):
        raise BuildError(
            f"a file name begins with {WHITEOUT}", where=full, why="in a layer that deletes a file", fix="Rename it"
        )


def _node(full: str, path: str) -> Node:
    _check_name(full)
    if os.path.islink(full):
        return Node(path, LINK, full, target=os.readlink(full))
    kind, executable = _kind(full)
    return Node(path, kind, full, executable)


def _kind(full: str) -> t.Tuple[str, bool]:
    try:
        mode = os.stat(full).st_mode
    except OSError as error:
        raise BuildError("cannot read a file", where=full, why=error.strerror or str(error)) from error
    if stat.S_ISDIR(mode):
        return DIRECTORY, True
    if not stat.S_ISREG(mode):
        raise BuildError("neither file, directory nor link", where=full, fix=f"Remove it or list it in {IGNORE_FILE}")
    return FILE, bool(mode & stat.S_IXUSR)
