# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which commands launch the applications of an image, and which of them are done already.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shlex
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

# No application can be called so: their names hold no blanks.
IMAGE_COMMANDS = "cluster image"
_CHUNK = 1 << 20
_MANIFEST_SUFFIXES = (".json", ".yaml", ".yml")


@dataclasses.dataclass(frozen=True)
class Step:
    """One command: `manifest` is set when it is a plain kubectl apply of one file."""

    owner: str
    number: int
    command: str
    directory: str
    environ: t.Mapping[str, str]
    fingerprint: str
    manifest: str = ""

    def __str__(self) -> str:
        return f"{self.owner}: {self.command}"


def plan(
    description: Json,
    *,
    rootfs: str,
    image_digest: str,
    env: t.Mapping[str, str],
    launch: t.Sequence[str],
    filled: str = "",
) -> t.List[Step]:
    """The steps in their order: the applications that are launched, then the commands of the image itself.

    filled: where the files of applications are whose templates are filled in, at the paths that they have in the image.
    """
    steps: t.List[Step] = []
    environs = environs_of(description, env, launch)
    for item in chosen(description, launch):
        own = os.path.join(filled, item["path"])
        directory = own if filled and os.path.isdir(own) else os.path.join(rootfs, item["path"])
        steps += _steps(item["name"], item["cmds"], directory, environs[item["path"]], tree_digest(directory))
    return steps + _steps(IMAGE_COMMANDS, description["cmds"], rootfs, {**description["env"], **env}, image_digest)


def environs_of(description: Json, env: t.Mapping[str, str], launch: t.Sequence[str]) -> t.Dict[str, t.Dict[str, str]]:
    """The variables of each application that is launched, by its directory in the image."""
    items = chosen(description, launch)
    return {item["path"]: {**description["env"], **item["env"], **env} for item in items}


def chosen(description: Json, launch: t.Sequence[str]) -> t.List[Json]:
    """The applications that are launched, in their order. Raises ClusterError for one that the image does not have."""
    applications = {item["name"]: item for item in description["applications"]}
    names = list(launch) or list(description["launch"])
    unknown = [name for name in names if name not in applications]
    if unknown:
        raise ClusterError(
            f"the image has no application {', '.join(unknown)}",
            why=f"it has {', '.join(sorted(applications)) or 'none'}",
            fix="Correct the list of applications to launch",
        )
    return [applications[name] for name in names]


def files_of(description: Json, launch: t.Sequence[str]) -> t.List[str]:
    """Paths in the image, files and directories, from which it can be told what a launch would change."""
    items = chosen(description, launch)
    applied = [manifest_of(command, item["path"]) for item in items for command in item["cmds"]]
    applied += [manifest_of(command, ".") for command in description["cmds"]]
    return [item["path"] for item in items] + [os.path.normpath(path) for path in applied if path]


def _steps(
    owner: str, commands: t.Sequence[str], directory: str, environ: t.Mapping[str, str], content: str
) -> t.List[Step]:
    steps = []
    for number, command in enumerate(commands):
        known = json.dumps([content, sorted(environ.items()), list(commands[: number + 1])])
        fingerprint = "sha256:" + hashlib.sha256(known.encode()).hexdigest()
        manifest = manifest_of(command, directory)
        steps.append(Step(owner, number + 1, command, directory, environ, fingerprint, manifest))
    return steps


def manifest_of(command: str, directory: str) -> str:
    """The file of a plain `kubectl apply -f FILE`, or nothing for any other command."""
    try:
        words = shlex.split(command)
    except ValueError:
        return ""
    if len(words) != 4 or words[:3] != ["kubectl", "apply", "-f"] or set(words[3]) & set("$`*?[]{}~|&;<>()"):
        return ""
    if words[3] == "-" or "://" in words[3]:
        return ""
    return os.path.join(directory, words[3])


def manifest_files(manifest: str) -> t.List[str]:
    """The files that kubectl reads of a manifest, which may be a directory."""
    if not os.path.isdir(manifest):
        return [manifest]
    return [os.path.join(manifest, name) for name in sorted(os.listdir(manifest)) if name.endswith(_MANIFEST_SUFFIXES)]


def tree_digest(directory: str) -> str:
    """Digest of all files below a directory; that of nothing where there is no directory."""
    total = hashlib.sha256()
    for place, children, files in os.walk(directory):
        children.sort()
        linked = [name for name in children if os.path.islink(os.path.join(place, name))]
        for name in sorted(files + linked):
            path = os.path.join(place, name)
            total.update(os.path.relpath(path, directory).encode("utf-8", "surrogateescape") + b"\0")
            if os.path.islink(path):
                total.update(os.readlink(path).encode("utf-8", "surrogateescape"))
            else:
                total.update(_file_digest(path))
    return total.hexdigest()


def _file_digest(path: str) -> bytes:
    found = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(_CHUNK), b""):
            found.update(block)
    return found.digest()


def environment(option: str, values: t.Mapping[str, t.Any]) -> t.Dict[str, str]:
    """An option's variables as texts: truth as true and false, as Kubernetes and shells read it."""
    told: t.Dict[str, str] = {}
    for name, value in values.items():
        if not isinstance(value, (str, int, float)):
            raise ClusterError(
                f"{option}: {name} is no text",
                why=f"it is of type {type(value).__name__}",
                fix="Give a text or a number",
            )
        told[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return told
