# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every option that holds a secret is marked as one, and stands in the lab's table."""

from __future__ import annotations

import ast
import json
import pathlib
import re
import typing as t

import yaml
from ansible_collections.sealer.cluster.tests.lab.runtimes import K0S, K3S, KUBEADM
from ansible_collections.sealer.cluster.tests.lab.secret_options import KNOWN_TO_A_REGISTRY, MADE, OPTIONS, Given

ROOT = pathlib.Path(__file__).resolve().parents[3]
SECRET_NAME = re.compile(
    r"passw(or)?d$|private_key|client_key|secret|token$|_datastore_endpoint|data_source|access_key"
)
# Their values are no secrets.
HARMLESS = {
    "host_config.secrets_group",
    # Paths.
    "_argspec.client_key",
}

Options = t.Iterator[tuple[str, bool]]


def options_of_spec(owner: str, options: t.Mapping[str, t.Any]) -> Options:
    """Names of options, those within others with a dot, and whether they are marked."""
    for name, option in options.items():
        yield f"{owner}.{name}", bool(option.get("no_log"))
        yield from options_of_spec(f"{owner}.{name}", option.get("options", {}))


def options_of_roles() -> Options:
    for path in sorted((ROOT / "roles").glob("*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            yield from options_of_spec(path.parents[1].name, entry.get("options", {}))


def options_of_code() -> Options:
    """Argument specs in Python, which are the dictionaries with a type in them."""
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str) and isinstance(value, ast.Dict):
                        fields = {
                            name.value: item.value
                            for name, item in zip(value.keys, value.values, strict=True)
                            if isinstance(name, ast.Constant) and isinstance(item, ast.Constant)
                        }
                        if "type" in fields:
                            yield f"{path.stem}.{key.value}", bool(fields.get("no_log"))


def all_options() -> set[tuple[str, bool]]:
    return {*options_of_roles(), *options_of_code()}


def test_every_marked_option_is_in_the_table() -> None:
    assert {name for name, marked in all_options() if marked} == set(OPTIONS)


def test_every_option_with_the_name_of_a_secret_is_marked() -> None:
    named = {name for name, marked in all_options() if not marked and SECRET_NAME.search(name)}
    assert named == HARMLESS


def test_every_kind_is_given_or_made_and_read() -> None:
    given = {secret.kind for secret in Given.make().secrets}
    assert given | MADE | KNOWN_TO_A_REGISTRY == set(OPTIONS.values())
    read = {source.kind for runtime in (KUBEADM, K3S, K0S) for source in runtime.secrets}
    assert read >= MADE


def test_every_given_secret_is_in_the_variables() -> None:
    given = Given.make()
    text = json.dumps(given.variables)
    assert [secret.kind for secret in given.secrets if secret.value not in text] == []


def test_every_variable_is_read_by_a_role() -> None:
    defaults = "".join(path.read_text() for path in (ROOT / "roles").glob("*/defaults/main.yml"))
    assert [name for name in Given.make().variables if not re.search(rf"\b{name}\b", defaults)] == []
