# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs compiled on this machine."""

from __future__ import annotations

import collections
import pathlib
import shutil
import struct
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import CBuild, GoBuild, read_parts
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_compile import Compiler
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build_parts.conftest import Tools

ROOT = pathlib.Path(__file__).resolve().parents[5]
BASE_IMAGES = ("images/kubernetes", "images/k3s", "images/k0s", "tests/doubles/k3s/image")
ARCH = Platform.host().architecture
GO_MOD = """\
module sealer.invalid/parts/hello

go 1.21

tool example.invalid/hello/cmd/hello

require (
\texample.invalid v0.1.0 // indirect
\texample.invalid/hello v1.2.3 // indirect
)

replace example.invalid/hello => ./hello

replace example.invalid => ./other
"""
HELLO = 'package main\n\nvar version = "none"\n\nfunc main() {\n\tprintln(version)\n}\n'
BUILD = GoBuild("1.2.3", "go", "example.invalid/hello/cmd/{program}", "-X main.version=v1.2.3", False)


@pytest.fixture
def directory(tmp_path: pathlib.Path) -> pathlib.Path:
    """A parts directory with a Go group whose module needs no network."""
    parts = tmp_path / "parts"
    package = parts / "go" / "hello" / "cmd" / "hello"
    package.mkdir(parents=True)
    (parts / "go" / "go.mod").write_text(GO_MOD)
    (parts / "go" / "go.sum").write_text("")
    (parts / "go" / "hello" / "go.mod").write_text("module example.invalid/hello\n\ngo 1.21\n")
    (package / "main.go").write_text(HELLO)
    (parts / "go" / "other").mkdir()
    (parts / "go" / "other" / "go.mod").write_text("module example.invalid\n\ngo 1.21\n")
    (parts / "wait.c").write_text("int main(void) { return 7; }\n")
    return parts


@pytest.fixture
def compiler(directory: pathlib.Path, tmp_path: pathlib.Path) -> Compiler:
    return Compiler(str(directory), str(tmp_path / "cache"))


def fake_go(tools: Tools, version: str = "go1.26.8") -> None:
    """A Go that prints what it was called with into the program."""
    tools(
        "cat", "dirname",
        go=f"""case $1 in
env) echo {version};;
build) while [ "$1" != -o ]; do shift; done; echo "$CGO_ENABLED $GOFLAGS $GOARCH $GOWORK $GOGC $3" > "$2";;
esac""",
    )  # fmt: skip


def test_a_real_program_is_built_with_its_version(compiler: Compiler) -> None:
    if shutil.which("go") is None:
        pytest.skip("needs go")
    made = compiler.go_make(BUILD, "hello", ARCH)
    assert subprocess.run([made.path], capture_output=True, check=True).stderr == b"v1.2.3\n"
    assert compiler.go_make(BUILD, "hello", ARCH) == made


def test_the_module_with_the_longest_name_counts(compiler: Compiler, tools: Tools) -> None:
    fake_go(tools)
    origin = compiler.go_origin(BUILD, "hello", ARCH)
    assert origin.version == "1.2.3"
    assert origin.source == "example.invalid/hello/cmd/hello of example.invalid/hello@v1.2.3 (go1.26.8)"


@pytest.mark.parametrize(("own", "used"), [("", "400"), ("50", "50")])
def test_flags_are_given(
    compiler: Compiler, tools: Tools, monkeypatch: pytest.MonkeyPatch, own: str, used: str
) -> None:
    fake_go(tools)
    monkeypatch.delenv("GOGC", raising=False)
    key = compiler.go_origin(BUILD, "hello", ARCH).key
    if own:
        monkeypatch.setenv("GOGC", own)
    made = compiler.go_make(BUILD, "hello", ARCH)
    assert pathlib.Path(made.path).read_text() == f"0 -mod=readonly {ARCH} off {used} example.invalid/hello/cmd/hello\n"
    assert compiler.go_origin(BUILD, "hello", ARCH).key == key


def test_the_recipe_knows_all_that_decides(directory: pathlib.Path, tmp_path: pathlib.Path, tools: Tools) -> None:
    fake_go(tools)
    keys = set()

    def add(build: GoBuild = BUILD) -> None:
        keys.add(Compiler(str(directory), str(tmp_path)).go_origin(build, "hello", ARCH).key)

    add()
    add()
    assert len(keys) == 1
    add(GoBuild("1.2.3", "go", BUILD.package, "", False))
    add(GoBuild("1.2.3", "go", "example.invalid/hello/cmd/other", BUILD.ldflags, False))
    (directory / "go" / "go.sum").write_text("example.com/x v1.0.0 h1:abc=\n")
    add()
    (directory / "go" / "go.mod").write_text(GO_MOD + "\n")
    add()
    (tmp_path / "tools" / "go").write_text("#!/bin/sh\necho go1.27.0\n")
    add()
    assert len(keys) == 6


def test_a_program_is_compiled_once_for_all_base_images(tmp_path: pathlib.Path, tools: Tools) -> None:
    fake_go(tools)
    tools(gcc="echo 12.2.0")
    recipes: t.Dict[t.Tuple[str, str], t.Dict[str, t.List[str]]] = collections.defaultdict(dict)
    for name in BASE_IMAGES:
        compiler = Compiler(str(ROOT / name), str(tmp_path))
        builds = [(part.build, program) for part in read_parts(str(ROOT / name)).parts for program in part.programs]
        for build, program in builds:
            if isinstance(build, GoBuild):
                origin = compiler.go_origin(build, program, ARCH)
                recipes[program, origin.version].setdefault(origin.key, []).append(name)
    assert {program: keys for program, keys in recipes.items() if len(keys) > 1} == {}
    assert list(recipes["kubelet", "1.35.4"].values()) == [[name for name in BASE_IMAGES if name != "images/k3s"]]


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (GoBuild("1.2.4", "go", BUILD.package, "", False), "hello is to be 1.2.4, but the Go module says v1.2.3"),
        (GoBuild("1.2.3", "go", "example.org/x", "", False), "no module for example.org/x is required"),
        (GoBuild("1.2.3", "gone", BUILD.package, "", False), "gone/go.mod: cannot read the file"),
    ],
)
def test_what_does_not_fit_is_told(compiler: Compiler, tools: Tools, build: GoBuild, told: str) -> None:
    fake_go(tools)
    with pytest.raises(BuildError, match=told):
        compiler.go_origin(build, "hello", ARCH)


def test_missing_go_is_told(compiler: Compiler, tools: Tools) -> None:
    tools()
    with pytest.raises(BuildError, match="go is not installed. Install Go"):
        compiler.go_origin(BUILD, "hello", ARCH)


@pytest.mark.parametrize("version", ["go1.20.14", "go1.9"])
def test_old_go_is_told(compiler: Compiler, tools: Tools, version: str) -> None:
    fake_go(tools, version)
    with pytest.raises(BuildError, match=f"Go is too old: {version} is installed, 1.21.0 is needed"):
        compiler.go_origin(BUILD, "hello", ARCH)


@pytest.mark.parametrize("version", ["go1.21", "go1.21.0", "go1.100", "go2.0", "devel go1.30-abc"])
def test_other_go_is_taken(compiler: Compiler, tools: Tools, version: str) -> None:
    fake_go(tools, version)
    assert version in compiler.go_origin(BUILD, "hello", ARCH).source


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo one >&2; echo two >&2; exit 1", r"cannot build hello: go build ended with 1: one / two"),
        ("echo 'write x: no space left on device' >&2; exit 1", "Make room on the disk and run it again"),
    ],
)
def test_failed_builds_are_told_and_leave_nothing(
    compiler: Compiler, tmp_path: pathlib.Path, tools: Tools, script: str, told: str
) -> None:
    tools(go=f'if [ "$1" = env ]; then echo go1.26; exit; fi\n{script}')
    with pytest.raises(BuildError, match=told):
        compiler.go_make(BUILD, "hello", ARCH)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def segment_types(elf: bytes) -> list[int]:
    """Types of the segments of a 64 bit program; 3 names the loader of shared libraries."""
    (begin,) = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    return [struct.unpack_from("<I", elf, begin + number * size)[0] for number in range(count)]


def test_c_is_linked_statically(compiler: Compiler) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    made = compiler.c_make(CBuild("1", "wait.c"), "wait", ARCH)
    assert subprocess.run([made.path], check=False).returncode == 7
    assert 3 not in segment_types(pathlib.Path(made.path).read_bytes())
    assert "wait.c sha256:" in compiler.c_origin(CBuild("1", "wait.c"), "wait", ARCH).source


def test_missing_gcc_is_told(compiler: Compiler, tools: Tools) -> None:
    tools()
    with pytest.raises(BuildError, match="gcc is not installed. Install gcc"):
        compiler.c_origin(CBuild("1", "wait.c"), "wait", ARCH)


def test_other_architectures_are_refused(compiler: Compiler) -> None:
    with pytest.raises(BuildError, match="x cannot be built for mips"):
        compiler.go_origin(BUILD, "x", "mips")
    with pytest.raises(BuildError, match="x cannot be built for mips"):
        compiler.c_origin(CBuild("1", "wait.c"), "x", "mips")
