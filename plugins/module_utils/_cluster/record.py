# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/var/lib/sealer/<runtime>.json: what a host was like before the runtime changed it, for reset to put back.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import netfilter
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import (
    Json,
    read_json,
    remove,
    write_json,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.links import addresses, link_names
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import KUBEADM, Traces

RECORD_PATH = KUBEADM.record_path
STARTED = "started"
DONE = "done"


def sysctl_path(name: str) -> str:
    return "/proc/sys/" + name.replace(".", "/")


def read_sysctl(name: str) -> t.Optional[str]:
    """The value, or None where the kernel does not have it here."""
    try:
        with open(sysctl_path(name), encoding="ascii") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return None


def write_sysctl(name: str, value: str) -> None:
    with open(sysctl_path(name), "w", encoding="ascii") as stream:
        stream.write(value)


def _entries(directory: str) -> t.Optional[t.List[str]]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return None


def snapshot(run: Runner, traces: Traces) -> Json:
    """What reset has to know of the host as it is now."""
    return {
        "sysctls": {name: value for name in traces.sysctls for value in [read_sysctl(name)] if value is not None},
        "directories": {path: found for path in traces.directories for found in [_entries(path)] if found is not None},
        "files": [path for path in traces.files if os.path.exists(path)],
        "links": link_names(run),
        "addresses": [address for _link, address in addresses(run)],
        "nft_tables": [list(table) for table in netfilter.nft_tables(run)],
    }


def read_record(path: str = RECORD_PATH) -> t.Optional[Json]:
    return read_json(path)


def start(run: Runner, action: str, traces: Traces = KUBEADM) -> None:
    """Note that the runtime is about to change this host; what an unfinished attempt noted before stays."""
    earlier = read_json(traces.record_path)
    before = earlier["before"] if earlier else snapshot(run, traces)
    write_json(traces.record_path, {"schemaVersion": 1, "action": action, "state": STARTED, "before": before})


def finish(details: Json, path: str = RECORD_PATH) -> None:
    """Note that it came to its end."""
    record = read_json(path) or {}
    record.update(details, state=DONE)
    write_json(path, record)


def unfinished(found: t.Optional[Json]) -> bool:
    """Whether an earlier attempt was cut off in the middle."""
    return found is not None and found.get("state") != DONE


def forget(path: str = RECORD_PATH) -> None:
    remove(path)
