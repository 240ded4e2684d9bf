# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is shown of a long log after a failure."""

from __future__ import annotations

from ansible_collections.sealer.cluster.tests.tools.parts.excerpt import FIRST_FAILURES, LAST_LINES, excerpt

QUIET = [f"line {number}" for number in range(100)]


def told(*lines: str) -> list[str]:
    """What is told below the end of a log in which these lines stand far above."""
    return excerpt("\n".join([*lines, *QUIET])).splitlines()[LAST_LINES + 1 :]


def test_what_a_playbook_printed_below_many_tests_is_told_once() -> None:
    """It is in the assertion of a fixture that each of them needs."""
    said = [
        "E       AssertionError: PLAY [Prepare] ***",
        "E         TASK [bad] ***",
        "E         fatal: [a]: the reason",
    ]
    recap = [f"E         host{number}: ok=1 failed=1" for number in range(20)]
    tests = [f"ERROR tests/lab/test_a.py::test_{number} - AssertionError: PLAY" for number in range(30)]
    assert told(*(said + recap) * 30, *tests) == ["TASK [bad] ***", "fatal: [a]: the reason", *tests[:FIRST_FAILURES]]


def test_colours_are_no_hindrance() -> None:
    assert told("TASK [bad] ***", "\x1b[0;31mfatal: [a]: no\x1b[0m") == ["TASK [bad] ***", "fatal: [a]: no"]


def test_the_end_of_the_log_is_shown() -> None:
    assert excerpt("\n".join(QUIET)).splitlines() == QUIET[-LAST_LINES:]


def test_a_failed_task_is_told_with_its_name() -> None:
    assert told("TASK [good] ***", "ok: [a]", "TASK [bad] ***", "fatal: [a]: FAILED! => {}", "failed: [b] => {}") == [
        "TASK [bad] ***",
        "fatal: [a]: FAILED! => {}",
        "failed: [b] => {}",
    ]


def test_a_failure_that_was_expected_is_not_told() -> None:
    expected = ["TASK [refused] ***", "fatal: [a]: FAILED! => {}", "...ignoring"]
    assert told(*expected, "TASK [bad] ***", "fatal: [b]: no") == ["TASK [bad] ***", "fatal: [b]: no"]


def test_failures_of_tests_and_tools_are_told_and_retries_are_not() -> None:
    lines = ["FAILED tests/a.py::test_b - assert 1 == 2", "E   assert 1 == 2", "ERROR: unused variable"]
    assert told("FAILED - RETRYING: wait (3 retries left)", *lines) == [*lines[1:], lines[0]]


def test_a_failure_beside_one_that_was_expected_is_told() -> None:
    lines = ["TASK [some] ***", "fatal: [a]: no", "fatal: [b]: expected", "...ignoring"]
    assert told(*lines) == lines[:2]
