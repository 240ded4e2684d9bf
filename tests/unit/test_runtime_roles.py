# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The roles of all runtimes are alike to whoever uses them: entry points, inputs with their defaults, facts, tags."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUNTIMES = ("kubeadm", "k3s", "k0s")
# What each entry point takes on every runtime.
PLACE = {"cluster_name": "str", "control_plane_group": "str", "worker_group": "str", "node_address": "str"}
NODE = {
    **PLACE,
    "api_name": "str",
    "api_endpoint": "str",
    "host_aliases": "list",
    "node_labels": "dict",
    "node_taints": "list",
}
JOIN = {**NODE, "token_ttl": "str", "no_log": "bool"}
INPUTS = {
    "init": {**NODE, "image": "dict", "version": "str", "pod_subnet": "str", "service_subnet": "str"},
    "join_control_plane": JOIN,
    "join_worker": JOIN,
    "reset": {"control_plane_group": "str", "reset_delete_node": "bool", "reset_force": "bool", "reset_links": "list"},
    "metadata": {},
}
# Which module sets the facts of an entry point.
FACTS = {"init": "init", "join_control_plane": "join", "metadata": "info"}
COMMON = sorted({name for inputs in INPUTS.values() for name in inputs} - {"reset_links"})


def read(path: pathlib.Path) -> t.Any:
    return yaml.safe_load(path.read_text())


def documented(module: str, name: str) -> t.Any:
    text = (ROOT / f"plugins/modules/{module}.py").read_text()
    found = re.search(rf'^{name} = r"""\n(.*?)"""', text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return yaml.safe_load(found.group(1))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_entry_points_are_the_same(runtime: str) -> None:
    specs = read(ROOT / f"roles/{runtime}/meta/argument_specs.yml")["argument_specs"]
    assert set(specs) == set(INPUTS)
    assert all((ROOT / f"roles/{runtime}/tasks/{name}.yml").is_file() for name in INPUTS)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("entry_point", INPUTS)
def test_inputs_are_the_same(runtime: str, entry_point: str) -> None:
    spec = read(ROOT / f"roles/{runtime}/meta/argument_specs.yml")["argument_specs"][entry_point]
    types = {name.removeprefix(f"{runtime}_"): option["type"] for name, option in spec["options"].items()}
    assert {name: types.get(name) for name in INPUTS[entry_point]} == INPUTS[entry_point]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_every_input_is_the_roles_own_and_has_a_default(runtime: str) -> None:
    specs = read(ROOT / f"roles/{runtime}/meta/argument_specs.yml")["argument_specs"]
    options = {name for spec in specs.values() for name in spec["options"]}
    assert options == set(read(ROOT / f"roles/{runtime}/defaults/main.yml"))
    assert {name for name in options if not name.startswith(f"{runtime}_")} == set()


@pytest.mark.parametrize("runtime", RUNTIMES[1:])
@pytest.mark.parametrize("name", COMMON)
def test_defaults_are_the_same(runtime: str, name: str) -> None:
    first, other = (read(ROOT / f"roles/{role}/defaults/main.yml")[f"{role}_{name}"] for role in ("kubeadm", runtime))
    assert str(other).replace(f"{runtime}_", "kubeadm_") == str(first)


@pytest.mark.parametrize("entry_point", FACTS)
def test_facts_are_the_same(entry_point: str) -> None:
    told = [
        documented(f"{runtime}_{FACTS[entry_point]}", "RETURN")["ansible_facts"]["contains"] for runtime in RUNTIMES
    ]
    types = [{name: fact["type"] for name, fact in facts.items()} for facts in told]
    assert types[0] == types[1] == types[2]
    assert {"sealer_kubeconfig_path", "sealer_api_endpoint", "sealer_cluster_state"} <= set(types[0])


@pytest.mark.parametrize(
    "module", [f"{runtime}_{what}" for runtime in RUNTIMES for what in ("init", "join", "token", "info")]
)
def test_modules_have_the_same_promises(module: str) -> None:
    promised = documented(module, "DOCUMENTATION")["attributes"]
    assert {name: promised[name]["support"] for name in ("check_mode", "idempotent")} == {
        "check_mode": "full",
        "idempotent": "full",
    }


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_task_has_a_tag(runtime: str) -> None:
    """Entry points are what is chosen here, on every runtime."""
    files = sorted((ROOT / f"roles/{runtime}/tasks").glob("*.yml"))
    assert [path.name for path in files if re.search(r"^\s*tags:", path.read_text(), re.MULTILINE)] == []


def test_preflight_knows_every_runtime() -> None:
    assert set(read(ROOT / "roles/preflight/vars/main.yml")["__preflight_runtimes"]) == set(RUNTIMES)
