# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""COPY: which files of the context go where in the rootfs.

Private to the collection: may change at any time.

Destinations are resolved as buildah 1.28 and later do it; tests compare the two where buildah is installed.
"""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build import kubefile
from ansible_collections.sealer.cluster.plugins.module_utils._build.arguments import expand
from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, FILE, Context, Node
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry, Ownership
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer_draft import LayerDraft
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import Where, Word
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import Tree

_CHOWN = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")
_CHMOD = re.compile(r"[0-7]{3,4}")

_Source = t.Tuple[Node, Where]


def copy_files(arguments: kubefile.Copy, variables: t.Mapping[str, str], context: Context, tree: Tree) -> LayerDraft:
    """Put the sources into the tree."""
    word, ownership = arguments.destination, _ownership(arguments, variables)
    text = expand(word, variables)
    path = _destination(word, text)
    sources = _sources(arguments.sources, variables, context)
    draft = LayerDraft(tree, word.where(), ownership)
    there = draft.find(path)
    if _is_file(draft, word, text, path, there, sources):
        node, where = sources[0]
        draft.put(Entry.of(node, path, ownership), where)
        return draft
    directory = draft.directory(path)
    for node, where in sources:
        if node.kind != DIRECTORY:
            draft.put(Entry.of(node, posixpath.join(directory, node.name), ownership), where)
            continue
        if there is None:
            draft.put(Entry.of(node, directory, ownership), where)
        for one in context.below(node):
            draft.put(Entry.of(one, posixpath.join(directory, one.path), ownership), where)
    return draft


def _sources(words: t.Iterable[Word], variables: t.Mapping[str, str], context: Context) -> t.List[_Source]:
    found: t.List[_Source] = []
    for word in words:
        source = expand(word, variables)
        if not source:
            raise word.error("a source is empty")
        found.extend((node, word.where()) for node in context.select(source, word.where()))
    return found


def _is_file(
    draft: LayerDraft, word: Word, text: str, path: str, there: t.Optional[Entry], sources: t.Sequence[_Source]
) -> bool:
    """Whether the destination names the file itself, and not the directory to put it into."""
    whys = {
        "it ends with /": text.endswith(("/", "/.")),
        "several sources are copied": len(sources) > 1,
        "a directory is copied": sources[0][0].kind == DIRECTORY,
    }
    why = next((one for one, holds in whys.items() if holds), "")
    if there is None:
        # A link to what is not there is taken for one to a directory.
        return not why and draft.find(path, follow_last=False) is None
    if there.kind != DIRECTORY and (why or there.kind != FILE):
        raise word.error(f"{text} is a {there.kind}, and has to be a directory", why=why, fix="Name another destination")
    return there.kind == FILE


def _destination(word: Word, text: str) -> str:
    if not text or ".." in text.split("/"):
        raise word.error(f"{text!r} is no place in the rootfs", fix="Name a path without ..; / is the rootfs itself")
    path = posixpath.normpath(text).lstrip("/")
    return "" if path == "." else path


def _ownership(arguments: kubefile.Copy, variables: t.Mapping[str, str]) -> Ownership:
    uid = gid = 0
    mode: t.Optional[int] = None
    if arguments.chown:
        text = expand(arguments.chown, variables)
        found = _CHOWN.fullmatch(text)
        if not found:
            raise arguments.chown.error(f"--chown={text} is not numeric", fix="Write --chown=UID or --chown=UID:GID")
        uid = int(found.group(1))
        gid = int(found.group(2)) if found.group(2) else uid
        if max(uid, gid) >= 1 << 32:
            raise arguments.chown.error(f"--chown={text} is too large")
    if arguments.chmod:
        text = expand(arguments.chmod, variables)
        if not _CHMOD.fullmatch(text):
            raise arguments.chmod.error(f"--chmod={text} is not octal", fix="For example: --chmod=0755")
        mode = int(text, 8)
    return Ownership(uid, gid, mode)
