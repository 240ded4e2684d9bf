# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applications of a Kubefile: which type their files make them, and how such a type is started.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import posixpath
import shlex
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build import imagelist
from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, Context
from ansible_collections.sealer.cluster.plugins.module_utils._build.description import (
    APPLICATIONS,
    KUBE,
    SHELL,
    Application,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry, Ownership
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer_draft import LayerDraft
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import Where
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import Tree
from ansible_collections.sealer.cluster.plugins.module_utils._template import plain_name

_KUBE_SUFFIXES = (".yaml", ".yml", ".json")
_SHELL_SUFFIX = ".sh"


def collect(
    context: Context,
    tree: Tree,
    name: str,
    sources: t.Sequence[t.Tuple[str, Where]],
    where: Where,
    replaces_base: bool,
) -> t.Tuple[LayerDraft, t.List[str]]:
    """An application's layer, and its files relative to its directory in the order they were named."""
    root = f"{APPLICATIONS}/{name}"
    draft = LayerDraft(tree, where, Ownership())
    if replaces_base:
        draft.empty_directory(root)
    else:
        draft.directory(root)
    files: t.List[str] = []
    for source, place in sources:
        for node in context.select(source, place):
            below = context.below(node) if node.kind == DIRECTORY else []
            if node.kind == DIRECTORY and not any(one.kind != DIRECTORY for one in below):
                raise place.error(f"{source} holds no file", fix="Correct the path or .sealignore")
            for one in below or [node]:
                path = one.path if below else one.name
                draft.put(Entry.of(one, f"{root}/{path}", Ownership()), place)
                if one.kind != DIRECTORY:
                    files.append(path)
    return draft, files


def describe(name: str, files: t.Sequence[str]) -> t.Tuple[Application, str]:
    """The application with its type's commands; or without any, and why no type is known."""
    relevant = [one for one in files if posixpath.basename(one) != imagelist.NAME]
    paths = tuple(f"{APPLICATIONS}/{name}/{one}" for one in relevant)
    relevant = [plain_name(one) for one in relevant]
    if any(posixpath.basename(one) == "Chart.yaml" for one in relevant):
        return Application(name, SHELL, paths, ()), "it is a Helm chart, and charts are not supported yet"
    if relevant and all(one.endswith(_KUBE_SUFFIXES) for one in relevant):
        return Application(name, KUBE, paths, tuple(f"kubectl apply -f {shlex.quote(one)}" for one in relevant)), ""
    if relevant and all(one.endswith(_SHELL_SUFFIX) for one in relevant):
        return Application(name, SHELL, paths, tuple(f"bash {shlex.quote(one)}" for one in relevant)), ""
    odd = next((one for one in relevant if not one.endswith(_KUBE_SUFFIXES + (_SHELL_SUFFIX,))), "")
    why = f"{odd} is neither YAML, JSON nor a .sh script" if odd else "it mixes Kubernetes documents and scripts"
    return Application(name, SHELL, paths, ()), why
