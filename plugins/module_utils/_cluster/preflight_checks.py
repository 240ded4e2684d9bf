# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong with a host before a cluster is installed on it; each finding says what, why and what to do.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import sys
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import (
    preflight_cluster,
    preflight_ports,
    preflight_routes,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_files import listed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_units import KIND as UNIT
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.registry_access import Registry
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import BY_RUNTIME
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform

# Present where a role of this collection has made a node, and only there.
OWN_STATE = ("/etc/sealer/cluster.json", *(traces.record_path for traces in BY_RUNTIME.values()))
RIVALS = (
    "containerd.service",
    "k0scontroller.service",
    "k0sworker.service",
    "k3s-agent.service",
    "k3s.service",
    "kubelet.service",
    "rke2-agent.service",
    "rke2-server.service",
)
_UNIT_PLACES = (
    "/etc/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/usr/local/lib/systemd/system",
)
_SOCKET = "/run/containerd/containerd.sock"
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_OLDEST_PYTHON = (3, 8)
# The role registry, as an owner in the journal.
_MIRROR = "registry"


@dataclass(frozen=True)
class Port:
    """A TCP port that has to be free, and who will listen there."""

    number: int
    why: str


@dataclass(frozen=True)
class Space:
    """Bytes that a path will hold in the end."""

    path: str
    bytes: int


@dataclass(frozen=True)
class Wanted:
    """What the host has to fit."""

    platforms: t.Sequence[str] = ()
    ports: t.Sequence[Port] = ()
    spaces: t.Sequence[Space] = ()
    swap_allowed: bool = False
    controller_time: t.Optional[float] = None
    time_skew: float = 120
    service_subnets: t.Sequence[str] = ()
    registries: t.Sequence[Registry] = ()
    cluster: t.Optional[Json] = None
    recorded: t.Optional[Json] = None
    # Whether the host is to serve images; None where that does not matter.
    registry: t.Optional[bool] = None


@dataclass
class Found:
    """What is wrong, and what is merely worth knowing."""

    problems: t.List[SealerError] = field(default_factory=list)
    warnings: t.List[str] = field(default_factory=list)

    def problem(self, what: str, why: str = "", fix: str = "") -> None:
        self.problems.append(ClusterError(what, why=why, fix=fix))


def examine(host: Host, journal: Journal, wanted: Wanted, now: float, name: str) -> Found:
    """Everything that is wrong, at once."""
    found = Found()
    _system(host, found)
    _platform(wanted.platforms, found)
    _name(name, found)
    _clock(wanted, now, found)
    _swap(host, wanted.swap_allowed, found)
    _rivals(host, journal, found)
    _kubernetes(host, found)
    for port in wanted.ports:
        holder = preflight_ports.foreign_holder(host, journal, port.number)
        if holder is not None:
            found.problem(
                f"port {port.number} is taken", f"{holder} listens there, and {port.why} has to", "Stop it, or move it"
            )
    _space(host, wanted.spaces, found)
    _routes(wanted.service_subnets, found)
    _registries(wanted.registries, found)
    if wanted.registry is False and _MIRROR in journal.owners:
        found.warnings.append(
            "A mirror is on this host, and the inventory has the host in no registry group, so that no node asks it."
            " To remove it with its images, put the host into the group for one run of the playbook"
            " sealer.cluster.registry with --limit HOST -e registry_state=absent"
        )
    if wanted.cluster:
        found.problems.extend(preflight_cluster.problems(host, wanted.cluster, wanted.recorded or {}))
    return found


def _system(host: Host, found: Found) -> None:
    if os.geteuid() != 0:
        found.problem("the connection does not act as root", "units and kernel settings need it", "Set become: true")
    if sys.version_info[:2] < _OLDEST_PYTHON:
        found.problem(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old",
            "3.8 is the oldest that works",
            "Install a newer one and set ansible_python_interpreter",
        )
    if not os.path.isdir(host.at("/run/systemd/system")):
        found.problem(
            "systemd does not run this host", "services are its units", "Use a host with systemd as process 1"
        )


def _platform(platforms: t.Sequence[str], found: Found) -> None:
    own = Platform.host()
    if platforms and not any(Platform.parse(text).matches(own) for text in platforms):
        found.problem(
            f"the image is not made for {own}",
            f"it is made for {', '.join(platforms)}",
            f"Build it with platforms: [{own}], too",
        )


def _name(name: str, found: Found) -> None:
    plain = name.lower()
    if len(plain) > 253 or not all(_LABEL.fullmatch(label) for label in plain.split(".")):
        found.problem(
            f"host name {name!r} cannot name a node",
            "names are of letters, digits and -, in parts of 1 to 63 with dots between",
            "Set another one with hostnamectl",
        )
    elif plain == "localhost" or plain.startswith("localhost."):
        found.problem(f"host name {name!r} tells hosts apart from nothing", fix="Set another one with hostnamectl")


def _clock(wanted: Wanted, now: float, found: Found) -> None:
    if wanted.controller_time is None:
        return
    skew = now - wanted.controller_time
    if abs(skew) > wanted.time_skew:
        found.problem(
            f"the clock is {abs(skew):.0f} seconds {'ahead' if skew > 0 else 'behind'}",
            f"certificates and leases allow {wanted.time_skew:.0f}",
            "Set up time synchronisation, as by chrony",
        )


def _swap(host: Host, allowed: bool, found: Found) -> None:
    if allowed:
        return
    try:
        with open(host.at("/proc/swaps"), encoding="utf-8") as stream:
            devices = [line.split()[0] for line in stream.readlines()[1:] if line.split()]
    except FileNotFoundError:
        return
    if devices:
        found.problem(
            f"swap is on: {', '.join(devices)}",
            "the kubelet refuses to start",
            "Run swapoff and take it out of /etc/fstab, or set failSwapOn: false in kubeadm_kubelet_configuration",
        )


def _rivals(host: Host, journal: Journal, found: Found) -> None:
    own = {record.name for owner in journal.owners for record in journal.records(owner) if record.kind == UNIT}
    for unit in RIVALS:
        path = next((f"{place}/{unit}" for place in _UNIT_PLACES if _holds_unit(host.at(f"{place}/{unit}"))), None)
        if path is not None and unit not in own:
            found.problem(
                f"{unit} is installed already, and not by this collection",
                f"{path} is there",
                "Remove the package or the installation that it belongs to",
            )
    if os.path.exists(host.at(_SOCKET)) and "containerd.service" not in own:
        found.problem(
            f"a container runtime listens at {_SOCKET} already", "two cannot share it", "Stop and remove the other one"
        )


def _holds_unit(path: str) -> bool:
    """A unit that is masked (a link to /dev/null) can harm nobody."""
    return os.path.lexists(path) and not (os.path.islink(path) and os.readlink(path) == "/dev/null")


def _kubernetes(host: Host, found: Found) -> None:
    if any(os.path.exists(host.at(path)) for path in OWN_STATE):
        return
    files = [name for _top, _names, names in os.walk(host.at("/etc/kubernetes")) for name in names]
    if files:
        found.problem(
            "this host is part of a Kubernetes cluster that this collection does not know",
            f"/etc/kubernetes holds {', '.join(sorted(files)[:3])}",
            "Take it out of that cluster and run kubeadm reset",
        )
    networks = listed(host.at("/etc/cni/net.d"))
    if networks:
        found.warnings.append(
            f"/etc/cni/net.d holds {', '.join(networks)}, which is left as it is;"
            " the container runtime takes the first name in alphabetical order"
        )


def _space(host: Host, spaces: t.Sequence[Space], found: Found) -> None:
    """What paths on the same file system need is added up; what is there already is not needed again."""
    needs: t.Dict[int, t.List[Space]] = {}
    free: t.Dict[int, int] = {}
    for space in spaces:
        place = _nearest(host.at(space.path))
        device = os.stat(place).st_dev
        missing = max(0, space.bytes - used(host.at(space.path)))
        needs.setdefault(device, []).append(Space(space.path, missing))
        status = os.statvfs(place)
        free[device] = status.f_bavail * status.f_frsize
    for device, parts in needs.items():
        total = sum(part.bytes for part in parts)
        if total > free[device]:
            listed_parts = ", ".join(f"{part.path} {readable(part.bytes)}" for part in parts if part.bytes)
            found.problem(
                f"{readable(total)} of disk space are needed and {readable(free[device])} are free",
                f"on the file system of {listed_parts}",
                "Free some, or give these paths a file system of their own",
            )


def _routes(subnets: t.Sequence[str], found: Found) -> None:
    for address in preflight_routes.service_addresses(subnets):
        why = preflight_routes.why_unreachable(address)
        if why:
            found.problem(
                f"there is no route to the addresses of Services ({address}): {why}",
                "the kernel refuses such a connection before kube-proxy can redirect it, and then pods do not start",
                "Add a default route, also where it leads nowhere: ip route add default dev INTERFACE",
            )


def _registries(registries: t.Sequence[Registry], found: Found) -> None:
    for registry in registries:
        try:
            registry.check()
        except SealerError as error:
            found.problems.append(error)


def used(path: str) -> int:
    """Bytes on disk below a path, without what is mounted there."""
    try:
        device = os.lstat(path).st_dev
    except FileNotFoundError:
        return 0
    total = 0
    for top, names, files in os.walk(path):
        names[:] = [name for name in names if _device(os.path.join(top, name)) == device]
        total += sum(_blocks(os.path.join(top, name)) for name in files)
    return total


def _device(path: str) -> int:
    try:
        return os.lstat(path).st_dev
    except FileNotFoundError:
        return -1


def _blocks(path: str) -> int:
    try:
        return os.lstat(path).st_blocks * 512
    except FileNotFoundError:
        return 0


def _nearest(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def readable(count: int) -> str:
    """Bytes as people read them."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"
