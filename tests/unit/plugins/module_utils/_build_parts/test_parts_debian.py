# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files out of Debian packages, with real packages made here and an apt that knows only them."""

from __future__ import annotations

import hashlib
import os
import pathlib
import subprocess

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import DebianBuild
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_debian import Debian
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build_parts.conftest import Tools

ARCH = "amd64"


class Archive:
    """Packages by name, and the stanzas that apt prints of them."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.pool = root / "pool"
        self.pool.mkdir(parents=True)

    def add(self, name: str, files: dict[str, str], section: str = "libs", **fields: str) -> None:
        """A package; a file whose content begins with -> is a link."""
        tree = self.root / "tree" / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN").chmod(0o755)
        control = {"Package": name, "Version": "1.0-1", "Architecture": ARCH, "Section": section, **fields}
        text = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in control.items())
        (tree / "DEBIAN" / "control").write_text(f"{text}Maintainer: x <x@example.com>\nDescription: x\n more: text\n")
        for path, content in files.items():
            place = tree / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if content.startswith("->"):
                place.symlink_to(content[2:])
            else:
                place.write_text(content)
                place.chmod(0o4755 if "bin/" in path else 0o644)
        deb = self.pool / f"{name}_1.0-1_{ARCH}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, deb], check=True, capture_output=True)
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        (self.pool / f"{name}.stanza").write_text(f"{text}SHA256: {digest}\nDescription: x\n more: text\n\n")

    def use(self, tools: Tools) -> None:
        tools(
            "cat", "cp", "dpkg-deb", "tar",
            dpkg=f"echo {ARCH}",
            apt_get=f'echo "$3" >> {self.root}/downloads; cp {self.pool}/"${{3%%=*}}"_*.deb .',
            apt_cache=f"""shift 2; found=100
for name; do if [ -e {self.pool}/$name.stanza ]; then cat {self.pool}/$name.stanza; found=0; fi; done
exit $found""",
        )  # fmt: skip

    @property
    def downloads(self) -> list[str]:
        path = self.root / "downloads"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def packages(tmp_path: pathlib.Path, tools: Tools) -> Archive:
    if not os.path.exists("/usr/bin/dpkg-deb"):
        pytest.skip("needs dpkg-deb")
    made = Archive(tmp_path / "archive")
    made.add(
        "web",
        {"usr/sbin/web": "program", "etc/web.conf": "x", "usr/share/doc/web/copyright": "c", "etc/init.d/web": "i"},
        section="httpd",
        Depends="libone (>= 1), tool (= 1) | tool2, libgone | libtwo",
        Pre_Depends="zlib",
    )
    made.add("libone", {"lib/x/libone.so.1": "->libone.so.1.0", "lib/x/libone.so.1.0": "one"}, Depends="libc")
    made.add("zlib", {"lib/x/libz.so": "z"}, section="non-free/libs")
    made.add("libc", {"lib64/ld.so": "->/lib/x/ld.so", "lib/x/ld.so": "ld"}, Depends="libone")
    made.add("tool", {"bin/tool": "tool"}, section="utils")
    made.use(tools)
    return made


@pytest.fixture
def debian(packages: Archive, tmp_path: pathlib.Path) -> Debian:
    return Debian(str(tmp_path / "cache"))


def test_the_closure_is_libraries(debian: Debian) -> None:
    found = debian.closure(["web"], ARCH)
    assert [package.name for package in found] == ["libc", "libone", "web", "zlib"]
    assert found[0].told == "libc=1.0-1"


def test_files_come_with_one_usr_and_without_documentation(debian: Debian) -> None:
    entries = {entry.path: entry for entry in debian.entries(debian.closure(["web", "tool"], ARCH))}
    files = {path for path, entry in entries.items() if entry.kind == "file"}
    assert files == {
        "etc/web.conf",
        "usr/bin/tool",
        "usr/lib/x/ld.so",
        "usr/lib/x/libone.so.1.0",
        "usr/lib/x/libz.so",
        "usr/sbin/web",
    }
    links = {path: entry.target for path, entry in entries.items() if entry.kind == "link"}
    assert links == {
        "bin": "usr/bin",
        "lib": "usr/lib",
        "lib64": "usr/lib64",
        "sbin": "usr/sbin",
        "usr/lib/x/libone.so.1": "libone.so.1.0",
        "usr/lib64/ld.so": "/lib/x/ld.so",
    }
    assert pathlib.Path(entries["usr/sbin/web"].source).read_text() == "program"
    assert entries["usr/bin/tool"].mode == 0o755
    assert {entry.uid for entry in entries.values()} == {0}


def test_packages_are_downloaded_once(debian: Debian, packages: Archive, tmp_path: pathlib.Path) -> None:
    first = debian.entries(debian.closure(["web"], ARCH))
    again = Debian(str(tmp_path / "cache"))
    assert again.entries(again.closure(["web"], ARCH)) == first
    assert sorted(packages.downloads) == ["libc=1.0-1", "libone=1.0-1", "web=1.0-1", "zlib=1.0-1"]


def test_a_program_is_taken(debian: Debian) -> None:
    build = DebianBuild("tool", "bin/tool")
    origin = debian.origin(build, "tool", ARCH)
    assert (origin.version, origin.source) == ("1.0-1", "Debian package tool=1.0-1 /bin/tool")
    made = debian.make(build, "tool", ARCH)
    assert pathlib.Path(made.path).read_text() == "tool"
    assert len(made.source_sha256) == 64


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (DebianBuild("gone", "bin/gone"), "apt knows no package gone. Run .apt-get update."),
        (DebianBuild("tool", "bin/other"), "Debian package tool=1.0-1 has no file /bin/other"),
        (DebianBuild("libone", "lib/x/libone.so.1"), "has no file /lib/x/libone.so.1"),
    ],
)
def test_what_is_not_there_is_told(debian: Debian, build: DebianBuild, told: str) -> None:
    with pytest.raises(BuildError, match=told):
        debian.make(build, "program", ARCH)


def test_what_only_other_packages_provide_is_left_to_them(debian: Debian, packages: Archive) -> None:
    (packages.pool / "libc.stanza").unlink()
    assert [package.name for package in debian.closure(["web"], ARCH)] == ["libone", "web", "zlib"]


def test_a_package_with_another_sum_is_refused(debian: Debian, packages: Archive, tmp_path: pathlib.Path) -> None:
    stanza = packages.pool / "tool.stanza"
    stanza.write_text(stanza.read_text().replace("SHA256: ", "SHA256: 0"))
    with pytest.raises(BuildError, match="cannot get the Debian package tool=1.0-1: its sha256 is"):
        debian.make(DebianBuild("tool", "bin/tool"), "tool", ARCH)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_other_systems_are_told(tools: Tools, tmp_path: pathlib.Path) -> None:
    tools()
    with pytest.raises(BuildError, match="dpkg is not installed. Run this on Debian"):
        Debian(str(tmp_path)).closure(["web"], ARCH)


def test_other_architectures_are_refused(debian: Debian) -> None:
    with pytest.raises(BuildError, match="web cannot be had for arm64: this machine's Debian packages are for amd64"):
        debian.closure(["web"], "arm64")
