# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories go with all that is in them, and nothing that is elsewhere goes with them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import resource
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tree_removal import remove_tree
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.tests.unit.deep_directory import make_deep
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """Directories two deep, with files and links in them."""
    for name in ("a/b/c", "a/d", "e"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "file").write_text("x")
    (tmp_path / "elsewhere/inner").mkdir(parents=True)
    (tmp_path / "elsewhere/inner/data").write_text("precious")
    for name, target in (("dead", "nowhere"), ("a/out", "../../elsewhere"), ("a/b/up", "..")):
        (tmp_path / "tree" / name).symlink_to(target)
    return tmp_path / "tree"


def left(directory: pathlib.Path) -> t.List[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_all_goes_and_links_are_not_followed(tree: pathlib.Path) -> None:
    assert remove_tree(str(tree)) == []
    assert left(tree.parent) == ["elsewhere", "elsewhere/inner", "elsewhere/inner/data"]


def test_a_link_goes_and_not_where_it_leads(tree: pathlib.Path) -> None:
    (tree.parent / "link").symlink_to("elsewhere")
    remove_tree(str(tree.parent / "link"))
    assert left(tree.parent / "elsewhere") == ["inner", "inner/data"]
    assert not (tree.parent / "link").is_symlink()


@pytest.mark.parametrize("name", ["gone", "gone/below", "a/file/below"])
def test_what_is_gone_already_is_no_error(tree: pathlib.Path, name: str) -> None:
    (tree / "a/file").write_text("x")
    assert remove_tree(str(tree / name)) == []
    assert (tree / "a/file").exists()


@contextlib.contextmanager
def few_descriptors() -> t.Iterator[None]:
    """Hardly any file may be open besides those that are."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize("levels", [1500, 6000])
def test_depth_has_no_limit(tmp_path: pathlib.Path, levels: int) -> None:
    (tmp_path / "deep").mkdir()
    make_deep(tmp_path / "deep", levels)
    with few_descriptors():
        remove_tree(str(tmp_path / "deep"))
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("kept", "stays"),
    [
        (["a/b/c"], ["a", "a/b", "a/b/c", "a/b/c/file"]),
        (["a/b/c/file", "e"], ["a", "a/b", "a/b/c", "a/b/c/file", "e", "e/file"]),
        (["a/b", "a/b/c/file"], ["a", "a/b", "a/b/c", "a/b/c/file", "a/b/file", "a/b/up"]),
        (["a/bb", "e/none"], []),
    ],
)
def test_what_is_kept_stays_with_what_is_above_it(tree: pathlib.Path, kept: t.List[str], stays: t.List[str]) -> None:
    (tree / "a/b/file").write_text("x")
    remove_tree(str(tree), [str(tree / name) for name in kept])
    assert (left(tree) if tree.exists() else []) == stays


@in_own_namespaces
def test_no_mount_is_entered_whatever_was_known(tree: pathlib.Path) -> None:
    mount("tmpfs", tree / "a/d")
    (tree / "a/d/data").write_text("precious")
    # A bind mount has the device of what is around it.
    mount(str(tree.parent / "elsewhere"), tree / "a/b/c")
    mount(str(tree.parent / "elsewhere/inner/data"), tree / "e/file")
    met = remove_tree(str(tree))
    assert sorted(met) == [str(tree / name) for name in ("a/b/c", "a/d", "e/file")]
    assert left(tree) == ["a", "a/b", "a/b/c", "a/b/c/inner", "a/b/c/inner/data", "a/d", "a/d/data", "e", "e/file"]
    assert (tree / "e/file").read_text() == (tree / "a/b/c/inner/data").read_text() == "precious"


@in_own_namespaces
def test_a_mount_behind_a_mount_is_not_entered(tree: pathlib.Path) -> None:
    mount("tmpfs", tree / "e")
    mount(str(tree.parent / "elsewhere"), tree / "e")
    assert remove_tree(str(tree / "e")) == [str(tree / "e")]
    assert (tree / "e/inner/data").exists()


def test_a_directory_that_is_moved_meanwhile_ends_it(tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = os.unlink

    def moving(name: str, **how: t.Any) -> None:
        if (tree / "a/b/c").exists():
            (tree / "a/b/c").rename(tree.parent / "elsewhere/moved")
        unlink(name, **how)

    monkeypatch.setattr(os, "unlink", moving)
    with pytest.raises(ClusterError, match="/a/b/c was moved while it was being removed"):
        remove_tree(str(tree / "a"))
    assert left(tree.parent / "elsewhere") == ["inner", "inner/data", "moved"]


def test_what_cannot_be_removed_is_named(tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_name: str, **_how: t.Any) -> None:
        raise PermissionError(1, "Operation not permitted", "file")

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(ClusterError, match=f"{tree} cannot be removed: .*Operation not permitted"):
        remove_tree(str(tree))
