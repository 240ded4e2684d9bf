# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who listens on a TCP port, and whether that is one of ours.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_files import listed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_units import KIND as UNIT
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.processes import is_of_pods, is_of_unit, roots
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import BY_RUNTIME

_LISTENING = "0A"
_OWN_PROGRAMS = "/var/lib/sealer/"


def foreign_holder(host: Host, journal: Journal, port: int) -> t.Optional[str]:
    """The program that listens on a port, unless it is ours or nobody does."""
    inodes = {inode for name in ("tcp", "tcp6") for inode in _listeners(host.at(f"/proc/net/{name}"), port)}
    if not inodes:
        return None
    units = {record.name for owner in journal.owners for record in journal.records(owner) if record.kind == UNIT}
    for process in _holders(host, inodes):
        if not _is_ours(host, process, units):
            return f"{_text(host.at(f'/proc/{process}/comm')).strip()} (process {process})"
        return None
    return "a program of another process space"


def _listeners(path: str, port: int) -> t.Iterator[str]:
    for line in _text(path).splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
            yield words[9]


def _holders(host: Host, inodes: t.Set[str]) -> t.Iterator[str]:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in listed(host.at("/proc")):
        if process.isdigit():
            directory = host.at(f"/proc/{process}/fd")
            if any(_target(os.path.join(directory, name)) in wanted for name in _opened(directory)):
                yield process


def _is_ours(host: Host, process: str, units: t.Set[str]) -> bool:
    if _target(host.at(f"/proc/{process}/exe")).startswith(_OWN_PROGRAMS):
        return True
    lines = _text(host.at(f"/proc/{process}/cgroup")).splitlines()
    groups = [line.split(":", 2)[2] for line in lines if line.count(":") > 1]
    beginnings = roots(host.at("/proc"))
    if any(is_of_unit(group, units, beginnings) for group in groups):
        return True
    node = any(unit in units for traces in BY_RUNTIME.values() for unit in traces.units)
    return node and any(is_of_pods(group, beginnings) for group in groups)


def _opened(directory: str) -> t.List[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, PermissionError, NotADirectoryError):
        return []


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
