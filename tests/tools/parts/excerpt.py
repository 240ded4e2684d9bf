# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines of a failed part's log that say what failed."""

from __future__ import annotations

import re
import typing as t

LAST_LINES, LINE_WIDTH = 40, 1000
LAST_FAILURES, FAILURE_WIDTH = 15, 2000
RETRY = "FAILED - RETRYING"
_HEADING = re.compile(r"^(TASK|PLAY|RUNNING HANDLER) ")
_TASK_FAILED = re.compile(r"^(fatal|failed): ")
_FAILED = re.compile(r"^(FAILED |ERROR |ERROR: |FATAL: |error: |E   )")


def excerpt(log: str) -> str:
    """The end of a log, then what failed anywhere in it, the last of it last."""
    lines = [line for line in log.splitlines() if RETRY not in line]
    told = [line[:LINE_WIDTH] for line in lines[-LAST_LINES:]]
    failed = [line[:FAILURE_WIDTH] for line in list(_failures(lines))[-LAST_FAILURES:]]
    return "\n".join([*told, *(["==> what failed, the last of it last", *failed] if failed else [])])


def _failures(lines: t.Sequence[str]) -> t.Iterator[str]:
    """Failures of tests, and of tasks with the task's name; a failure that a playbook ignores was expected."""
    task, held = "", list[str]()
    for line in lines:
        if line.startswith("...ignoring"):
            held.clear()
        elif _TASK_FAILED.match(line):
            held += [line] if held else [task, line]
        elif _HEADING.match(line):
            yield from held
            task, held = line, []
        elif _FAILED.match(line):
            yield from held
            held = []
            yield line
    yield from held
