# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the options of host_config ask for.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import posixpath
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import host_items
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_blocks import BlockItem
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_files import KEPT_BYTES
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_sysctl import plain
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_units import Unit
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_OWNER = re.compile(r"[a-z0-9][a-z0-9_-]*")
_MODULE = re.compile(r"[A-Za-z0-9_-]+")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(service|socket|timer|mount|path|target|slice)")
_HEADER = "# Written by the Ansible collection sealer.cluster for {owner}.\n"


def wanted_items(owner: str, params: Json) -> t.List[host_items.Item]:
    """Everything asked for but units, with the files that make it last beyond a restart of the host."""
    if not _OWNER.fullmatch(owner):
        raise ClusterError(f"owner {owner!r} is not a name", why="it has to be of lower-case letters, digits, - and _")
    items: t.List[host_items.Item] = [_module(name) for name in params["kernel_modules"]]
    items += [
        host_items.DirectoryItem(_path(item["path"]), _mode(item) if item["mode"] else None)
        for item in params["directories"]
    ]
    items += [host_items.UserItem(_user(name)) for name in params["users"]]
    items += [host_items.StateItem(_path(item["path"]), _mode(item)) for item in params["state_directories"]]
    given = [(item["path"], item["user"]) for item in params["state_directories"] if item["user"]]
    items += [host_items.OwnedItem(path, _user(user)) for path, user in given]
    items += [_file(item) for item in params["files"]]
    items += [_secret(path, content, params["secrets_group"]) for path, content in sorted(params["secrets"].items())]
    items += [_block(owner, item) for item in params["blocks"]]
    items += [host_items.LinkItem(_path(item["path"]), str(item["target"])) for item in params["links"]]
    sysctls = {name: _value(name, value) for name, value in sorted(params["sysctls"].items())}
    items += [host_items.SysctlItem(name, value) for name, value in sysctls.items()]
    if sysctls:
        items.append(
            _lasting(f"/etc/sysctl.d/90-sealer-{owner}.conf", owner, (f"{n} = {v}" for n, v in sysctls.items()))
        )
    if params["kernel_modules"]:
        items.append(_lasting(f"/etc/modules-load.d/sealer-{owner}.conf", owner, params["kernel_modules"]))
    return items


def wanted_units(params: Json) -> t.List[Unit]:
    units = []
    for item in params["units"]:
        if not _UNIT.fullmatch(item["name"]):
            raise ClusterError(
                f"{item['name']!r} is not the name of a unit", fix="Give it whole, as in containerd.service"
            )
        running = item["state"] == "started"
        restart_on, reload_on = ([_path(path) for path in item[option]] for option in ("restart_on", "reload_on"))
        units.append(Unit(item["name"], item["enabled"], running, restart_on, reload_on))
    return units


def _lasting(path: str, owner: str, lines: t.Iterable[str]) -> host_items.FileItem:
    text = _HEADER.format(owner=owner) + "".join(f"{line}\n" for line in lines)
    return host_items.FileItem(path, text.encode())


def _file(item: Json) -> host_items.FileItem:
    path, content = _path(item["path"]), str(item["content"]).encode()
    if len(content) > KEPT_BYTES:
        raise ClusterError(
            "this file is too big to be managed as configuration",
            where=path,
            why=f"{len(content)} bytes, at most {KEPT_BYTES}",
        )
    group = _user(item["group"]) if item["group"] else ""
    return host_items.FileItem(path, content, _mode(item), bool(item["sensitive"]), group)


def _block(owner: str, item: Json) -> BlockItem:
    content = item["content"]
    if not content.endswith("\n") or any(line.startswith("#") for line in content.splitlines()):
        raise ClusterError(
            "lines for a file have to be whole lines, none of which is a comment", where=str(item["path"]), why=content
        )
    return BlockItem.of(_path(item["path"]), owner, content)


def _secret(path: str, content: t.Any, group: t.Optional[str]) -> host_items.FileItem:
    if not isinstance(content, str):
        raise ClusterError("a secret has to be a text", where=path)
    mode = "0640" if group else "0600"
    return _file({"path": path, "content": content, "mode": mode, "group": group, "sensitive": True})


def _user(name: str) -> str:
    if not _USER.fullmatch(name):
        raise ClusterError(f"{name!r} is not the name of a user or group")
    return name


def _module(name: str) -> host_items.ModuleItem:
    if not _MODULE.fullmatch(name):
        raise ClusterError(f"{name!r} is not the name of a kernel module")
    return host_items.ModuleItem(name)


def _value(name: str, value: t.Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or "\n" in str(value):
        raise ClusterError(f"kernel parameter {name} cannot be {value!r}", fix="Give a number or a string of one line")
    return plain(str(value))


def _path(path: str) -> str:
    if not path.startswith("/") or path.startswith("//") or posixpath.normpath(path) != path or path == "/":
        raise ClusterError(
            f"{path!r} is not a plain absolute path", fix="Write it without //, /./, /../ or a / at its end"
        )
    return path


def _mode(item: Json) -> int:
    mode = item["mode"]
    try:
        number = int(mode, 8) if isinstance(mode, str) else -1
    except ValueError:
        number = -1
    if not 0 <= number <= 0o7777:
        raise ClusterError(f"mode {mode!r} is not octal", where=str(item["path"]), fix="Write it quoted, as in '0644'")
    return number
