# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table at the end of a run."""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.tests.tools.parts.outcome import Outcome, Result, total
from ansible_collections.sealer.cluster.tests.tools.parts.plan import Part

_HEAD = ("part", "tests", "skipped", "minutes", "result")


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def table(outcomes: t.Sequence[Outcome], seconds: float, left_out: t.Sequence[Part] = ()) -> str:
    """A line a part, then each reason for a skip, what stood in for a real program, and what was not asked for.

    seconds: how long all of it took, which is less than the sum where parts ran at the same time.
    """
    counts = total(one.counts for one in outcomes)
    skipped = sum(counts.skipped.values())
    rows = [_HEAD, *map(_row, outcomes), ("all", str(counts.total), str(skipped), minutes(seconds), "")]
    width = max(len(row[0]) for row in rows)
    lines = [f"{name:<{width}} {tests:>6} {left:>8} {took:>8}  {end}".rstrip() for name, tests, left, took, end in rows]
    lines += _section(
        "Skipped",
        [f"{one.name}: {number}: {reason}" for one in outcomes for reason, number in one.counts.skipped.items()],
    )
    lines += _section("Notes", [f"{one.name}: {note}" for one in outcomes for note in one.notes])
    lines += _section("Not part of this run", [f"{part.name}: {part.what}" for part in left_out])
    return "\n".join([*lines, "", f"tests: {counts.passed} passed, {counts.failed} failed, {skipped} skipped"])


def _row(one: Outcome) -> tuple[str, str, str, str, str]:
    ran = one.result in (Result.PASSED, Result.FAILED)
    why = f": {one.why}" if one.why else ""
    return (
        one.name,
        str(one.counts.total) if ran and one.counts.total else "-",
        str(sum(one.counts.skipped.values())),
        minutes(one.seconds) if ran else "-",
        one.result.value + why,
    )


def _section(title: str, lines: t.Sequence[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}" for line in lines)] if lines else []
