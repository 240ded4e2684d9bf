# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the tests, as tests/parts.yml lists them, and those that a command asks for."""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
LIST = ROOT / "tests/parts.yml"
SUITES = {"test": ("test",), "long": ("long",), "all": ("test", "long")}


class UnknownPart(Exception):
    """A name that is neither a suite nor a part."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One command, run from the root of the checkout.

    what: what it tests, for people; beside: the part that it runs at the same time as; needs: parts that have to pass
    before it; requires: an environment variable without which it is skipped; double: programs that are doubles unless
    these environment variables name the real ones.
    """

    name: str
    suite: str
    what: str
    run: str
    beside: str = ""
    needs: tuple[str, ...] = ()
    requires: str = ""
    double: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


def read(path: pathlib.Path = LIST) -> list[Part]:
    return [Part(**{**item, "needs": tuple(item.get("needs", ()))}) for item in yaml.safe_load(path.read_text("utf-8"))]


def select(parts: t.Sequence[Part], names: t.Sequence[str]) -> list[Part]:
    """The parts that suites and names stand for, with those that they need, in the order of the list."""
    known = {part.name: part for part in parts}
    wanted: set[str] = set()
    for name in names:
        if name in SUITES:
            wanted |= {part.name for part in parts if part.suite in SUITES[name]}
        elif name in known:
            wanted.add(name)
        else:
            raise UnknownPart(f"{name}: no such part. There are {', '.join([*SUITES, *known])}.")
    for part in reversed(parts):
        if part.name in wanted:
            wanted |= set(part.needs)
    return [part for part in parts if part.name in wanted]


def stages(parts: t.Sequence[Part]) -> list[list[Part]]:
    """Parts that run at the same time stand together."""
    grouped: list[list[Part]] = []
    for part in parts:
        if grouped and part.beside in {other.name for other in grouped[-1]}:
            grouped[-1].append(part)
        else:
            grouped.append([part])
    return grouped
