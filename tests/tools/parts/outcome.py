# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What came of a part: how many tests passed, failed and were skipped, and why."""

from __future__ import annotations

import collections
import dataclasses
import enum
import pathlib
import re
import typing as t
import xml.etree.ElementTree as ET

# Steps of check.sh, and of ansible-test sanity.
STEP = re.compile(r"^(?:==> |Running sanity test )", re.MULTILINE)


class Result(enum.Enum):
    """How a part ended; one that was not run is no success."""

    PASSED = "passed"
    FAILED = "FAILED"
    SKIPPED = "skipped"
    NOT_RUN = "NOT RUN"

    @property
    def good(self) -> bool:
        return self in (Result.PASSED, Result.SKIPPED)


@dataclasses.dataclass(frozen=True)
class Counts:
    """Numbers of tests; skipped: how many for each reason."""

    passed: int = 0
    failed: int = 0
    skipped: t.Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.passed + self.failed + sum(self.skipped.values())


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What is told of a part. seconds: how long it took; why: why it was skipped or not run."""

    name: str
    result: Result
    seconds: float = 0.0
    counts: Counts = Counts()
    why: str = ""
    notes: tuple[str, ...] = ()


def counted(directory: pathlib.Path, log: str) -> Counts:
    """The tests in a part's JUnit files; where it wrote none, the steps that its log names."""
    files = sorted(directory.glob("*.xml"))
    if not files:
        return Counts(passed=len(STEP.findall(log)))
    return total(_of_file(path) for path in files)


def total(counts: t.Iterable[Counts]) -> Counts:
    passed, failed, skipped = 0, 0, collections.Counter[str]()
    for one in counts:
        passed += one.passed
        failed += one.failed
        skipped.update(one.skipped)
    return Counts(passed, failed, dict(skipped))


def _of_file(path: pathlib.Path) -> Counts:
    passed, failed, skipped = 0, 0, collections.Counter[str]()
    for case in ET.parse(path).getroot().iter("testcase"):
        reason = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif reason is not None:
            skipped[reason.get("message") or (reason.text or "").strip() or "no reason is given"] += 1
        else:
            passed += 1
    return Counts(passed, failed, dict(skipped))
