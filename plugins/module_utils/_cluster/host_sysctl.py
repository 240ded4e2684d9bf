# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel parameters and kernel modules.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import FORWARDING
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

# What shows that the kernel can do what a module brings, where /sys/module does not tell.
_SIGNS = {
    "br_netfilter": "/proc/sys/net/bridge/bridge-nf-call-iptables",
    "nf_conntrack": "/proc/sys/net/netfilter/nf_conntrack_max",
}


def forwards(name: str) -> bool:
    """Whether a kernel parameter lets containers and virtual machines speak to others, whoever runs them."""
    return name.replace("/", ".") in ("net.ipv4.ip_forward", *FORWARDING)


def plain(value: str) -> str:
    """A value with single blanks between its words, as it is compared."""
    return " ".join(value.split())


def _path(host: Host, name: str) -> str:
    # As sysctl(8) reads it: the first separator tells; after slashes, a dot is part of a name (interfaces with a VLAN).
    first = next((letter for letter in name if letter in "./"), ".")
    relative = name if first == "/" else name.translate(str.maketrans("./", "/."))
    if not relative or ".." in relative.split("/") or relative.startswith("/"):
        raise ClusterError(f"{name!r} is not the name of a kernel parameter")
    return host.at("/proc/sys/" + relative)


def read(host: Host, name: str) -> t.Optional[str]:
    """The value now; None where the kernel does not have the parameter (yet)."""
    try:
        with open(_path(host, name), encoding="utf-8") as stream:
            return plain(stream.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ClusterError(f"kernel parameter {name} cannot be read", why=str(error)) from error


def write(host: Host, name: str, value: str) -> None:
    path = _path(host, name)
    if not os.path.exists(path):
        raise ClusterError(
            f"this kernel has no parameter {name}",
            where=path,
            fix="Name the kernel module that brings it in kernel_modules",
        )
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(value + "\n")
    except OSError as error:
        raise ClusterError(f"kernel parameter {name} cannot be set to {value!r}", where=path, why=str(error)) from error


def module_is_there(host: Host, name: str) -> bool:
    """Whether the kernel has a module loaded or built in."""
    if os.path.isdir(host.at("/sys/module/" + name.replace("-", "_"))):
        return True
    sign = _SIGNS.get(name)
    if sign is not None and os.path.exists(host.at(sign)):
        return True
    return name in _filesystems(host) or name.replace("-", "_") in _built_in(host)


def _filesystems(host: Host) -> t.Set[str]:
    return {line.split()[-1] for line in _lines(host.at("/proc/filesystems"))}


def _built_in(host: Host) -> t.Set[str]:
    listed = _lines(host.at(f"/lib/modules/{os.uname().release}/modules.builtin"))
    return {os.path.basename(line).partition(".")[0].replace("-", "_") for line in listed}


def _lines(path: str) -> t.List[str]:
    try:
        with open(path, encoding="utf-8") as stream:
            return [line.strip() for line in stream if line.strip()]
    except FileNotFoundError:
        return []


def load_module(host: Host, name: str) -> None:
    done = host.run(["modprobe", "--", name])
    if done.rc != 0 and not module_is_there(host, name):
        raise ClusterError(
            f"kernel module {name} cannot be loaded",
            where=f"modprobe {name}",
            why=done.output,
            fix="Install the package with the modules of the running kernel, or restart the host after a kernel update",
        )


def unload_module(host: Host, name: str) -> t.Optional[str]:
    """Unload what was loaded; tells why not when others use it by now."""
    done = host.run(["modprobe", "-r", "--", name])
    if done.rc != 0 and os.path.isdir(host.at("/sys/module/" + name.replace("-", "_"))):
        return f"kernel module {name} stays loaded: {done.output}"
    return None
