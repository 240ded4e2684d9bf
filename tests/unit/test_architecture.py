# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shape of the code: which way imports go, and how large a file may grow."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
UTILS = "ansible_collections.sealer.cluster.plugins.module_utils."
CONTROLLER = "ansible_collections.sealer.cluster.plugins.plugin_utils."
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
TASKS = sorted((ROOT / "roles").glob("*/tasks/**/*.yml"))
VARIABLES = sorted(path for place in ("roles", "playbooks") for path in (ROOT / place).rglob("*.yml"))
# Ansible makes sets of the lists: in another run of Python the same result has another order.
UNORDERED = re.compile(r"\|\s*(?:ansible\.builtin\.)?(difference|intersect|symmetric_difference|union)\b")
MAY_USE = {
    "_oci": {"_oci", "_errors"},
    "_build": {"_build", "_oci", "_errors", "_template"},
    "_mirror": {"_mirror", "_oci", "_errors"},
    "_cluster": {"_cluster", "_oci", "_errors", "_template"},
}


def imports_of(path: pathlib.Path) -> set[str]:
    """Full names of the modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: pathlib.Path) -> None:
    parts = path.relative_to(ROOT / "plugins").parts
    used = imports_of(path)
    if parts[0] in ("modules", "module_utils"):
        assert not {name for name in used if name.startswith(CONTROLLER)}
    if parts[0] == "module_utils":
        packages = {name[len(UTILS) :].split(".")[0] for name in used if name.startswith(UTILS)}
        assert packages <= MAY_USE.get(parts[1], packages)
        assert "ansible.module_utils.basic" not in used or parts[1] not in MAY_USE


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_stay_small(path: pathlib.Path) -> None:
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert len(path.read_text().splitlines()) <= 400
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= 40] == []


@pytest.mark.parametrize("path", TASKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_task_files_stay_small(path: pathlib.Path) -> None:
    assert len(path.read_text().splitlines()) <= 80


def test_the_action_group_names_every_image_module() -> None:
    import yaml

    group = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())["action_groups"]["images"]
    modules = {f"sealer.cluster.{path.stem}" for path in (ROOT / "plugins/modules").glob("image_*.py")}
    texts = {name: (ROOT / f"plugins/modules/{name.rsplit('.')[-1]}.py").read_text() for name in modules}
    shared = {name for name, text in texts.items() if "REGISTRY_SPEC" in text}
    assert shared <= set(group) <= modules


@pytest.mark.parametrize("path", VARIABLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lists_keep_their_order(path: pathlib.Path) -> None:
    assert UNORDERED.findall(path.read_text()) == []
