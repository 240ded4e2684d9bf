# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remembers the command lines and environments of a host's processes, and the content of files that soon go again.

Runs on the host with nothing but Python, for instance by ``ssh host python3 -c PROGRAM --seconds=600``. It prints a
line once it looks, and remembers in memory until a line comes on its standard input; then it prints all it saw, as
JSON, and ends. It ends as well when the standard input does, and when its time is over.
"""

from __future__ import annotations

import argparse
import base64
import glob
import json
import os
import pathlib
import re
import select
import sys
import time
import typing as t

# A process is read at once and again at the 2nd, 3rd, 5th, 9th ... look, because it becomes another program some
# moments after it was made. One that is gone within an interval is not seen.
INTERVAL = 0.01
YOUNG = 64
SWEEP = 1.0
READY = "ready"
DESCRIPTOR = re.compile(rb"/proc/self/fd/(\d+)")


def read(path: str) -> bytes:
    """What a file holds; nothing where it is gone or nobody may read it."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def version(path: str) -> t.Tuple[int, ...]:
    """Tells whether a file was changed or replaced."""
    try:
        state = os.stat(path)
    except OSError:
        return ()
    return state.st_ino, state.st_mtime_ns, state.st_size


def namespace(pid: object) -> str:
    """Which PID namespace a process is in; empty where it is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def processes() -> t.List[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


class Sampler:
    """What was seen so far.

    commands: command lines; variables: each NAME=value of an environment with the first command line that had it;
    files: contents by path, as the patterns find them, and of memory that a command line names. own_namespace: pass
    over the processes of containers.
    """

    def __init__(self, patterns: t.Sequence[str] = (), own_namespace: bool = False) -> None:
        self.commands: t.Dict[bytes, None] = {}
        self.variables: t.Dict[bytes, bytes] = {}
        self.files: t.Dict[str, t.Dict[bytes, None]] = {}
        self._patterns = patterns
        self._namespace = namespace("self") if own_namespace else ""
        self._versions: t.Dict[str, t.Tuple[int, ...]] = {}
        self._looks: t.Dict[int, int] = {}
        self._newest = 0
        self._next_sweep = 0.0

    def look(self) -> None:
        """Look once at processes that are new or young, at all of them once a second, and at the files."""
        # The kernel tells the newest process ID, which is mostly all that has to be read. IDs begin anew at some point.
        newest = int(read("/proc/loadavg").split()[-1])
        if newest < self._newest or not self._newest:
            self._looks.update(dict.fromkeys(processes(), 0))
        else:
            self._looks.update(dict.fromkeys(range(self._newest + 1, newest + 1), 0))
        self._newest = newest
        for pid, looks in list(self._looks.items()):
            if (looks & (looks - 1) == 0 and not self._remember(pid)) or looks >= YOUNG:
                del self._looks[pid]
            else:
                self._looks[pid] = looks + 1
        if time.monotonic() >= self._next_sweep:
            self._next_sweep = time.monotonic() + SWEEP
            for pid in processes():
                self._remember(pid)
        for pattern in self._patterns:
            for path in glob.glob(pattern):
                state = version(path)
                if self._versions.get(path) != state:
                    self._versions[path] = state
                    self.files.setdefault(path, {})[read(path)] = None

    def _remember(self, pid: int) -> bool:
        """Read a process; answer whether it is there."""
        command = read(f"/proc/{pid}/cmdline")
        if not command or (self._namespace and namespace(pid) != self._namespace):
            return False
        self.commands[command] = None
        for number in DESCRIPTOR.findall(command):
            self._remember_memory(f"/proc/{pid}/fd/{int(number)}")
        for variable in read(f"/proc/{pid}/environ").split(b"\0"):
            self.variables.setdefault(variable, command)
        return True

    def _remember_memory(self, path: str) -> None:
        """Read what a process was given in memory under a path of /proc."""
        try:
            name = os.readlink(path).partition(" ")[0]
        except OSError:
            return
        content = read(path) if name.startswith("/memfd:") else b""
        if content:
            self.files.setdefault(name, {})[content] = None

    def told(self) -> t.Dict[str, t.Any]:
        """All that was seen, as JSON can hold it."""

        def text(content: bytes) -> str:
            return base64.b64encode(content).decode()

        return {
            "commands": [text(command) for command in self.commands],
            "variables": [[text(variable), text(command)] for variable, command in self.variables.items()],
            "files": {path: [text(content) for content in contents] for path, contents in self.files.items()},
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--own-namespace", action="store_true")
    parser.add_argument("patterns", nargs="*")
    arguments = parser.parse_args()
    sampler = Sampler(arguments.patterns, arguments.own_namespace)
    end = time.monotonic() + arguments.seconds
    sampler.look()
    print(READY, flush=True)
    while time.monotonic() < end:
        sampler.look()
        if select.select([sys.stdin], [], [], INTERVAL)[0]:
            if sys.stdin.readline():
                json.dump(sampler.told(), sys.stdout)
            return


if __name__ == "__main__":
    main()
