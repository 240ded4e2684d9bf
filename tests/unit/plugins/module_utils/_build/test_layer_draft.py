# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one instruction changes, and what of it is packed."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry, Ownership
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer_draft import LayerDraft
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import Where
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import Tree
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

PLACE, SOURCE = Where("Kubefile", 2, 9), Where("Kubefile", 2, 6)
BASE = [
    Entry("lib", "directory", 0o711, 1, 2, mtime=3),
    Entry("lib/deep", "directory", 0o700, mtime=4),
    Entry("lib/deep/x", "file", 0o600, mtime=5),
    Entry("way", "link", 0o777, target="lib/deep", mtime=6),
    Entry("null", "device or pipe", 0o666, mtime=7),
]


def draft(owner: Ownership = Ownership(), base: t.Sequence[Entry] = tuple(BASE)) -> t.Tuple[LayerDraft, Tree]:
    tree = Tree()
    tree.apply(base)
    return LayerDraft(tree, PLACE, owner), tree


def test_a_layer_holds_what_is_put_and_the_directories_above_as_they_are() -> None:
    made, tree = draft(Ownership(8, 9))
    made.put(Entry("way/new/f", "file", 0o644, source="f"), SOURCE)
    assert made.entries() == [
        *BASE[:2],
        Entry("lib/deep/new", "directory", 0o755, 8, 9),
        Entry("lib/deep/new/f", "file", 0o644, source="f"),
    ]
    assert [one.path for one in tree.entries()] == ["lib", "lib/deep", "lib/deep/new", "lib/deep/new/f", "lib/deep/x", "null", "way"]


def test_nothing_put_is_an_empty_layer() -> None:
    made, _tree = draft()
    assert made.find("way") == BASE[1]
    assert made.find("way", follow_last=False) == BASE[3]
    assert made.entries() == []


def test_a_directory_is_emptied_by_a_whiteout_where_there_is_one() -> None:
    made, tree = draft()
    made.empty_directory("lib/deep")
    assert [(one.path, one.mode) for one in made.entries()] == [
        ("lib", 0o711),
        ("lib/deep", 0o755),
        ("lib/deep/.wh..wh..opq", 0o644),
    ]
    assert tree.get("lib/deep/x") is None
    made, tree = draft()
    made.empty_directory("way")
    made.empty_directory("new/one")
    assert [one.path for one in made.entries()] == ["new", "new/one", "way"]
    assert tree.get("lib/deep/x") == BASE[2]


@pytest.mark.parametrize(
    ("path", "target", "leaves"),
    [
        ("l", "../x", True),
        ("lib/l", "../x", False),
        ("lib/l", "../../x", True),
        ("way/l", "../../x", False),
        ("way/l", "../../../x", True),
        ("l", "/x", True),
        ("l", "..", True),
        ("lib/l", "..", False),
    ],
)
def test_links_stay_in_the_rootfs_from_where_they_really_are(path: str, target: str, leaves: bool) -> None:
    made, _tree = draft()
    link = Entry(path, "link", 0o777, target=target)
    if not leaves:
        made.put(link, SOURCE)
        return
    with pytest.raises(BuildError, match="^Kubefile:2:6: link .* leaves the rootfs"):
        made.put(link, SOURCE)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("lib/deep/x/y", "lib/deep/x cannot be a directory: lib/deep/x is a file"),
        ("way/x/y", "way/x cannot be a directory: lib/deep/x is a file"),
        ("null/y", "null cannot be a directory: null is a device or pipe"),
    ],
)
def test_nothing_is_put_below_what_is_no_directory(path: str, told: str) -> None:
    made, _tree = draft()
    with pytest.raises(BuildError, match=f"^Kubefile:2:9: {told}"):
        made.put(Entry(path, "file", 0o644), SOURCE)


def test_a_source_does_not_replace_what_another_one_gave() -> None:
    made, _tree = draft()
    made.put(Entry("a/b/c", "file", 0o644, source="one"), SOURCE)
    made.put(Entry("a/b", "directory", 0o755, source="two"), SOURCE)
    made.put(Entry("a/b", "directory", 0o755, source="three"), SOURCE)
    for path, twin in (("a/b/c", "one"), ("a", "three")):
        with pytest.raises(BuildError, match=f"^Kubefile:2:6: two sources give {path}: {twin} and four"):
            made.put(Entry(path, "file", 0o644, source="four"), SOURCE)
    assert made.warnings == []
