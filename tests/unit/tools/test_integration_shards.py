# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shards of integration targets that pass, fail and leave something out, and the aliases that make the shards."""

from __future__ import annotations

import pathlib
import xml.etree.ElementTree as ET

import pytest
from ansible_collections.sealer.cluster.tests.tools import integration_shards
from ansible_collections.sealer.cluster.tests.tools.integration_shards import Shard, Target

TARGETS = sorted(integration_shards.TARGETS.iterdir())

# As ansible-test prints it.
GOOD = """
echo "Running one integration test role"
echo '    "msg": "SKIPPED: two is not tried"'
echo "Running two integration test role"
"""
BAD = """
echo "Running three integration test role"
echo 'ERROR: Command "ansible-playbook three-x.yml -i inventory" returned exit status 2.'
echo "Running four integration test role"
exit 1
"""
# It ends before it says which target it was.
ENDED = """
echo "Running five integration test role"
exit 1
"""


def shard(script: str) -> Shard:
    return Shard("shard/1", ["bash", "-c", script])


def outcome(made: Shard) -> dict[str, bool]:
    return {target.name: target.failed for target in made.targets}


def test_all_shards_run_whatever_fails(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = shard(GOOD), shard(BAD)
    assert not integration_shards.run([bad, good])
    assert outcome(good) == {"one": False, "two": False}
    assert outcome(bad) == {"three": True, "four": False}
    assert good.targets[0].skipped == ["two is not tried"]
    assert "returned exit status 2" in capsys.readouterr().out
    assert integration_shards.run([good])


def test_a_failure_is_of_the_last_target_where_none_is_named() -> None:
    ended, nothing = shard(ENDED), shard("exit 2")
    assert not integration_shards.run([ended, nothing])
    assert outcome(ended) == {"five": True}
    assert outcome(nothing) == {"shard/1": True}


def test_junit_counts_targets_and_what_they_left_out(tmp_path: pathlib.Path) -> None:
    made = [Target("one", 0, 1, skipped=["two is not tried"]), Target("three", 0, 2, failed=True)]
    integration_shards.write_junit(made, tmp_path / "integration.xml")
    cases = list(ET.parse(tmp_path / "integration.xml").getroot())
    assert [(case.get("name"), [child.tag for child in case]) for case in cases] == [
        ("one", []),
        ("one", ["skipped"]),
        ("three", ["failure"]),
    ]


@pytest.mark.parametrize("target", TARGETS, ids=lambda path: path.name)
def test_a_target_is_in_one_shard(target: pathlib.Path) -> None:
    hidden = "hidden" in (target / "aliases").read_text().splitlines()
    assert len(integration_shards.shards_of(target)) == (
        0 if hidden else 1
    ), f"Put the line shard/1 or shard/2 into {target.name}/aliases, the one that ends earlier now."
