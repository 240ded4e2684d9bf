# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making programs: what every way of making gives, and what they share.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

_CHUNK = 1 << 20
_TOLD_LINES = 12
_PROGRAM_MODE = 0o755
_FRESH = ".new-"
_STALE_SECONDS = 86400


@dataclass(frozen=True)
class Origin:
    """What a program is made from, known before it is made: the same origin gives the same program."""

    version: str
    source: str
    key: str


@dataclass(frozen=True)
class Made:
    """A program that lies in the cache; ``source_sha256`` is of the archive it came in."""

    path: str
    sha256: str
    size: int
    source_sha256: str = ""


def sum_of(path: str) -> t.Tuple[str, int]:
    """The sha256 and the size of a file."""
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "rb") as handle:
            for block in iter(lambda: handle.read(_CHUNK), b""):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise BuildError("cannot read the file", where=path, why=error.strerror or str(error)) from error
    return digest.hexdigest(), size


def key_of(*facts: t.Any) -> str:
    """A name for everything in ``facts``."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def put(path: str, write: t.Callable[[str], None]) -> None:
    """Let ``write`` fill a new file and put it at ``path`` in one step; nothing is left when it fails."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_FRESH, dir=os.path.dirname(path)) as directory:
            fresh = os.path.join(directory, os.path.basename(path))
            write(fresh)
            os.chmod(fresh, _PROGRAM_MODE)
            os.replace(fresh, path)
    except OSError as error:
        raise BuildError("cannot write the file", where=path, why=error.strerror or str(error)) from error


def replace_file(path: str, write: t.Callable[[str], None], mode: int = _PROGRAM_MODE) -> None:
    """Let ``write`` fill a file beside ``path`` and put it there in one step.

    What a killed run leaves has always the same name, so that the next run takes it away.
    """
    directory, name = os.path.split(path)
    fresh = os.path.join(directory, f".{name}.new")
    try:
        os.makedirs(directory, exist_ok=True)
        try:
            write(fresh)
            os.chmod(fresh, mode)
            os.replace(fresh, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(fresh)
            raise
    except OSError as error:
        raise BuildError("cannot write the file", where=path, why=error.strerror or str(error)) from error


def replace_text(path: str, data: bytes, mode: int = 0o644) -> None:
    """Put these bytes in the file's place in one step."""

    def write(fresh: str) -> None:
        with open(fresh, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())

    replace_file(path, write, mode)


def sweep(cache: str) -> None:
    """Take away what runs left in the cache that were killed a day ago or earlier."""
    for pattern in ("*", os.path.join("*", "*")):
        for path in glob.glob(os.path.join(glob.escape(cache), pattern, f"{_FRESH}*")):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_mtime < time.time() - _STALE_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)


def put_directory(path: str, fill: t.Callable[[str], None]) -> None:
    """Let ``fill`` fill a new directory and put it at ``path`` in one step; whoever comes second leaves the first's."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_FRESH, dir=os.path.dirname(path)) as directory:
            fresh = os.path.join(directory, "tree")
            os.mkdir(fresh, 0o755)
            fill(fresh)
            try:
                os.rename(fresh, path)
            except OSError:
                if not os.path.isdir(path):
                    raise
    except OSError as error:
        raise BuildError("cannot write the directory", where=path, why=error.strerror or str(error)) from error


def run(
    argv: t.Sequence[str],
    *,
    what: str,
    cwd: t.Optional[str] = None,
    environment: t.Optional[t.Mapping[str, str]] = None,
    missing: str = "",
    accepted: t.Collection[int] = (0,),
    output: t.Optional[t.IO[bytes]] = None,
) -> str:
    """What a command prints, unless that goes to ``output``.

    Its last lines are told when it fails, and ``missing`` when there is no such command.
    """
    told = {**os.environ, **(environment or {}), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            list(argv),
            cwd=cwd,
            env=told,
            stdin=subprocess.DEVNULL,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
    except FileNotFoundError as error:
        raise BuildError(what, why=f"{argv[0]} is not installed", fix=missing) from error
    except OSError as error:
        raise BuildError(what, where=argv[0], why=error.strerror or str(error)) from error
    if done.returncode not in accepted:
        lines = (done.stderr or done.stdout or b"").decode("utf-8", "replace").strip().splitlines()
        why = f"{' '.join(argv[:2])} ended with {done.returncode}: " + " / ".join(lines[-_TOLD_LINES:])
        full = "no space left on device" in why.lower()
        raise BuildError(what, why=why, fix="Make room on the disk and run it again." if full else "")
    return (done.stdout or b"").decode("utf-8", "replace")
