# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The merged rootfs: layers over layers, and links in it."""

from __future__ import annotations

import io
import os
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import LinkLoop, Tree
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.extract import Extractor
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import LAYER_TAR
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import tar
from hypothesis import assume, given
from hypothesis import strategies as st


def entry(text: str) -> Entry:
    """`path/` is a directory, `path>target` a link, anything else a file."""
    path, arrow, target = text.partition(">")
    if arrow:
        return Entry(path, "link", 0o777, target=target)
    kind = "directory" if text.endswith("/") else "file"
    return Entry(path.rstrip("/"), kind, 0o755 if kind == "directory" else 0o644)


def tree(*layers: str) -> Tree:
    result = Tree()
    for layer in layers:
        result.apply([entry(text) for text in layer.split()])
    return result


def text(found: Entry) -> str:
    return found.path + {"directory": "/", "link": f">{found.target}", "file": ""}[found.kind]


@pytest.mark.parametrize(
    ("layers", "left"),
    [
        (["bin/ bin/a b>bin/a"], "b>bin/a bin/ bin/a"),
        (["x/y/z"], "x/ x/y/ x/y/z"),
        (["d/ d/a d/b", "d/.wh.a"], "d/ d/b"),
        (["d/ d/a", ".wh.d"], ""),
        (["d/ d/a d/e/f", "d/ d/b d/.wh..wh..opq"], "d/ d/b"),
        (["d/a", "d/.wh.a d/a"], "d/ d/a"),
        (["d/a", ".wh.d d/b"], "d/ d/b"),
        (["d/a", "d"], "d"),
        (["d", "d/ d/a"], "d/ d/a"),
        (["l>d d/a", "l/ l/x"], "d/ d/a l/ l/x"),
        (["d/a", "d/.wh.b .wh.c e/.wh..wh..opq"], "d/ d/a"),
        (["a/b/c/d", "a/.wh.b", "a/b/"], "a/ a/b/"),
        (["d/ d/a", "d/"], "d/ d/a"),
    ],
)
def test_layers(layers: t.List[str], left: str) -> None:
    assert [text(one) for one in tree(*layers).entries()] == left.split()


NAMES = ["a", "b", "a/b", "b/a", "a/b/c", ".wh.a", "a/ a/.wh.b", "a/ a/.wh..wh..opq", "b/ b/.wh..wh..opq", ".wh.b"]
MEMBERS = st.sampled_from([f"{name}{end}" for name in NAMES for end in (["", "/", ">b"] if ".wh." not in name else [""])])


@given(st.lists(st.lists(MEMBERS, max_size=5), max_size=4))
def test_the_tree_is_what_nodes_unpack(
    tmp_path_factory: pytest.TempPathFactory, layers: t.List[t.List[str]]
) -> None:
    top = tmp_path_factory.mktemp("node")
    extractor, ours = Extractor(str(top)), Tree()
    for members in layers:
        entries = [entry(one) for member in members for one in member.split()]
        assume(len({one.path for one in entries}) == len(entries))
        refused = False
        try:
            extractor.apply(io.BytesIO(packed(entries)), LAYER_TAR, "layer")
        except SealerError:
            refused = True
        try:
            ours.apply(entries)
        except BuildError:
            assert refused
        if refused:
            return
    assert [text(one) for one in ours.entries()] == unpacked(top)


def packed(entries: t.Sequence[Entry]) -> bytes:
    told = {"directory": "dir 755 0:0", "file": "file 644 0:0 x"}
    return tar({one.path: told.get(one.kind, f"link {one.target}") for one in entries})


def unpacked(top: pathlib.Path) -> t.List[str]:
    found = []
    for path in top.rglob("*"):
        end = f">{os.readlink(path)}" if path.is_symlink() else "/" if path.is_dir() else ""
        found.append(f"{path.relative_to(top)}{end}")
    return sorted(found, key=lambda one: one.rstrip("/").partition(">")[0])


def test_modes_of_the_last_layer_count_and_directories_that_no_layer_names_are_ordinary() -> None:
    result = Tree()
    result.apply([Entry("a/b", "directory", 0o700, 1, 2, mtime=3)])
    assert result.get("a") == Entry("a", "directory", 0o755)
    result.apply([Entry("a", "directory", 0o711, 4, 5, mtime=6), Entry("a/b/c", "file", 0o600)])
    assert result.get("a") == Entry("a", "directory", 0o711, 4, 5, mtime=6)
    assert result.get("a/b") == Entry("a/b", "directory", 0o700, 1, 2, mtime=3)
    assert result.get("a/b/c/d") is None


@pytest.mark.parametrize("layer", ["a a/b", "a>b b/ a/c", "a/b a/b/c/d"])
def test_nothing_lies_below_what_is_no_directory(layer: str) -> None:
    with pytest.raises(BuildError, match="cannot be made: .* is a (file|link)"):
        tree(layer)


TREE = (
    "usr/bin/ usr/bin/tool bin>usr/bin abs>/usr/bin chain>chain1 chain1>abs out>../../usr rel>usr/../usr/./bin/ "
    "usr/up>../bin usr/abs>/etc file>usr/bin/tool dangling>nowhere/deep top>/ here>. l1>l2 l2>l1 self>self grow>grow/x"
)


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("", ""),
        ("usr/bin/tool", "usr/bin/tool"),
        ("missing/x", "missing/x"),
        ("bin", "usr/bin"),
        ("bin/tool", "usr/bin/tool"),
        ("abs/x", "usr/bin/x"),
        ("chain/x", "usr/bin/x"),
        ("out/bin", "usr/bin"),
        ("rel/x", "usr/bin/x"),
        ("usr/up/x", "usr/bin/x"),
        ("usr/abs/x", "etc/x"),
        ("usr/../bin/../x", "usr/x"),
        ("../../bin", "usr/bin"),
        ("file", "usr/bin/tool"),
        ("file/x", "usr/bin/tool/x"),
        ("dangling/x", "nowhere/deep/x"),
        ("top/bin", "usr/bin"),
        ("here/here/bin", "usr/bin"),
    ],
)
def test_links_are_followed_within_the_tree(path: str, real: str) -> None:
    assert tree(TREE).resolve(path) == real


def test_the_last_link_is_followed_where_asked() -> None:
    found = tree(TREE)
    assert found.resolve("bin", follow_last=False) == "bin"
    assert found.resolve("out/up", follow_last=False) == "usr/up"
    assert found.resolve("missing", follow_last=False) == "missing"


@pytest.mark.parametrize("path", ["l1", "l1/x", "self", "grow"])
def test_links_that_lead_nowhere_are_told(path: str) -> None:
    with pytest.raises(LinkLoop, match=f"{path} leads through more than 40 links"):
        tree(TREE).resolve(path)


def test_a_deep_tree_is_no_matter() -> None:
    deep = "/".join("d" * 5000)
    assert len(tree(deep).entries()) == 5000
