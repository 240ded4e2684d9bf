# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks for strings in the journal of a host, and in its files that changed since a moment, with who can read those.

Runs on the host with nothing but Python and grep, for instance by ``ssh host python3 -c PROGRAM``. The question is JSON
on standard input, {"strings": [...], "since": seconds of the epoch, "roots": [...], "journal": true}, so that no string
is on a command line. The answer is JSON, a list of [number of the string, "journal" or who reads it, where].
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import typing as t

# File systems of the kernel; content of images, which was there before the run; and what the container runtime keeps of
# running pods, which have their Secrets there.
PASSED_OVER = re.compile(
    r"/(proc|sys|dev"
    r"|var/lib/containerd|var/lib/k0s/(bin|containerd)|var/lib/rancher/k3s/(data|agent/containerd)"
    r"|var/lib/sealer/(rootfs|store)|run/(k0s/|k3s/)?containerd|var/lib/containers"
    r"|(run|var)/log/journal)"
)
FILES_AT_ONCE = 1000
EVERYONE, SERVICE, ROOT = "everyone", "a service", "root"
_SPEAKER = re.compile(r"\S+ +\d+ \S+ \S+ ([^:[\n]+)")


def entered(directory: pathlib.Path, user: int, group: int) -> bool:
    """Whether a user who has one group can reach what is in a directory."""
    found = directory.stat()
    return bool(
        found.st_mode & stat.S_IXOTH
        or (found.st_mode & stat.S_IXGRP and found.st_gid == group)
        or (found.st_mode & stat.S_IXUSR and found.st_uid == user)
    )


def reader(path: str) -> str:
    """Who can read a file, apart from root: everyone, a service, or root alone."""
    file = pathlib.Path(path)
    found = file.stat()
    nobody = -1
    if found.st_mode & stat.S_IROTH and all(entered(parent, nobody, nobody) for parent in file.parents):
        return EVERYONE
    user = found.st_uid if found.st_mode & stat.S_IRUSR and found.st_uid != 0 else nobody
    group = found.st_gid if found.st_mode & stat.S_IRGRP and found.st_gid != 0 else nobody
    reached = all(entered(parent, user, group) for parent in file.parents)
    return SERVICE if (user, group) != (nobody, nobody) and reached else ROOT


def changed_files(roots: t.Iterable[str], since: float) -> t.List[str]:
    """Regular files that were made or changed since a moment."""
    found = []
    for root in roots:
        for top, directories, names in os.walk(root):
            directories[:] = [name for name in directories if not PASSED_OVER.fullmatch(os.path.join(top, name))]
            for name in names:
                path = os.path.join(top, name)
                try:
                    state = os.lstat(path)
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(state.st_mode) and state.st_ctime >= since:
                    found.append(path)
    return found


def files_with(strings: t.Sequence[str], paths: t.Sequence[str]) -> t.Iterator[str]:
    """Those of the files in which any of the strings is."""
    patterns = "\n".join(strings).encode()
    for start in range(0, len(paths), FILES_AT_ONCE):
        command = ["grep", "--null", "-lF", "-f", "-", "--", *paths[start : start + FILES_AT_ONCE]]
        done = subprocess.run(command, input=patterns, capture_output=True, check=False)
        yield from (os.fsdecode(path) for path in done.stdout.split(b"\0") if path)


def in_files(strings: t.Sequence[str], roots: t.Iterable[str], since: float) -> t.Iterator[t.Tuple[int, str, str]]:
    for path in files_with(strings, changed_files(roots, since)):
        try:
            content, who = pathlib.Path(path).read_bytes(), reader(path)
        except FileNotFoundError:
            continue
        yield from ((number, who, path) for number, string in enumerate(strings) if string.encode() in content)


def in_journal(strings: t.Sequence[str], text: str) -> t.Iterator[t.Tuple[int, str, str]]:
    """Strings with who said them. A message of several lines tells that in its first alone."""
    for number, string in enumerate(strings):
        starts = (text.rfind("\n", 0, found.start()) + 1 for found in re.finditer(re.escape(string), text))
        speakers = (_SPEAKER.match(text, start) for start in starts)
        for name in sorted({speaker.group(1) if speaker else "unknown" for speaker in speakers}):
            yield number, "journal", name


def main() -> None:
    asked = json.load(sys.stdin)
    found = list(in_files(asked["strings"], asked["roots"], asked["since"]))
    if asked["journal"]:
        command = ["journalctl", "--quiet", "--no-pager", "--all", "--output=short", f"--since=@{int(asked['since'])}"]
        said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
        found += in_journal(asked["strings"], said)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
