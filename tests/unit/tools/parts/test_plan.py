# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which parts of the tests there are, and which of them a command runs."""

from __future__ import annotations

import re
import shlex

import pytest
from ansible_collections.sealer.cluster.tests.tools.parts.plan import ROOT, Part, UnknownPart, read, select, stages

PARTS = [
    Part("check", "test", "", ""),
    Part("unit", "test", "", ""),
    Part("images", "test", "", "", beside="unit"),
    Part("lab", "test", "", "", needs=("images",)),
    Part("image", "long", "", ""),
    Part("planes", "long", "", "", needs=("image", "images")),
]


@pytest.mark.parametrize(
    ("names", "selected"),
    [
        (["test"], ["check", "unit", "images", "lab"]),
        (["long"], ["images", "image", "planes"]),
        (["all"], ["check", "unit", "images", "lab", "image", "planes"]),
        (["lab"], ["images", "lab"]),
        (["planes", "check"], ["check", "images", "image", "planes"]),
    ],
)
def test_what_is_named_runs_with_what_it_needs(names: list[str], selected: list[str]) -> None:
    assert [part.name for part in select(PARTS, names)] == selected


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownPart, match="labs: no such part. There are test, long, all, check, unit, images, lab"):
        select(PARTS, ["labs"])


def test_parts_beside_each_other_share_a_stage() -> None:
    assert [[part.name for part in stage] for stage in stages(PARTS)] == [
        ["check"],
        ["unit", "images"],
        ["lab"],
        ["image"],
        ["planes"],
    ]


def test_a_part_runs_alone_where_the_one_beside_it_was_not_asked_for() -> None:
    assert [[part.name for part in stage] for stage in stages(select(PARTS, ["lab"]))] == [["images"], ["lab"]]


def test_the_list_names_only_what_there_is() -> None:
    parts = read()
    names = [part.name for part in parts]
    assert len(set(names)) == len(names)
    for number, part in enumerate(parts):
        assert part.suite in ("test", "long")
        assert set(part.needs) <= set(names[:number])
        assert part.beside in {"", *names[:number]}
        for word in shlex.split(part.run):
            assert not word.startswith("tests/") or (ROOT / word).exists(), f"{part.name}: {word}"


def test_each_file_of_lab_tests_is_in_a_part() -> None:
    commands = [shlex.split(part.run) for part in read()]
    named = {word for command in commands for word in command}
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/lab").rglob("test_*.py")}
    assert {name for name in files if name not in named and name.rpartition("/")[0] not in named} == set()


def test_the_guide_describes_each_part_as_the_list_does() -> None:
    guide = (ROOT / "docs/contribute/tests.md").read_text()
    described = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+?) \|", guide, re.MULTILINE))
    assert described == {part.name: part.what for part in read()}
