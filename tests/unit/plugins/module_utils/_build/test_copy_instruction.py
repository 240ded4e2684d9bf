# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where COPY puts what, on a base that has files already: as buildah does it, asked itself where it is installed."""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import stat
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import (
    BASE_NAME,
    NAME,
    Site,
    add_base,
    snapshot,
    tar,
    write,
)

BASE = {
    "abs": "link /usr/bin",
    "bin": "dir 755 0:0",
    "bin/tool": "file 755 0:0 tool",
    "chain": "link chain1",
    "chain1": "link abs",
    "d": "dir 755 0:0",
    "d/abs": "link /usr/bin",
    "d/file": "file 644 0:0 file",
    "d/lnk": "link ../bin",
    "d/plink": "link ../plain",
    "d/sub": "dir 700 5:6",
    "d/sub/x": "file 600 5:6 x",
    "dangdeep": "link nodir/deep",
    "dangling": "link nowhere",
    "etc": "dir 755 0:0",
    "etc/secret": "dir 700 1000:1000",
    "etc/secret/key": "file 600 1000:1000 key",
    "flink": "link bin/tool",
    "gone": "link /nonexistent",
    "loop1": "link loop2",
    "loop2": "link loop1",
    "out": "link ../../../usr/bin",
    "plain": "file 644 0:0 plain",
    "sbin": "link usr/bin",
    "tmp": "dir 1777 0:0",
    "usr": "dir 755 0:0",
    "usr/bin": "dir 755 0:0",
    "usr/bin/tool": "file 755 0:0 tool",
}
CONTEXT = {
    "a": "a",
    "b": "b",
    "deep/x/y": "y",
    "dirfile/file/z": "z",
    "dirlink/lnk/q": "q",
    "filedir/sub": "s",
    "filelink/lnk": "fl",
    "merge/sub/new": "new",
    "merge/y": "y",
    "one/1": "1",
    "over/plain": "newer",
    "root/sbin/r": "r",
    "two/2": "2",
}
LINKS = {"alias": "a", "onealias": "one", "links/sub": "../one", "links/new": "sub2"}
A, B = "file 644 0:0 a", "file 644 0:0 b"
DIRECTORY = "dir 755 0:0"

# What changes in the tree of BASE; None is gone. Under `REFUSED`, what the error says.
CASES: t.Dict[str, t.Dict[str, t.Optional[str]]] = {
    "a /": {"a": A},
    "a .": {"a": A},
    "a /./bin//": {"bin/a": A},
    "a bin": {"bin/a": A},
    "a bin/": {"bin/a": A},
    "a bin/.": {"bin/a": A},
    "a bin/x": {"bin/x": A},
    "a new": {"new": A},
    "a new/": {"new": DIRECTORY, "new/a": A},
    "a new/x": {"new": DIRECTORY, "new/x": A},
    "a plain": {"plain": A},
    "a etc/secret": {"etc/secret/a": A},
    "a etc/secret/x": {"etc/secret/x": A},
    "a tmp": {"tmp/a": A},
    "a b bin": {"bin/a": A, "bin/b": B},
    "a b new": {"new": DIRECTORY, "new/a": A, "new/b": B},
    "a one new": {"new": DIRECTORY, "new/a": A, "new/1": "file 644 0:0 1"},
    "alias bin": {"bin/alias": A},
    # links of the base
    "a sbin": {"usr/bin/a": A},
    "a sbin/": {"usr/bin/a": A},
    "a sbin/tool": {"usr/bin/tool": A},
    "a sbin/new/x": {"usr/bin/new": DIRECTORY, "usr/bin/new/x": A},
    "a abs/x": {"usr/bin/x": A},
    "a chain": {"usr/bin/a": A},
    "a chain/x": {"usr/bin/x": A},
    "a out": {"usr/bin/a": A},
    "a out/x": {"usr/bin/x": A},
    "a d/abs/x": {"usr/bin/x": A},
    "a d/lnk": {"bin/a": A},
    "a d/lnk/x": {"bin/x": A},
    "a flink": {"flink": A},
    "a d/plink": {"d/plink": A},
    "a gone": {"nonexistent": DIRECTORY, "nonexistent/a": A},
    "a gone/x": {"nonexistent": DIRECTORY, "nonexistent/x": A},
    "a dangling": {"nowhere": DIRECTORY, "nowhere/a": A},
    "a dangling/x": {"nowhere": DIRECTORY, "nowhere/x": A},
    "a dangdeep/": {"nodir": DIRECTORY, "nodir/deep": DIRECTORY, "nodir/deep/a": A},
    "a b sbin": {"usr/bin/a": A, "usr/bin/b": B},
    "one sbin": {"usr/bin/1": "file 644 0:0 1"},
    "one dangling": {"nowhere": DIRECTORY, "nowhere/1": "file 644 0:0 1"},
    # directories
    "one bin": {"bin/1": "file 644 0:0 1"},
    "onealias bin": {"bin/1": "file 644 0:0 1"},
    "one/ new": {"new": DIRECTORY, "new/1": "file 644 0:0 1"},
    "one two bin": {"bin/1": "file 644 0:0 1", "bin/2": "file 644 0:0 2"},
    "one /": {"1": "file 644 0:0 1"},
    "deep tmp": {"tmp/x": DIRECTORY, "tmp/x/y": "file 644 0:0 y"},
    "deep etc/secret": {"etc/secret/x": DIRECTORY, "etc/secret/x/y": "file 644 0:0 y"},
    "links new": {"new": DIRECTORY, "new/new": "link sub2", "new/sub": "link ../one"},
    # what is in the way
    "merge d": {"d/sub": DIRECTORY, "d/sub/new": "file 644 0:0 new", "d/y": "file 644 0:0 y"},
    "over /": {"plain": "file 644 0:0 newer"},
    "over/plain /": {"plain": "file 644 0:0 newer"},
    "filedir d": {"d/sub": "file 644 0:0 s", "d/sub/x": None},
    "filedir/sub d": {"d/sub": "file 644 0:0 s", "d/sub/x": None},
    "filelink d": {"d/lnk": "file 644 0:0 fl"},
    "filelink/lnk d/": {"d/lnk": "file 644 0:0 fl"},
    "dirfile d": {"d/file": DIRECTORY, "d/file/z": "file 644 0:0 z"},
    "dirlink d": {"d/lnk": DIRECTORY, "d/lnk/q": "file 644 0:0 q"},
    "root /": {"sbin": DIRECTORY, "sbin/r": "file 644 0:0 r"},
    "links d": {"d/new": "link sub2", "d/sub": "link ../one", "d/sub/x": None},
    # modes and owners
    "--chmod=600 --chown=7:8 a etc/secret/x": {"etc/secret/x": "file 600 7:8 a"},
    "--chmod=4750 a bin/x": {"bin/x": "file 4750 0:0 a"},
    "--chown=7:8 a new/deep/x": {"new": "dir 755 7:8", "new/deep": "dir 755 7:8", "new/deep/x": "file 644 7:8 a"},
    "--chmod=600 --chown=7 a new/": {"new": "dir 755 7:7", "new/a": "file 600 7:7 a"},
    "--chown=7:8 one bin": {"bin/1": "file 644 7:8 1"},
    "--chmod=700 --chown=7:8 merge d": {
        "d/sub": "dir 700 7:8",
        "d/sub/new": "file 700 7:8 new",
        "d/y": "file 700 7:8 y",
    },
}
REFUSED = {
    "a plain/": "2:8: plain/ is a file, and has to be a directory: it ends with /",
    "a plain/x": "2:8: plain cannot be a directory: plain is a file",
    "a flink/": "2:8: flink/ is a file, and has to be a directory: it ends with /",
    "a flink/x": "2:8: flink cannot be a directory: bin/tool is a file",
    "a b plain": "2:10: plain is a file, and has to be a directory: several sources are copied",
    "a b flink": "2:10: flink is a file, and has to be a directory: several sources are copied",
    "one plain": "2:10: plain is a file, and has to be a directory: a directory is copied",
    "one plain/": "2:10: plain/ is a file, and has to be a directory: it ends with /",
    "one flink": "2:10: flink is a file, and has to be a directory: a directory is copied",
    "a one plain": "2:12: plain is a file, and has to be a directory: several sources are copied",
    "a loop1": "2:8: loop1 is no place in the rootfs: loop1 leads through more than 40 links",
    "a loop1/": "2:8: loop1 is no place in the rootfs",
    "a loop1/x": "2:8: loop1/x is no place in the rootfs",
    "one loop1": "2:10: loop1 is no place in the rootfs",
}
# Not for buildah's command line, which takes this for plain, as its COPY does not.
REFUSED_IN_FILES = {**REFUSED, "a plain/.": "2:8: plain/. is a file, and has to be a directory: it ends with /"}


def fill(context: pathlib.Path) -> None:
    """Make the context, with modes that do not depend on the umask, as buildah takes them over."""
    write(context, CONTEXT)
    for path in context.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    for name, target in LINKS.items():
        (context / name).parent.mkdir(exist_ok=True, mode=0o755)
        (context / name).symlink_to(target)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    site = Site(tmp_path)
    add_base(site.store, [tar(BASE)])
    fill(tmp_path / "app")
    return site


def changed(tree: t.Mapping[str, str]) -> t.Dict[str, t.Optional[str]]:
    return {path: tree.get(path) for path in sorted({*tree, *BASE}) if tree.get(path) != BASE.get(path)}


@pytest.mark.parametrize("copy", CASES)
def test_what_is_copied(site: Site, copy: str) -> None:
    context = site.context("app", {"Kubefile": f"FROM {BASE_NAME}\nCOPY {copy}\n"})
    site.build(context)
    assert changed(snapshot(site.store, NAME)) == CASES[copy]


@pytest.mark.parametrize("copy", REFUSED_IN_FILES)
def test_what_is_refused(site: Site, copy: str) -> None:
    context = site.context("app", {"Kubefile": f"FROM {BASE_NAME}\nCOPY {copy}\n"})
    with pytest.raises(BuildError) as caught:
        site.build(context)
    assert str(caught.value).startswith(f"{context}/Kubefile:{REFUSED_IN_FILES[copy]}")


@pytest.mark.parametrize(
    ("copy", "warnings"),
    [
        ("merge d", ["2:6: directory d/sub had mode 0700 and owner 5:6, and gets mode 0755 and owner 0:0"]),
        ("filedir d", ["2:6: directory d/sub with all that is in it is replaced by a file"]),
        ("links d", ["2:6: directory d/sub with all that is in it is replaced by a link"]),
        ("dirfile d", ["2:6: file d/file is replaced by a directory"]),
        ("a root /", ["2:8: link sbin is replaced by a directory"]),
        ("over filelink /", []),
        ("--chmod=700 a one new", []),
        ("one etc/secret", []),
    ],
)
def test_what_is_lost_is_told(site: Site, copy: str, warnings: t.List[str]) -> None:
    context = site.context("app", {"Kubefile": f"FROM {BASE_NAME}\nCOPY {copy}\n"})
    assert site.build(context).warnings == [f"{context}/Kubefile:{one}" for one in warnings]


def test_two_sources_cannot_give_the_same(site: Site) -> None:
    files = {"again/a": "2", "keep/d/file": "", ".sealignore": "keep/d\n!keep/d/file\n", "more/d": ""}
    for copy, twin in (("a again/a bin", "bin/a"), ("a again bin/", "bin/a"), ("keep more /", "d")):
        context = site.context("app", {**files, "Kubefile": f"FROM {BASE_NAME}\nCOPY {copy}\n"})
        with pytest.raises(BuildError, match=f"Kubefile:2:[0-9]+: two sources give {twin}: "):
            site.build(context)


def test_what_was_copied_before_is_there_as_what_the_base_has(site: Site) -> None:
    lines = "COPY a new\nCOPY b new\nCOPY one dir\nCOPY a dir\nCOPY links linked\nCOPY a linked/sub\n"
    context = site.context("app", {"Kubefile": f"FROM {BASE_NAME}\n{lines}"})
    site.build(context)
    assert changed(snapshot(site.store, NAME)) == {
        "dir": DIRECTORY,
        "dir/1": "file 644 0:0 1",
        "dir/a": A,
        "linked": DIRECTORY,
        "linked/new": "link sub2",
        "linked/sub": "link ../one",
        "new": B,
        "one": DIRECTORY,
        "one/a": A,
    }


class Buildah:
    """The real one, with a base image of its own."""

    def __init__(self, root: pathlib.Path) -> None:
        self._options = [f"--root={root}/storage", f"--runroot={root}/run", "--storage-driver=vfs"]
        self._context = root / "context"
        fill(self._context)
        container = self.run("from", "scratch")
        top = self.run("mount", container)
        archive = root / "base.tar"
        archive.write_bytes(tar(BASE))
        subprocess.run(["tar", "--numeric-owner", "-xpf", str(archive), "-C", top], check=True)
        self.run("commit", "--quiet", container, "base")

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["buildah", *self._options, *arguments], check=True, capture_output=True, text=True, cwd=self._context
        )
        return done.stdout.strip()

    def copied(self, copy: str) -> t.Dict[str, str]:
        container = self.run("from", "--pull-never", "base")
        try:
            words = shlex.split(copy)
            words[-1] = f"/{words[-1].lstrip('/')}"
            self.run("copy", "--quiet", *[word for word in words if word.startswith("--")], container, *[
                word for word in words if not word.startswith("--")
            ])
            return tree_of(pathlib.Path(self.run("mount", container)))
        finally:
            self.run("rm", container)


def tree_of(top: pathlib.Path) -> t.Dict[str, str]:
    result = {}
    for path in top.rglob("*"):
        told = path.lstat()
        if path.is_symlink():
            text = f"link {os.readlink(path)}"
        else:
            kind, content = ("dir", "") if path.is_dir() else ("file", path.read_text())
            text = f"{kind} {stat.S_IMODE(told.st_mode):o} {told.st_uid}:{told.st_gid} {content}".rstrip()
        result[str(path.relative_to(top))] = text
    return result


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Buildah]:
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root can give the base's files other owners")
    root = tmp_path_factory.mktemp("buildah")
    yield Buildah(root)
    shutil.rmtree(root)


@pytest.mark.parametrize("copy", CASES)
def test_buildah_copies_the_same(buildah: Buildah, copy: str) -> None:
    assert changed(buildah.copied(copy)) == CASES[copy]


@pytest.mark.parametrize("copy", REFUSED)
def test_buildah_refuses_the_same(buildah: Buildah, copy: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        buildah.copied(copy)
