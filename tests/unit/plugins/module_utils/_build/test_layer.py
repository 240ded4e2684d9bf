# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contexts and layers: what is selected, and that a layer is the same wherever it is packed."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import pathlib
import socket
import subprocess
import tarfile
import typing as t
from unittest import mock

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.cache import LayerCache
from ansible_collections.sealer.cluster.plugins.module_utils._build.context import Context
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import (
    Entry,
    Ownership,
    layer_key,
    write_layer,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer_draft import LayerDraft
from ansible_collections.sealer.cluster.plugins.module_utils._build.lexer import Where
from ansible_collections.sealer.cluster.plugins.module_utils._build.patterns import IgnoreRules, compile_glob
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import Tree
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import (
    killed_before_replacing,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

HERE = Where("Kubefile", 2, 6)
ROOT = Ownership()


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.md", "README.md", True),
        ("**/*.md", "a/b/README.md", True),
        ("a/**", "a/b/c", True),
        ("a/**/c", "a/c", True),
        ("a/**/c", "a/b/b/c", True),
        ("?.txt", "ab.txt", False),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("[]].txt", "].txt", True),
        ("a[/]b", "a/b", False),
        ("\\*.txt", "*.txt", True),
        ("\\*.txt", "a.txt", False),
        ("a.b", "aXb", False),
        ("a*c", "a\nc", True),
    ],
)
def test_globs(pattern: str, path: str, matches: bool) -> None:
    assert bool(compile_glob(pattern).fullmatch(path)) == matches


@given(st.text(st.sampled_from("ab*?[]^-\\/!."), max_size=12), st.text(st.sampled_from("ab/.-"), max_size=12))
def test_any_pattern_is_read_or_refused(pattern: str, path: str) -> None:
    try:
        rules = IgnoreRules.parse(pattern, ".sealignore")
    except BuildError as error:
        assert str(error).startswith(".sealignore:1:1")
    else:
        rules.ignored_by(path)


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("", ["a.md", "a.txt", "d/a.md", "d/e/b.txt"]),
        ("# all\n\n*.md\n", ["a.txt", "d/a.md", "d/e/b.txt"]),
        ("**/*.md", ["a.txt", "d/e/b.txt"]),
        ("d", ["a.md", "a.txt"]),
        ("/d/e/", ["a.md", "a.txt", "d/a.md"]),
        ("*\n!a.txt", ["a.txt"]),
        ("d\n!d/e/b.txt", ["a.md", "a.txt", "d/e/b.txt"]),
        ("!a.md\n*.md", ["a.txt", "d/a.md", "d/e/b.txt"]),
    ],
)
def test_ignore_files(tmp_path: pathlib.Path, rules: str, kept: t.List[str]) -> None:
    files = {"a.md": "", "a.txt": "", "d/a.md": "", "d/e/b.txt": "", ".sealignore": rules + "\n.sealignore"}
    if rules == "d\n!d/e/b.txt" or rules.startswith("*\n"):
        files[".sealignore"] = ".sealignore\n" + rules
    write(tmp_path, files)
    context = Context(str(tmp_path))
    root = context.select(".", HERE)[0]
    assert [node.path for node in context.below(root) if node.kind == "file"] == kept


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("../x", "leaves the build context"),
        ("a/../../x", "leaves the build context"),
        ("a/../kept.txt", "leaves the build context"),
        ("out", "leaves the build context"),
        ("away/passwd", "leaves the build context"),
        ("missing", "missing does not exist"),
        ("*.nothing", "no file matches *.nothing"),
        ("[", "[ is no pattern"),
        ("secret.txt", "secret.txt is left out by .sealignore: rule in line 1"),
        ("by-link", "by-link is left out by .sealignore: rule in line 1"),
        ("kept.lock", "kept.lock cannot be copied"),
        ("lock-by-link", "lock-by-link cannot be copied"),
        ("socket", "neither file, directory nor link"),
    ],
)
def test_sources_that_are_refused(tmp_path: pathlib.Path, source: str, told: str) -> None:
    root = write(tmp_path / "context", {"secret.txt": "", ".sealignore": "secret.*", "kept.lock": "", "kept.txt": ""})
    (root / "out").symlink_to("../x")
    (root / "away").symlink_to("/etc")
    (root / "by-link").symlink_to("secret.txt")
    (root / "lock-by-link").symlink_to("kept.lock")
    write(tmp_path, {"x": ""})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
    with pytest.raises(BuildError) as caught:
        Context(str(root), without=[str(root / "kept.lock")]).select(source, HERE)
    assert told in str(caught.value)


def test_a_link_to_a_directory_brings_nothing_that_is_left_out(tmp_path: pathlib.Path) -> None:
    root = write(tmp_path, {"d/a": "", "d/key": "", ".sealignore": "d/key"})
    (root / "way").symlink_to("d")
    context = Context(str(root))
    assert [node.path for node in context.below(context.select("way", HERE)[0])] == ["a"]


@pytest.mark.parametrize("kind", ["whiteout", "name", "socket"])
def test_files_that_are_refused(tmp_path: pathlib.Path, kind: str) -> None:
    directory = write(tmp_path, {"d/ok": ""}) / "d"
    if kind == "whiteout":
        (directory / ".wh.x").touch()
    elif kind == "name":
        open(os.fsencode(directory) + b"/\xff", "wb").close()
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(directory / "s"))
    context = Context(str(tmp_path))
    with pytest.raises(BuildError):
        context.below(context.select("d", HERE)[0])


def entries(root: pathlib.Path, ownership: Ownership = ROOT) -> t.List[Entry]:
    context = Context(str(root))
    nodes = context.below(context.select(".", HERE)[0])
    draft = LayerDraft(Tree(), HERE, ROOT)
    for node in nodes:
        draft.put(Entry.of(node, f"top/{node.path}", ownership), HERE)
    return draft.entries()


def pack(parts: t.Sequence[Entry], epoch: int = 0) -> bytes:
    out = bytearray()
    layer = write_layer(parts, epoch, out.extend)
    data = bytes(out)
    assert str(layer.digest) == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert str(layer.diff_id) == f"sha256:{hashlib.sha256(gzip.decompress(data)).hexdigest()}"
    assert layer.size == len(data)
    return data


def sample(root: pathlib.Path) -> pathlib.Path:
    write(root, {"b": "two", "a/x.sh": "#!/bin/sh\n", "a/é": "", f"long/{'n' * 120}/{'m' * 120}": "deep"})
    (root / "a" / "x.sh").chmod(0o700)
    (root / "link").symlink_to("a/x.sh")
    (root / "empty").mkdir()
    return root


def test_a_layer_is_the_same_wherever_it_is_packed(tmp_path: pathlib.Path) -> None:
    one, other = sample(tmp_path / "one"), sample(tmp_path / "other")
    (other / "b").chmod(0o664)
    os.utime(other / "b", (5, 5))
    assert pack(entries(one)) == pack(entries(other))
    assert layer_key(entries(one), 0) == layer_key(entries(other), 0)
    assert layer_key(entries(one), 0) != layer_key(entries(one), 1)
    (other / "b").write_text("2wo")
    assert pack(entries(one)) != pack(entries(other))
    assert layer_key(entries(one), 0) != layer_key(entries(other), 0)


def test_tar_reads_what_was_packed(tmp_path: pathlib.Path) -> None:
    source = sample(tmp_path / "source")
    archive, target = tmp_path / "layer.tar.gz", tmp_path / "target"
    archive.write_bytes(pack(entries(source, Ownership(10, 20)), 86400))
    target.mkdir()
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(target)], check=True)
    assert subprocess.run(["diff", "-r", str(source), str(target / "top")], check=False).returncode == 0
    listed = subprocess.run(
        ["tar", "--utc", "--full-time", "--numeric-owner", "-tvzf", str(archive)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    ).stdout.splitlines()
    assert listed[0].split() == ["drwxr-xr-x", "0/0", "0", "1970-01-02", "00:00:00", "top/"]
    by_name = {line.split()[5]: line.split()[:2] for line in listed}
    assert by_name["top/a/x.sh"] == ["-rwxr-xr-x", "10/20"]
    assert by_name["top/b"] == ["-rw-r--r--", "10/20"]
    assert os.readlink(target / "top" / "link") == "a/x.sh"


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [(None, "file", 0o644), (0o640, "file", 0o640), (0o640, "directory", 0o750), (0o600, "link", 0o777)],
)
def test_modes(mode: t.Optional[int], kind: str, expected: int) -> None:
    assert Ownership(mode=mode).mode_of(kind, executable=False) == expected


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"a": "one"})
    parts = entries(tmp_path)
    write(tmp_path, {"a": "two"})
    with pytest.raises(BuildError, match="changed while it was being packed"):
        pack(parts)


def test_the_time_of_an_entry_decides_the_layer() -> None:
    one, other = Entry("a", "directory", 0o755, mtime=1), Entry("a", "directory", 0o755, mtime=2)
    assert layer_key([one], 0) != layer_key([other], 0)
    with tarfile.open(fileobj=io.BytesIO(pack([one, Entry("b", "directory", 0o755)], 86400))) as archive:
        assert [member.mtime for member in archive] == [1, 86400]


def test_a_kill_while_the_cache_is_written_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    cache = LayerCache(str(tmp_path))
    layer = write_layer([Entry("a", "directory", 0o755)], 0, len)
    killed_before_replacing("key", lambda: cache.put("key", layer))
    assert cache.get("key") is None
    cache.put("key", layer)
    assert os.listdir(tmp_path / "cache" / "layers") == ["key"]
    assert cache.get("key") == layer


def test_what_the_cache_knows_is_not_written_again(tmp_path: pathlib.Path) -> None:
    cache = LayerCache(str(tmp_path))
    layer = write_layer([Entry("a", "directory", 0o755)], 0, len)
    cache.put("key", layer)
    with mock.patch("os.replace") as replace:
        cache.put("key", layer)
    replace.assert_not_called()
    cache.put("key", dataclasses.replace(layer, size=layer.size + 1))
    assert cache.get("key") != layer


def test_the_cache_survives_damage(tmp_path: pathlib.Path) -> None:
    cache = LayerCache(str(tmp_path))
    layer = write_layer([Entry("a", "directory", 0o755)], 0, len)
    cache.put("key", layer)
    assert cache.get("key") == layer
    assert cache.get("other") is None
    for content in ("", "[]", '{"digest": 1}', "{}", '{"digest": "sha256:x", "size": 1, "diffID": "x"}'):
        (tmp_path / "cache" / "layers" / "key").write_text(content)
        assert cache.get("key") is None
