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


class UnreadableResults(Exception):
    """A JUnit file that was cut off."""


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

    @classmethod
    def skipped(cls, name: str, why: str) -> Outcome:
        """A part that this machine has not what it takes for."""
        return cls(name, Result.SKIPPED, counts=Counts(skipped={why: 1}), why=why)

    @classmethod
    def not_run(cls, name: str, why: str) -> Outcome:
        """A part that would have been run, so that nobody takes the run for a success."""
        return cls(name, Result.NOT_RUN, counts=Counts(failed=1), why=why)


def counted(directory: pathlib.Path, log: str, *, passed: bool) -> Counts:
    """The tests in a part's JUnit files; where it wrote none, the steps that its log names, the last of which failed.

    passed: whether its command ended with success. If not, at least one has failed. Raises UnreadableResults.
    """
    files = sorted(directory.glob("*.xml"))
    if files:
        found = total(_of_file(path) for path in files)
        return found if passed else dataclasses.replace(found, failed=max(1, found.failed))
    steps = len(STEP.findall(log))
    return Counts(passed=steps) if passed else Counts(passed=max(0, steps - 1), failed=1)


def total(counts: t.Iterable[Counts]) -> Counts:
    passed, failed, skipped = 0, 0, collections.Counter[str]()
    for one in counts:
        passed += one.passed
        failed += one.failed
        skipped.update(one.skipped)
    return Counts(passed, failed, dict(skipped))


def _of_file(path: pathlib.Path) -> Counts:
    passed, failed, skipped = 0, 0, collections.Counter[str]()
    try:
        cases = list(ET.parse(path).getroot().iter("testcase"))
    except ET.ParseError as error:
        raise UnreadableResults(f"{path}: cannot be read, so it is not known which tests passed: {error}") from error
    for case in cases:
        reason = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif reason is not None:
            skipped[reason.get("message") or (reason.text or "").strip() or "no reason is given"] += 1
        else:
            passed += 1
    return Counts(passed, failed, dict(skipped))
