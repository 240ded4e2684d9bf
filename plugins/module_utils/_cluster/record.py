# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""/var/lib/sealer/<runtime>.json: what a host was like before the runtime changed it, for reset to put back.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, fields

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import mounts, netfilter, processes
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


@dataclass(frozen=True)
class Before:
    """What is known of a host as it was before.

    sysctls: values by name; directories: what was in them; files, links, addresses: those that there were; nft_tables:
    family and name of each, None where it is not known; mounts: mount points; resolved: where directories really were
    that were links; rules: what netfilter.snapshot() told; cgroups: those of pods.
    """

    sysctls: t.Mapping[str, str] = field(default_factory=dict)
    directories: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    files: t.Sequence[str] = ()
    links: t.Sequence[str] = ()
    addresses: t.Sequence[str] = ()
    nft_tables: t.Optional[t.Sequence[t.Sequence[str]]] = None
    mounts: t.Sequence[str] = ()
    resolved: t.Mapping[str, str] = field(default_factory=dict)
    rules: t.Mapping[str, t.Sequence[str]] = field(default_factory=dict)
    cgroups: t.Sequence[str] = ()

    @classmethod
    def of(cls, found: t.Optional[Json]) -> Before:
        """What a record tells; without one, nothing is known."""
        told = found["before"] if found else {}
        return cls(**{one.name: told[one.name] for one in fields(cls) if one.name in told})


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
    mounted = mounts.read()
    return {
        "sysctls": {name: value for name in traces.sysctls for value in [read_sysctl(name)] if value is not None},
        "directories": {path: found for path in traces.directories for found in [_entries(path)] if found is not None},
        "files": [path for path in traces.files if os.path.exists(path)],
        "links": link_names(run),
        "addresses": [address for _link, address in addresses(run)],
        "nft_tables": [list(table) for table in netfilter.nft_tables(run)],
        "mounts": sorted({mount.point for mount in mounted}),
        "resolved": {path: os.path.realpath(path) for path in traces.directories if os.path.islink(path)},
        "rules": netfilter.snapshot(run),
        "cgroups": processes.pods_cgroups(mounted),
    }


def read_record(path: str = RECORD_PATH) -> t.Optional[Json]:
    return read_json(path)


def start(run: Runner, action: str, traces: Traces = KUBEADM) -> None:
    """Note that the runtime is about to change this host; what an unfinished attempt noted before stays."""
    earlier = read_json(traces.record_path)
    before = earlier["before"] if earlier else snapshot(run, traces)
    write_json(traces.record_path, {"schemaVersion": 1, "action": action, "state": STARTED, "before": before})


def finish(cluster: str, node: str, role: str, path: str = RECORD_PATH) -> None:
    """Note that it came to its end, and which node of which cluster the host is; role: as a state has it."""
    record = read_json(path) or {}
    record.update(cluster=cluster, node=node, role=role, state=DONE)
    write_json(path, record)


def unfinished(found: t.Optional[Json]) -> bool:
    """Whether an earlier attempt was cut off in the middle."""
    return found is not None and found.get("state") != DONE


def forget(path: str = RECORD_PATH) -> None:
    remove(path)
