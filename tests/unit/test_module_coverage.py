# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every module has an integration target, or a row in tests/integration/lab_coverage.yml that names lab tests.

A module has a target when the target is called like it, or names it in its aliases, and a task there uses it.
"""

from __future__ import annotations

import ast
import pathlib
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = ROOT / "tests/integration/targets"
LAB = ROOT / "tests/lab"
TABLE = "tests/integration/lab_coverage.yml"
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
COVERAGE: dict[str, dict[str, t.Any]] = yaml.safe_load((ROOT / TABLE).read_text())
TESTS = sorted({name for row in COVERAGE.values() for name in row["tests"]})


def keys_of(value: t.Any) -> set[str]:
    """The keys of all mappings in a document, among them the actions of its tasks."""
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


def uses(place: pathlib.Path, module: str) -> bool:
    """Whether a task in this file, or in a file below this directory, uses the module."""
    files = place.rglob("*.yml") if place.is_dir() else [place]
    return any(f"sealer.cluster.{module}" in keys_of(yaml.safe_load(path.read_text())) for path in files)


def names_of(target: pathlib.Path) -> set[str]:
    """What the target is called, and what its aliases say that it tests."""
    lines = (target / "aliases").read_text().splitlines()
    return {target.name, *(line for line in lines if not line.startswith("#"))}


def has_target(module: str) -> bool:
    return any(module in names_of(target) and uses(target / "tasks", module) for target in TARGETS.iterdir())


def functions_of(path: pathlib.Path) -> set[str]:
    if not path.is_file():
        return set()
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_a_target_or_a_row(module: str) -> None:
    targeted, listed = has_target(module), module in COVERAGE
    assert targeted or listed, (
        f"No test runs {module}. Add a target tests/integration/targets/{module} with tasks that use"
        f" sealer.cluster.{module}; or, where the module needs a whole cluster, a row in {TABLE}."
    )
    assert not (targeted and listed), f"{module} has a target of its own. Remove its row from {TABLE}."


@pytest.mark.parametrize("module", COVERAGE)
def test_a_row_is_of_a_module_that_the_lab_comes_to(module: str) -> None:
    row = COVERAGE[module]
    assert module in MODULES, f"There is no module {module}. Remove its row from {TABLE}, or give it the new name."
    assert row["used_in"] and row["tests"], f"The row of {module} in {TABLE} names no place or no test. Name them."
    unused = [place for place in row["used_in"] if not (ROOT / place).exists() or not uses(ROOT / place, module)]
    assert unused == [], (
        f"No task in {', '.join(unused)} uses sealer.cluster.{module}, so the lab does not come to it that way."
        f" Name in {TABLE} the role or playbook that does."
    )


@pytest.mark.parametrize("test", TESTS)
def test_a_test_that_a_row_names_exists(test: str) -> None:
    file, _separator, function = test.partition("[")[0].partition("::")
    assert function.startswith("test_") and function in functions_of(LAB / file), (
        f"tests/lab/{file} has no test {function or '(no name)'}."
        f" Put into {TABLE} where it is now, or another test that runs the module."
    )


@pytest.mark.parametrize("module", COVERAGE)
def test_a_row_says_what_each_test_asserts(module: str) -> None:
    silent = [test for test, asserted in COVERAGE[module]["tests"].items() if not asserted]
    assert silent == [], f"The row of {module} in {TABLE} does not say what {', '.join(silent)} asserts. Write it."
