# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests that mount, change links and rules, or end processes, without the machine seeing anything of it."""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import traceback
import typing as t

import pytest

# CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWPID and CLONE_NEWNET of clone(2), MS_PRIVATE and MS_REC of mount(2).
_NEW = 0x00020000 | 0x02000000 | 0x20000000 | 0x40000000
_PRIVATE, _RECURSIVE = 1 << 18, 1 << 14
_NOT_ALLOWED = 77

Test = t.TypeVar("Test", bound=t.Callable[..., None])


def in_own_namespaces(test: Test) -> Test:
    """The test runs as the first process of namespaces of its own, and can end or change nothing of the machine's."""

    @functools.wraps(test)
    def run(*given: t.Any, **named: t.Any) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            os._exit(_run_in_child(functools.partial(test, *given, **named), writer))
        os.close(writer)
        with open(reader, encoding="utf-8") as stream:
            told = stream.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == _NOT_ALLOWED:
            pytest.skip(f"no namespaces can be made here: {told}")
        if status:
            pytest.fail(told, pytrace=False)

    return t.cast(Test, run)


def _run_in_child(test: t.Callable[[], None], writer: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(writer, "w", encoding="utf-8", errors="backslashreplace") as stream:
        if libc.unshare(_NEW) or libc.mount(b"none", b"/", None, _PRIVATE | _RECURSIVE, None):
            stream.write(os.strerror(ctypes.get_errno()))
            return _NOT_ALLOWED
        first = os.fork()
        if first:
            return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
        try:
            mount("proc", "/proc")
            mount("tmpfs", "/sys/fs/cgroup")
            test()
        except BaseException:
            stream.write(traceback.format_exc())
            stream.flush()
            os._exit(1)
        os._exit(0)


def mount(kind: str, point: t.Any, *options: str) -> None:
    """Mount a file system of this kind, or bind a directory: then kind is its path."""
    how = ["--bind", kind] if kind.startswith("/") else ["-t", kind, kind]
    subprocess.run(["mount", *how, *options, str(point)], check=True)
