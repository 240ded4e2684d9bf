# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table at the end of a run."""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.tests.tools.parts.outcome import Outcome, Result, total
from ansible_collections.sealer.cluster.tests.tools.parts.plan import Part

_ROW = "{:<18} {:>6} {:>8} {:>8}  {}"


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def table(outcomes: t.Sequence[Outcome], seconds: float, left_out: t.Sequence[Part] = ()) -> str:
    """A line a part, then each reason for a skip, what stood in for a real program, and what was not asked for.

    seconds: how long all of it took, which is less than the sum where parts ran at the same time.
    """
    counts = total(one.counts for one in outcomes)
    lines = [_ROW.format("part", "tests", "skipped", "minutes", "result")]
    lines += [_row(one) for one in outcomes]
    lines.append(_ROW.format("all", counts.total, sum(counts.skipped.values()), minutes(seconds), "").rstrip())
    lines += _section("Skipped", [*_skipped_parts(outcomes), *_skipped_tests(outcomes)])
    lines += _section("Notes", [f"{one.name}: {note}" for one in outcomes for note in one.notes])
    lines += _section("Not part of this run", [f"{part.name}: {part.what}" for part in left_out])
    failed = max(counts.failed, sum(not one.result.good for one in outcomes))
    skipped = sum(counts.skipped.values()) + sum(one.result is Result.SKIPPED for one in outcomes)
    return "\n".join([*lines, "", f"tests: {counts.passed} passed, {failed} failed, {skipped} skipped"])


def _row(one: Outcome) -> str:
    ran = one.result in (Result.PASSED, Result.FAILED)
    numbers = (one.counts.total or "-", sum(one.counts.skipped.values())) if ran else ("-", "-")
    why = f": {one.why}" if one.why else ""
    return _ROW.format(one.name, *numbers, minutes(one.seconds) if ran else "-", one.result.value + why)


def _skipped_parts(outcomes: t.Sequence[Outcome]) -> list[str]:
    return [f"{one.name}: all of it: {one.why}" for one in outcomes if one.result is Result.SKIPPED]


def _skipped_tests(outcomes: t.Sequence[Outcome]) -> list[str]:
    return [f"{one.name}: {number}: {reason}" for one in outcomes for reason, number in one.counts.skipped.items()]


def _section(title: str, lines: t.Sequence[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []
