# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding container images: the documents of fixtures/documents, each with what is in it."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.discovery import is_interesting, scan
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from hypothesis import given
from hypothesis import strategies as st

FILES = pathlib.Path(__file__).parent / "fixtures" / "documents"
POD = """apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
    - name: c
      image: %s
"""


@pytest.mark.parametrize("path", sorted(FILES.glob("*.found")), ids=lambda path: path.stem)
def test_documents(path: pathlib.Path) -> None:
    findings = scan(path.stem, path.with_suffix(".in").read_bytes())
    assert [f"{one.why} -> {one.reference}" for one in findings.found] == path.read_text().splitlines()
    assert findings.warnings == []
    assert is_interesting(f"somewhere/{path.stem}")


@pytest.mark.parametrize("name", ["'{{ .Values.image }}'", "Upper/Case", "a:b:c", "'$(IMAGE)'"])
def test_a_name_that_is_none_is_an_error_with_its_place(name: str) -> None:
    with pytest.raises(BuildError, match=r"manifests/p.yaml:7:14: .* is no name of an image"):
        scan("manifests/p.yaml", (POD % name).encode())


def test_a_name_that_is_none_can_be_ignored() -> None:
    assert scan("p.yaml", (POD % "$(IMAGE)").encode(), ["$(IMAGE)"]).found == []


def test_a_container_without_image_is_told() -> None:
    assert scan("p.yaml", (POD % "null").encode()).warnings == ["p.yaml:7: Pod/p container c names no image"]


@pytest.mark.parametrize(
    ("path", "content", "warning"),
    [
        ("manifests/p.yaml.tmpl", POD, "manifests/p.yaml.tmpl: a template, not searched"),
        ("application/apps/a/templates/p.yaml", POD, "application/apps/a/templates/p.yaml: a template"),
        (
            "manifests/p.yaml",
            "a: {{ x }}\nb: [",
            "manifests/p.yaml:3:1: not searched for container images, it is no YAML",
        ),
        ("elsewhere/p.yaml", "a: [", "elsewhere/p.yaml:2:1: not searched"),
        ("elsewhere/p.yaml", b"\xff\xfe", "elsewhere/p.yaml: not searched"),
    ],
)
def test_what_cannot_be_searched_is_told(path: str, content: object, warning: str) -> None:
    data = content if isinstance(content, bytes) else str(content).encode()
    findings = scan(path, data)
    assert findings.found == []
    assert len(findings.warnings) == 1
    assert findings.warnings[0].startswith(warning)


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("manifests/p.yaml", b"a: [", "manifests/p.yaml:2:1: is no YAML"),
        ("application/apps/x/p.yml", b"a: b: c", "application/apps/x/p.yml:1:5: is no YAML"),
        ("manifests/p.yaml", b"\xff\xfe", "manifests/p.yaml: cannot be searched"),
        ("manifests/imageList", b"a b", "manifests/imageList:1: 'a b' is no name of an image: Write one"),
        ("manifests/imageList", b"ok\nNot/OK", "manifests/imageList:2: 'Not/OK' is no name of an image"),
    ],
)
def test_broken_documents_are_errors(path: str, content: bytes, told: str) -> None:
    with pytest.raises(BuildError) as caught:
        scan(path, content)
    assert str(caught.value).replace(". Write", ": Write").startswith(told)


@pytest.mark.parametrize("text", [r"\ud83d\ude00", r"\\\ud83d\ude00", r"\ud83d", r"\\ud83d", r"a\/b", r"a\tb"])
def test_json_is_read_as_json(text: str) -> None:
    head = '{"apiVersion": "v1", "kind": "Pod",\t"metadata": {"name": "p", "annotations": {"a": "' + text + '"}},\n'
    content = head + '"spec": {"containers": [{"name": "c", "image": "quay.io/a/b:1"}]}}'
    found = scan("manifests/p.json", content.encode()).found
    assert [(str(one.reference), one.why) for one in found] == [
        ("quay.io/a/b:1", "manifests/p.json:2 Pod/p container c")
    ]


def test_recursive_anchors_end() -> None:
    text = "&a\napiVersion: v1\nkind: List\nitems: [*a, {apiVersion: v1, kind: Pod, <<: *a}]\n"
    assert scan("manifests/a.yaml", text.encode()).found == []


def test_deep_nests_end() -> None:
    with pytest.raises(BuildError, match="deep"):
        scan("manifests/a.yaml", b"[" * 100000)


@given(st.text(st.sampled_from("apiVersion: v1\nkindPod-[]{}&*<>#'\"|!%\t image"), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        scan("manifests/a.yaml", text.encode())
    except BuildError as error:
        assert str(error).startswith("manifests/a.yaml")
