# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finding container images: the documents of fixtures/documents, each with what is in it."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.charts import Charts
from ansible_collections.sealer.cluster.plugins.module_utils._build.discovery import is_interesting, scan
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._template import TemplateError
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import (
    AMD64,
    ARM64,
    Site,
    packed,
)
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
    assert is_interesting(f"somewhere/{path.stem}", Charts([]))


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
        ("etc/p.j2", POD, "etc/p.j2: a template, not searched"),
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


def test_templates_of_applications_are_searched() -> None:
    path = "application/apps/x/p.yaml.tmpl"
    text = (POD % "quay.io/a/b:1").replace("name: p", "name: {{ .NAME }}")
    assert [str(one.reference) for one in scan(path, text.encode()).found] == ["quay.io/a/b:1"]
    findings = scan(path, (POD % "quay.io/a/b:{{ .TAG }}").encode())
    assert findings.found == []
    assert len(findings.warnings) == 1
    assert "has an image with a variable in its name" in findings.warnings[0]
    with pytest.raises(TemplateError, match=r"p.yaml.tmpl:7: '{{ if .x }}' cannot be filled in"):
        scan(path, (POD % "{{ if .x }}").encode())


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


CHART = {"Chart.yaml": "name: db\n", "values.yaml": "image: example.com/db\n", "templates/db.yaml": "a: {{ x }}\n"}


@pytest.fixture
def warned(tmp_path: pathlib.Path) -> t.Callable[..., list[str]]:
    """Warnings of a build for two platforms, of these files with these instructions; without reason and advice."""

    def build(files: t.Mapping[str, str | bytes], *instructions: str) -> list[str]:
        site = Site(tmp_path)
        context = site.context("context", {"Kubefile": "\n".join(["FROM scratch", *instructions, ""])})
        for name, content in files.items():
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            (context / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        warnings = site.build(context, platforms=[AMD64, ARM64]).warnings
        assert all(text.endswith(": list them in a file imageList or in the option images") for text in warnings)
        return [text.partition(", as their names are known only when it is rendered")[0] for text in warnings]

    return build


@pytest.mark.parametrize(
    ("instruction", "place"),
    [
        ("COPY chart charts/db/", "charts/db"),
        ("COPY chart manifests/", "manifests"),
        ("COPY chart/ /", "."),
        ('APP db chart\nAPPCMDS db ["helm install db ."]', "application/apps/db"),
    ],
)
def test_a_chart_is_told_once_wherever_it_is_put(
    warned: t.Callable[..., list[str]], instruction: str, place: str
) -> None:
    files: dict[str, str | bytes] = {f"chart/{name}": content for name, content in CHART.items()}
    files |= {f"chart/charts/sub/{name}": content for name, content in CHART.items()}
    files |= {"chart/templates/_helpers.tpl": "", "chart/charts/other.tgz": packed("other/Chart.yaml")}
    assert warned(files, instruction) == [f"{place}: a Helm chart, not searched for container images"]


def test_packed_charts_and_templates_are_told_each(warned: t.Callable[..., list[str]]) -> None:
    files = {
        "a/db-1.tgz": packed("db/Chart.yaml"),
        "a/cni.tgz": packed("bridge"),
        "a/p.yaml.j2": "",
        "b/chart.tar.gz": packed("x/Chart.yaml"),
    }
    assert warned(files, "COPY a share/", "APP b b", 'APPCMDS b ["true"]') == [
        "application/apps/b/chart.tar.gz: a packed Helm chart, not searched for container images",
        "share/db-1.tgz: a packed Helm chart, not searched for container images",
        "share/p.yaml.j2: a template, not searched for container images",
    ]


def test_what_lies_beside_a_chart_is_searched() -> None:
    """So are its files that are no templates, a list of its images, and a directory templates that is no chart's."""
    charts = Charts(["a/chart/Chart.yaml"])
    searched = ["a/p.yaml", "a/charts/templates/p.yaml", "a/chart/crds/p.yaml", "a/chart/imageList", "templates/p.yaml"]
    assert [path for path in searched if not is_interesting(path, charts)] == []
    assert not is_interesting("a/chart/templates/deep/p.yaml", charts)
    assert [str(one.reference) for one in scan("templates/p.yaml", (POD % "quay.io/a/b:1").encode()).found] == [
        "quay.io/a/b:1"
    ]


@given(st.text(st.sampled_from("apiVersion: v1\nkindPod-[]{}&*<>#'\"|!%\t image"), max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        scan("manifests/a.yaml", text.encode())
    except BuildError as error:
        assert str(error).startswith("manifests/a.yaml")
