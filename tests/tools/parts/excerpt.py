# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines of a failed part's log that say what failed."""

from __future__ import annotations

import re
import typing as t

LAST_LINES, LINE_WIDTH = 40, 1000
FIRST_FAILURES, FAILURE_WIDTH = 15, 2000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_RETRY = "FAILED - RETRYING"
# pytest's mark for the text of a failed assertion, which may be all that a playbook printed.
_MARK = re.compile(r"^E(?:   |$)\s*")
_HEADING = re.compile(r"^(TASK|PLAY|RUNNING HANDLER) ")
_TASK_FAILED = re.compile(r"^(fatal|failed): ")
_SAID = re.compile(r"^(ERROR: |FATAL: |error: |E   )")
_TEST_FAILED = re.compile(r"^(FAILED|ERROR) ")


def excerpt(log: str) -> str:
    """The end of a log, then the first failures in it: tasks, else what assertions and tools said, and tests."""
    lines = [line for line in _COLOUR.sub("", log).splitlines() if _RETRY not in line]
    reasons = list(_failed_tasks(lines)) or [line for line in lines if _SAID.match(line)]
    failed = [*_first(reasons), *_first(line for line in lines if _TEST_FAILED.match(line))]
    told = [line[:LINE_WIDTH] for line in lines[-LAST_LINES:]]
    return "\n".join([*told, *(["==> what failed", *failed] if failed else [])])


def _first(lines: t.Iterable[str]) -> list[str]:
    """The first of these, each once: many tests fail where what they have in common does."""
    return [line[:FAILURE_WIDTH] for line in list(dict.fromkeys(lines))[:FIRST_FAILURES]]


def _failed_tasks(lines: t.Sequence[str]) -> t.Iterator[str]:
    """Failures of tasks with the task's name; a failure that a playbook ignores was expected."""
    task, held = "", list[str]()
    for line in (_MARK.sub("", line) for line in lines):
        if line.startswith("...ignoring"):
            held = held[:-1]
        elif _TASK_FAILED.match(line):
            held.append(line)
        elif _HEADING.match(line):
            yield from [task, *held] if held else []
            task, held = line, []
    yield from [task, *held] if held else []
