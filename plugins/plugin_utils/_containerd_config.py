# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Telling a containerd that is there already where hosts.toml files are; the rest of its configuration stays as it is.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import re
import typing as t

import tomllib
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

PATH = "/etc/containerd/config.toml"
DIRECTORY = "/etc/containerd/certs.d"

_PLUGINS = {1: "cri", 2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}
_NEW = "version = 2\n"
_UNSET = re.compile(r"""[ \t]*config_path[ \t]*=[ \t]*(?:""|'')[ \t]*(?:#.*)?\n?""")


def with_hosts_directory(text: str) -> tuple[str, str]:
    """The configuration with a directory of hosts.toml files, and that directory; the text itself where it has one.

    From version 3 on, which containerd 2 writes, it has one unless told otherwise.
    """
    text = text if text.strip() else _NEW
    before = _parsed(text)
    version = before.get("version", 1)
    plugin = _PLUGINS.get(version)
    if plugin is None:
        raise _cannot(f"its version {version!r} is not known")
    registry = _registry(before, plugin)
    if registry.get("mirrors") or registry.get("configs"):
        raise ClusterError(
            "containerd has mirrors in its configuration",
            where=PATH,
            why=f"the sections mirrors and configs of plugin {plugin} exclude hosts.toml files",
            fix="Take them out of it, and give what they say as variables.",
        )
    found = registry.get("config_path")
    if found:
        return text, str(found).partition(":")[0]
    if version >= 3 and found is None:
        return text, DIRECTORY
    after = _inserted(text, plugin)
    if _parsed(after) != _expected(before, plugin):
        raise _cannot(f"there is no place for config_path of plugin {plugin} that leaves the rest as it is")
    return after, DIRECTORY


def _inserted(text: str, plugin: str) -> str:
    """The text with the setting in its table, which is added at the end where it is missing."""
    line = f"config_path = {json.dumps(DIRECTORY)}\n"
    quoted = "|".join(re.escape(f"{quote}{plugin}{quote}") for quote in ('"', "'", ""))
    header = re.search(
        rf"^[ \t]*\[[ \t]*plugins[ \t]*\.[ \t]*(?:{quoted})[ \t]*\.[ \t]*registry[ \t]*\][^\n]*\n?", text, re.M
    )
    if header is None:
        table = f'[plugins."{plugin}".registry]' if "." in plugin else f"[plugins.{plugin}.registry]"
        return f"{text.rstrip()}\n\n{table}\n{line}"
    head, rest = text[: header.end()], text[header.end() :]
    own, bracket, others = rest.partition("\n[") if not rest.startswith("[") else ("", "", rest)
    return f"{head if head.endswith(chr(10)) else head + chr(10)}{line}{_UNSET.sub('', own, count=1)}{bracket}{others}"


def _expected(before: t.Mapping[str, t.Any], plugin: str) -> dict[str, t.Any]:
    plugins = dict(before.get("plugins") or {})
    own = dict(plugins.get(plugin) or {})
    own["registry"] = {**(own.get("registry") or {}), "config_path": DIRECTORY}
    return {**before, "plugins": {**plugins, plugin: own}}


def _registry(document: t.Mapping[str, t.Any], plugin: str) -> t.Mapping[str, t.Any]:
    found: t.Any = document
    for key in ("plugins", plugin, "registry"):
        found = found.get(key) or {}
        if not isinstance(found, t.Mapping):
            raise _cannot(f"{key} is not a table")
    return t.cast("t.Mapping[str, t.Any]", found)


def _parsed(text: str) -> dict[str, t.Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _cannot(str(error)) from error


def _cannot(why: str) -> ClusterError:
    return ClusterError(
        "containerd's configuration cannot be changed",
        where=PATH,
        why=why,
        fix=f"Set config_path = {json.dumps(DIRECTORY)} in it by hand.",
    )
