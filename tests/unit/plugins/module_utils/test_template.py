# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests with variables."""

from __future__ import annotations

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._template import TemplateError, fill, plain_name

VALUES = {"PodCIDR": "10.244.0.0/16", "EMPTY": "", "a_1": "{{ .PodCIDR }}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("", ""),
        ("no variable: {a: {b: 1}}", "no variable: {a: {b: 1}}"),
        ('"Network": "{{ .PodCIDR }}"', '"Network": "10.244.0.0/16"'),
        ("{{.PodCIDR}},{{  .PodCIDR  }}", "10.244.0.0/16,10.244.0.0/16"),
        ("x{{ .EMPTY }}y", "xy"),
        ("{{ .a_1 }}", "{{ .PodCIDR }}"),
    ],
)
def test_variables_are_filled_in_once(text: str, filled: str) -> None:
    assert fill(text, VALUES.get, "a.yaml.tmpl") == filled


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\nb: {{ .Other }}", r"a.yaml.tmpl:2: the variable Other has no value. .*apps_env: {Other: VALUE}"),
        ("{{ if .PodCIDR }}x{{ end }}", r"a.yaml.tmpl:1: '{{ if .PodCIDR }}' cannot be filled in"),
        ("{{- .PodCIDR -}}", "cannot be filled in"),
        ("{{ .PodCIDR | b64enc }}", "cannot be filled in"),
        ("\n\n{{ PodCIDR }}", "a.yaml.tmpl:3"),
        ("{{}}", "cannot be filled in"),
    ],
)
def test_everything_else_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(TemplateError, match=told):
        fill(text, VALUES.get, "a.yaml.tmpl")


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("a/b.yaml.tmpl", "a/b.yaml"),
        ("b.json.tmpl", "b.json"),
        ("b.tmpl", "b.tmpl"),
        ("b.sh.tmpl", "b.sh.tmpl"),
        ("b.yaml", "b.yaml"),
    ],
)
def test_templates_of_manifests_are_known_by_their_names(path: str, plain: str) -> None:
    assert plain_name(path) == plain
