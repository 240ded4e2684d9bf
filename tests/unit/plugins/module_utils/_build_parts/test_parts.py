# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading parts lists."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import (
    CBuild,
    DebianBuild,
    GoBuild,
    read_parts,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from hypothesis import given
from hypothesis import strategies as st

ROOT = pathlib.Path(__file__).resolve().parents[5]
IMAGES = ROOT / "images"

GOOD = """\
schema: 1
versions:
  tool: 1.10
context: [Kubefile]
image_list: manifests/imageList
required_images: [tool, images, "v{tool}"]
parts:
  - name: tool
    version: "{tool}"
    programs:
      tool: bin/tool
      daemon:
    download:
      url: "https://example.com/v{version}/{program}-{arch}.tgz"
      checksums: "https://example.com/v{version}/SUMS"
      member: ./{program}
    build:
      go: go/tool
      package: "example.com/tool/{program}"
      ldflags: -X main.version=v{version}
      cgo: true
  - name: runner
    optional: nobody builds it
    programs: {runner: bin/runner}
    build: {debian: runner, member: /usr/sbin/runner}
  - name: wait
    version: 1.0
    programs: {wait:}
    build: {c: wait.c}
images:
  - reference: "example.com/daemon:v{tool}"
    programs: {/usr/bin/daemon: daemon}
    links: {/bin/d: /usr/bin/daemon}
    directories: {/tmp: "1777"}
    packages: [libc6]
    entrypoint: [/usr/bin/daemon, --verbose]
    user: "1:1"
"""


def write(directory: pathlib.Path, text: str) -> str:
    (directory / "parts.yml").write_text(text)
    return str(directory)


def test_everything_is_read(tmp_path: pathlib.Path) -> None:
    parts = read_parts(write(tmp_path, GOOD))
    tool, runner, wait = parts.parts
    assert tool.programs == {"tool": "bin/tool", "daemon": ""}
    assert tool.download is not None
    assert tool.download.filled("arm64", "tool") == tool.download.__class__(
        "1.10", "https://example.com/v1.10/tool-arm64.tgz", "https://example.com/v1.10/SUMS", "tool"
    )
    assert tool.build == GoBuild("1.10", "go/tool", "example.com/tool/{program}", "-X main.version=v1.10", True)
    assert runner.build == DebianBuild("runner", "usr/sbin/runner")
    assert wait.build == CBuild("1.0", "wait.c")
    assert parts.required_images == ["tool", "images", "v1.10"]
    assert parts.part_of("daemon") is tool
    (image,) = parts.images
    assert image.reference == "example.com/daemon:v1.10"
    assert image.directories == {"tmp": 0o1777}
    assert image.config["Entrypoint"] == ["/usr/bin/daemon", "--verbose"]
    assert image.config["Env"][0].startswith("PATH=")


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("schema: 1", "schema: 2", 1, "schema 2 is not known"),
        ("  tool: 1.10", "  Tool: 1.10", 3, "Tool cannot be the name of a version"),
        ("  tool: 1.10", "  arch: 1.10", 3, "arch cannot be the name of a version"),
        ("context: [Kubefile]", "context: [../Kubefile]", 4, "../Kubefile is not a plain relative path"),
        ("context: [Kubefile]", "kontext: [Kubefile]", 4, "kontext is not known here"),
        ("context: [Kubefile]", "context: Kubefile", 4, "a list is expected here"),
        ("image_list: manifests/imageList", "image_list: /etc/imageList", 5, "is not a plain relative path"),
        ("required_images: [tool,", "required_images: [daemon,", 6, "daemon is not a program that the base image"),
        ('version: "{tool}"', 'version: "{tol}"', 9, "{tol} is not known here"),
        ("      daemon:", "      tool:", 12, "tool is named twice"),
        ("      daemon:", "      daemon: bin/tool", 8, "bin/tool is named twice"),
        ("bin/tool\n", "bin/../tool\n", 11, "is not a plain relative path"),
        ("      tool: bin/tool", "      TOOL: bin/tool", 11, "TOOL cannot be the name of a program"),
        ("https://example.com/v{version}/SUMS", "http://example.com/SUMS", 15, "does not begin with https://"),
        ("      checksums:", "      checksum:", 15, "checksum is not known here"),
        ("      go: go/tool", "      og: go/tool", 18, "a build names one of go, c, debian and file"),
        ("      go: go/tool", "      go: go/tool\n      c: x.c", 18, "a build names one of go, c, debian and file"),
        ("      package: ", "      ldflag: ", 19, "ldflag is not known here"),
        ("      cgo: true", "      cgo: yes", 21, "yes is neither true nor false"),
        ("    optional: nobody builds it\n", "", 22, "runner has no download"),
        ("debian: runner", "debian: Runner!", 25, "Runner! cannot be the name of a Debian package"),
        ("member: /usr/sbin/runner", "member: usr/sbin/runner", 25, "is not a plain absolute path"),
        ("  - name: wait", "  - name: tool", 26, "part tool is named twice"),
        ("    version: 1.0\n", "", 28, "the version is missing"),
        ("    build: {c: wait.c}\n", "", 26, "wait has neither download nor build"),
        (
            "      member: ./",
            "      assets: {amd64: x}\n      member: ./",
            14,
            "assets says what {asset} in the url is",
        ),
        (
            "    programs: {/usr/bin/daemon: daemon}",
            "    optional: why\n    programs: {/usr/bin/daemon: daemon}",
            31,
            "not made",
        ),
        ("example.com/daemon:v{tool}", "example.com/Daemon", 31, "invalid image name"),
        ("{/usr/bin/daemon: daemon}", "{/usr/bin/daemon: demon}", 32, "demon is not a program of any part"),
        ("{/usr/bin/daemon: daemon}", "{usr/bin/daemon: daemon}", 32, "usr/bin/daemon is not a plain absolute path"),
        ('/tmp: "1777"', "/tmp: 1788", 34, "1788 is not a mode"),
        ("schema: 1", "schema: [1", 1, "the file is not YAML"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: pathlib.Path, old: str, new: str, line: int, told: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(BuildError) as caught:
        read_parts(write(tmp_path, GOOD.replace(old, new, 1)))
    if "not YAML" not in told:
        assert caught.value.where == f"{tmp_path}/parts.yml:{line}"
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"), [("", "the file is empty"), ("[]", "a mapping is expected"), ("a\0b", "not YAML")]
)
def test_other_files_are_refused(tmp_path: pathlib.Path, text: str, told: str) -> None:
    with pytest.raises(BuildError, match=told):
        read_parts(write(tmp_path, text))


def test_a_missing_file_is_told(tmp_path: pathlib.Path) -> None:
    with pytest.raises(BuildError, match="parts.yml: cannot read the file"):
        read_parts(str(tmp_path))


@given(st.text(max_size=60), st.integers(min_value=0, max_value=len(GOOD)))
def test_anything_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str, place: int) -> None:
    directory = tmp_path_factory.mktemp("parts")
    (directory / "parts.yml").write_bytes((GOOD[:place] + text + GOOD[place:]).encode("utf-8", "surrogatepass"))
    try:
        read_parts(str(directory))
    except BuildError as error:
        assert "parts.yml" in error.where


@pytest.mark.parametrize("name", ["kubernetes", "k0s", "k3s", "demo"])
def test_the_official_lists_are_right(name: str) -> None:
    parts = read_parts(str(IMAGES / name))
    for path in parts.context:
        assert (IMAGES / name / path).exists()
    for part in parts.parts:
        if isinstance(part.build, GoBuild):
            group = IMAGES / name / part.build.directory
            assert (group / "go.sum").stat().st_size


def used_images(application: pathlib.Path) -> t.Set[str]:
    """The images that an application's files name."""
    return {name for path in application.glob("*.yaml") for name in re.findall(r"image: (\S+)", path.read_text())}


def test_versions_are_the_same_everywhere() -> None:
    directory = IMAGES / "kubernetes"
    parts = read_parts(str(directory))
    versions = {part.name: part.download.version for part in parts.parts if part.download}
    kubefile = (directory / "Kubefile").read_text()
    assert f"io.sealer.runtime.version=v{versions['kubernetes']}" in kubefile
    assert f"io.sealer.container-runtime.version={versions['containerd']}" in kubefile
    used = used_images(directory / "flannel")
    assert used and used <= {image.reference for image in parts.images}
    major, minor = versions["kubernetes"].split(".")[:2]
    kubernetes = next(part.build for part in parts.parts if part.name == "kubernetes")
    assert isinstance(kubernetes, GoBuild)
    assert set(re.findall(r"gitM\w+=(\d+)", kubernetes.ldflags)) == {major, minor}


def test_the_version_of_k3s_is_the_same_everywhere() -> None:
    directory = IMAGES / "k3s"
    parts = read_parts(str(directory))
    download = parts.part_of("k3s").download
    assert download is not None
    assert f"io.sealer.runtime.version=v{download.version} " in (directory / "Kubefile").read_text()
    assert download.filled("amd64", "k3s").url.endswith(f"/v{download.version}/k3s")
    assert download.filled("arm64", "k3s").url.endswith(f"/v{download.version}/k3s-arm64")
    doubles = IMAGES.parent / "tests/doubles/k3s/manifests"
    assert used_images(doubles) <= {image.reference for image in parts.images}


def test_the_demo_runs_the_image_it_brings() -> None:
    parts = read_parts(str(IMAGES / "demo"))
    assert used_images(IMAGES / "demo" / "web") == {image.reference for image in parts.images if not image.published}
