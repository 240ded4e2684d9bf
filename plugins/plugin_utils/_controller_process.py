# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run of ansible-playbook that a plugin works for: who it is, and whether it is still there.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import getpass
import os
import pathlib
import platform
import signal
import time
import typing as t
import uuid

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.lease import Holder

# proc(5): fields of /proc/PID/stat behind the name, and the states of a process that has ended.
_STATE, _STARTED = 0, 19
_ENDED = "ZXx"
STOP_SECONDS = 10.0
# What AWX and Automation Controller tell a job of itself.
JOBS = (("awx_user_name", "awx_job_id"), ("tower_user_name", "tower_job_id"))


def boot() -> str:
    """What identifies this controller's kernel since its start, and the process numbers seen here; else empty.

    Containers that share a kernel have process numbers of their own.
    """
    with contextlib.suppress(OSError):
        kernel = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{kernel} {os.readlink('/proc/self/ns/pid')}"
    return ""


def started(process: int) -> str:
    """When a process began, in the kernel's ticks; empty where that is not told."""
    stat = _stat(process)
    return stat[_STARTED] if stat else ""


def is_alive(process: int, began: str) -> t.Optional[bool]:
    """Whether the process that began then is there and has not ended; None where this user is not told."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    stat = _stat(process)
    if not stat:
        return None
    return stat[_STARTED] == began and stat[_STATE] not in _ENDED


def stop(process: int, message: str) -> None:
    """Interrupt a run, and say why on its standard error stream."""
    began, deadline = started(process), time.monotonic() + STOP_SECONDS
    with contextlib.ExitStack() as streams:
        said = None
        with contextlib.suppress(OSError):
            said = streams.enter_context(open(f"/proc/{process}/fd/2", "a", encoding="utf-8"))
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGINT)
        # Into a file the run would write over it.
        while is_alive(process, began) is not False and time.monotonic() < deadline:
            time.sleep(0.05)
        if said is not None:
            said.write(f"[ERROR]: {message}\n")


def _stat(process: int) -> t.List[str]:
    """Fields of /proc/PID/stat behind the name; none where there is no such file, or it is hidden from this user."""
    with contextlib.suppress(OSError):
        stat = pathlib.Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        # The name of the program, in parentheses, may hold anything.
        return stat.rpartition(")")[2].split()
    return []


def is_seen_alive(holder: Holder) -> t.Optional[bool]:
    """Whether the holder's process is there; None where it cannot be told, as on another controller."""
    if not holder.boot or (holder.machine, holder.boot) != (platform.node(), boot()):
        return None
    return is_alive(holder.process, holder.started)


def this_run(process: int, variables: t.Mapping[str, t.Any]) -> Holder:
    """The run whose process this is, as the holder of a lease. The same run always has the same identity.

    variables: those of a task, where AWX tells of its job.
    """
    here = f"{platform.node()} {boot()} {process} {started(process)}"
    return Holder(
        identity=uuid.uuid5(uuid.NAMESPACE_OID, here).hex,
        user=_user(variables),
        machine=platform.node(),
        boot=boot(),
        process=process,
        started=started(process),
        acquired=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
    )


def _user(variables: t.Mapping[str, t.Any]) -> str:
    for user, job in JOBS:
        if variables.get(job):
            return f"job {variables[job]}" + (f" of {variables[user]}" if variables.get(user) else "")
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
