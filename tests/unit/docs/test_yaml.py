# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inventories, variables, playbooks, tasks and parts lists in the guides name what there is.

A variable is an option of a role, or one that starts with ``sealer_`` and that the collection reads. guides.yml tells
under ``foreign`` which words of a guide are somebody else's.
"""

from __future__ import annotations

import functools
import pathlib
import re
import subprocess
import typing as t

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.sealer.cluster.docs.generate import ansible_doc
from ansible_collections.sealer.cluster.plugins.module_utils._build.kubefile import parse
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import read_parts
from ansible_collections.sealer.cluster.tests.unit.docs.blocks import GUIDES, ROOT, Block, blocks

Spec = t.Dict[str, t.Any]
FOREIGN = {
    name: guide.get("foreign", {})
    for name, guide in yaml.safe_load(pathlib.Path(__file__).with_name("guides.yml").read_text()).items()
}
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in GUIDES}
BLOCKS = [(name, block) for name, text in TEXTS.items() for block in blocks(text)]
SOURCES = [path for kind in ("playbooks", "plugins", "roles") for path in (ROOT / kind).rglob("*") if path.is_file()]
CODE = "\n".join(path.read_text() for path in SOURCES if path.suffix in (".j2", ".py", ".yml"))
ROLES = {
    path.parents[1].name: yaml.safe_load(path.read_text())["argument_specs"]
    for path in (ROOT / "roles").glob("*/meta/argument_specs.yml")
}
OPTIONS: dict[str, Spec] = {
    name: spec
    for entries in ROLES.values()
    for entry in entries.values()
    for name, spec in (entry.get("options") or {}).items()
}
# By the variable for all roles, the options that have its value.
COMMON: dict[str, list[str]] = {}
for option, variable in re.findall(r'^(\w+): "\{\{ (sealer_\w+) \|', CODE, re.MULTILINE):
    if option in OPTIONS:
        COMMON.setdefault(variable, []).append(option)
READ = set(re.findall(r"\w+", CODE)) | set(ROLES)
SECTIONS = ("pre_tasks", "tasks", "post_tasks", "handlers", "block", "rescue", "always")
CONNECTION = {"ansible_host", "ansible_port", "ansible_user"}


@functools.cache
def module_spec(name: str) -> Spec:
    """The options of a module of the collection, as its documentation has them."""
    return as_spec(ansible_doc("module", [name])[name]["doc"]["options"])


def as_spec(options: t.Mapping[str, Spec]) -> Spec:
    """Options as a validator takes them. What is required is asked for where a call is shown, and not of a variable."""
    return {
        name: {
            key: as_spec(value) if key == "options" else value
            for key, value in ((key.replace("suboptions", "options"), value) for key, value in option.items())
            if key != "default"
        }
        for name, option in options.items()
    }


def complaints(spec: Spec, values: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong with these values; what is made by a template is not looked at, as nobody knows it yet."""
    known = {name: value for name, value in values.items() if not is_template(value, spec.get(name, {}))}
    return list(ArgumentSpecValidator(spec).validate(known).error_messages)


def is_template(value: t.Any, option: Spec) -> bool:
    return isinstance(value, str) and "{{" in value and option.get("type", "str") not in ("str", "path")


def wrong_variables(values: t.Mapping[str, t.Any], foreign: t.Container[str]) -> t.Iterator[str]:
    """What is wrong with variables as an inventory or a role has them."""
    for name, value in values.items():
        options = [name] if name in OPTIONS else COMMON.get(name, [])
        for option in options:
            spec = {**as_spec({name: OPTIONS[option]})[name], "required": False}
            yield from (f"{name}: {told}" for told in complaints({name: spec}, {name: value}))
        is_read = name.startswith("sealer_") and name in READ
        if not (options or is_read or name in CONNECTION or name in foreign):
            yield f"{name}: no role has such an option, and nothing reads such a variable"


def is_inventory(document: t.Any) -> bool:
    groups = document.values() if isinstance(document, dict) else [None]
    return all(isinstance(group, dict) and group and set(group) <= {"hosts", "children", "vars"} for group in groups)


def wrong_in_inventory(groups: t.Mapping[str, t.Any], foreign: t.Container[str]) -> t.Iterator[str]:
    for group in groups.values():
        for values in (group.get("vars"), *(group.get("hosts") or {}).values()):
            yield from wrong_variables(values or {}, foreign)
        children = {name: child for name, child in (group.get("children") or {}).items() if child}
        yield from wrong_in_inventory(children, foreign)


def wrong_in_role(name: str, entry: str, values: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """What is wrong with a use of a role of the collection."""
    options = ROLES.get(name.removeprefix("sealer.cluster."), {}).get(entry, {}).get("options", {})
    yield from (f"{name}, {entry}: has no {value}" for value in values if value not in options)
    yield from wrong_variables(values, ())


def wrong_in_tasks(tasks: t.Iterable[t.Mapping[str, t.Any]]) -> t.Iterator[str]:
    """What is wrong with tasks that use modules and roles of the collection, or plays that do."""
    for task in tasks:
        for name, arguments in task.items():
            if name.startswith("sealer.cluster."):
                found = complaints(module_spec(name), arguments or {})
                yield from (f"{name}: {told}" for told in found)
            if name in ("ansible.builtin.import_role", "ansible.builtin.include_role"):
                yield from wrong_in_role(arguments["name"], arguments.get("tasks_from", "main"), task.get("vars", {}))
        for role in task.get("roles", ()):
            used = role if isinstance(role, dict) else {"role": role}
            yield from wrong_in_role(used["role"], "main", used.get("vars", {}))
        for section in SECTIONS:
            yield from wrong_in_tasks(task.get(section, ()))


def wrong(document: t.Any, foreign: t.Container[str]) -> list[str]:
    """What is wrong with one YAML document of a guide."""
    if isinstance(document, list):
        return list(wrong_in_tasks(document))
    if is_inventory(document):
        return list(wrong_in_inventory(document, foreign))
    return list(wrong_variables(document, foreign))


@pytest.mark.parametrize(
    ("name", "block"),
    [pytest.param(name, block, id=f"{name}:{block.line}") for name, block in BLOCKS if block.language == "yaml"],
)
def test_yaml_names_what_there_is(name: str, block: Block, tmp_path: pathlib.Path) -> None:
    foreign = FOREIGN.get(name, {})
    for text in block.files().values() or [block.text]:
        document = yaml.safe_load(text)
        if isinstance(document, dict) and "schema" in document:
            (tmp_path / "parts.yml").write_text(text)
            assert read_parts(str(tmp_path)).parts
        else:
            assert wrong(document, foreign) == []


def test_playbooks_and_tasks_are_read_by_ansible(tmp_path: pathlib.Path) -> None:
    shown = [
        (f"{name}:{block.line}", yaml.safe_load(text))
        for name, block in BLOCKS
        if block.language == "yaml"
        for text in block.files().values() or [block.text]
    ]
    paths: list[pathlib.Path] = []
    for number, (place, document) in enumerate(shown):
        if isinstance(document, list):
            is_play = any(key in document[0] for key in ("hosts", "ansible.builtin.import_playbook"))
            paths.append(tmp_path / f"{number}-{place.replace('/', '-')}.yml")
            paths[-1].write_text(yaml.safe_dump(document if is_play else [{"hosts": "all", "tasks": document}]))
    command = ["ansible-playbook", "--inventory", "localhost,", "--syntax-check", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert len(paths) > 5 and done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "block"),
    [pytest.param(name, block, id=f"{name}:{block.line}") for name, block in BLOCKS if block.language == "dockerfile"],
)
def test_kubefiles_are_read(name: str, block: Block) -> None:
    has_base = re.search(r"^FROM ", block.text, re.MULTILINE)
    assert parse(block.text if has_base else f"FROM scratch\n{block.text}", name)


@pytest.mark.parametrize("name", TEXTS)
def test_variables_in_a_text_are_known(name: str) -> None:
    """Options, variables, tags, results and metrics, wherever they stand: the collection has a word for each."""
    named = set(re.findall(rf"(?<![\w./-])((?:sealer|{'|'.join(ROLES)})_\w*[^\W_])(?![\w*])", TEXTS[name]))
    known = READ | {f"sealer_mirror_{word}" for word in READ} | set(FOREIGN.get(name, {}))
    assert sorted(named - known) == []


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, words in FOREIGN.items() for word in words])
def test_what_is_foreign_stands_in_the_guide_and_is_not_ours(name: str, word: str) -> None:
    assert re.search(rf"\b{word}\b", TEXTS[name]) and word not in OPTIONS and word not in COMMON


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sealer_registery_pull_through: any", "sealer_registery_pull_through: no role has such an option"),
        ("sealer_registry_upstreams: [{name: a, user: b}]", "sealer_registry_upstreams.user"),
        ("sealer_registry_pull_through: all", "sealer_registry_pull_through must be one of"),
        ("all: {vars: {sealer_imag: a}}", "sealer_imag: no role has such an option"),
        ("all: {children: {a: {hosts: {b: {ansible_hots: c}}}}}", "ansible_hots: no role has"),
        ("kube_node: {hots: {a: {}}}", "kube_node: no role has"),
        ("[{sealer.cluster.image_sync: {names: [a], destination: b, rule: []}}]", "sealer.cluster.image_sync: rule."),
        ("[{sealer.cluster.image_sync: {names: [a]}}]", "missing required arguments: destination"),
        ("[{hosts: a, roles: [{role: sealer.cluster.registry, vars: {registry_grup: b}}]}]", "has no registry_grup"),
        (
            "[{hosts: a, tasks: [{ansible.builtin.import_role: {name: sealer.cluster.kubeadm, tasks_from: init},"
            " vars: {kubeadm_token_tll: 1h}}]}]",
            "sealer.cluster.kubeadm, init: has no kubeadm_token_tll",
        ),
    ],
)
def test_a_slip_is_told(text: str, told: str) -> None:
    found = wrong(yaml.safe_load(text), ())
    assert any(told in one for one in found), found
