# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes the inventory of a host, as JSON: what a reset must leave as it was.

Runs on the host with nothing but Python, for instance by ``ssh host python3 - < host_inventory.py``.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import stat
import subprocess

# Places that change by themselves: the kernel's file systems, logs, caches and what a login leaves.
NOT_FILES = re.compile(
    r"^/(proc|sys|dev|tmp|var/(tmp|cache|log)|var/lib/(systemd|dbus|apt|dpkg)|root/\.(ansible|cache)"
    r"|run/(systemd|user|log|lab|sshd|utmp|motd|mount|lock|dbus|initctl|credentials))(/|$|\.)"
)
# Counters and what the kernel derives from load, time or the number of interfaces.
NOT_SYSCTLS = re.compile(
    r"^(fs\.(dentry-state|file-nr|inode-nr|inode-state|aio-nr|quota|file-max|binfmt_misc)"
    r"|kernel\.(random|pty\.nr|ns_last_pid|hostname|domainname|sched|ftrace|perf|spl|cad_pid|printk|threads)"
    r"|vm\.(stat|nr_pdflush)|net\.nf_conntrack_max|net\.netfilter\.nf_conntrack_(count|max|buckets|expect_max)"
    r"|net\.ipv[46]\.(conf|neigh)\.(?!(all|default)\.)|net\.ipv4\.route\.|sunrpc|user\.|dev\.)"
)


def output(*command: str) -> str:
    """What a command prints; nothing where it is missing or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def described(path: str) -> str:
    """Type, mode, owner and content of a file, in a line."""
    found = os.lstat(path)
    kind = stat.S_IFMT(found.st_mode)
    what = f"{stat.filemode(found.st_mode)} {found.st_uid}:{found.st_gid}"
    if kind == stat.S_IFLNK:
        return f"{what} -> {os.readlink(path)}"
    if kind == stat.S_IFREG:
        return f"{what} {found.st_size} {hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]}"
    return what


def files() -> dict[str, str]:
    found = {}
    for top, directories, names in os.walk("/"):
        directories[:] = [name for name in directories if not NOT_FILES.match(os.path.join(top, name))]
        for name in directories + names:
            path = os.path.join(top, name)
            if not NOT_FILES.match(path):
                try:
                    found[path] = described(path)
                except FileNotFoundError:
                    continue
    return found


def rules(program: str) -> list[str]:
    """The rules and chains of a packet filter, without counters and without chains that do nothing."""
    tables: list[str] = []
    table = ""
    for line in output(program).splitlines():
        if line.startswith("*"):
            table = line
        elif line.startswith("-A") or (line.startswith(":") and " - " in line):
            tables.append(f"{table} {re.sub(r' *[[][0-9:]+[]]', '', line)}")
    return sorted(tables)


def main() -> None:
    links = json.loads(output("ip", "-json", "link") or "[]")
    inventory = {
        "files": files(),
        "units": sorted(
            line.split()[0] + " " + line.split()[1]
            for line in output("systemctl", "list-unit-files", "--no-legend", "--plain").splitlines()
            if not line.startswith(("run-", "session-", "user@", "user-runtime"))
        ),
        "active": sorted(
            line.split()[0]
            for line in output(
                "systemctl", "list-units", "--no-legend", "--plain", "--state=active,failed"
            ).splitlines()
            if line.split()[0].endswith((".service", ".socket", ".mount", ".timer"))
            and not line.startswith(("session-", "user@", "user-runtime", "run-user", "run-credentials"))
        ),
        "mounts": sorted(
            f"{fields[4]} {fields[fields.index('-') + 1]}"
            for fields in (line.split() for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines())
            if not fields[4].startswith(("/run/user", "/run/credentials"))
        ),
        "links": sorted(link["ifname"] for link in links),
        "routes": sorted(output("ip", "route", "show", "table", "all").splitlines()),
        "iptables": rules("iptables-save"),
        "ip6tables": rules("ip6tables-save"),
        "nft": sorted(
            line.strip()
            for line in output("nft", "list", "tables").splitlines()
            if not re.search(r"table ip6? (filter|nat|mangle|raw|security)$", line)
        ),
        "sysctls": {
            name: value
            for name, value in (
                line.split(" = ", 1) for line in output("sysctl", "--all").splitlines() if " = " in line
            )
            if not NOT_SYSCTLS.match(name)
        },
        "users": pathlib.Path("/etc/passwd").read_text().splitlines()
        + pathlib.Path("/etc/group").read_text().splitlines(),
        "processes": sorted(
            name
            for name in output("ps", "-eo", "comm=", "--no-headers").splitlines()
            if not name.startswith(("sshd", "ps", "python3", "sftp-server", "(sd-pam)", "systemd", "sh"))
        ),
    }
    print(json.dumps(inventory, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
