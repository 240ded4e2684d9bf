# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that appear in one step, commands, and what killed runs leave."""

from __future__ import annotations

import os
import pathlib
import time

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import (
    put,
    put_directory,
    replace_text,
    run,
    sweep,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError


def test_a_file_is_replaced_in_one_step(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "deep" / "file"
    replace_text(str(path), b"one", 0o755)
    before = path.stat().st_ino
    replace_text(str(path), b"two")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o644)
    assert path.stat().st_ino != before
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_run_left_is_replaced(tmp_path: pathlib.Path) -> None:
    (tmp_path / ".file.new").write_text("half")
    replace_text(str(tmp_path / "file"), b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_cannot_be_written_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("x")
    below = str(tmp_path / "file" / "below")
    with pytest.raises(BuildError, match="cannot write the file"):
        replace_text(below, b"x")
    with pytest.raises(BuildError, match="cannot write the file"):
        put(below, os.mkdir)


def test_nothing_is_left_of_what_fails(tmp_path: pathlib.Path) -> None:
    def fail(fresh: str) -> None:
        pathlib.Path(fresh, "half" if os.path.isdir(fresh) else "").write_text("x")
        raise BuildError("no")

    for make in (put, put_directory):
        with pytest.raises(BuildError, match="no"):
            make(str(tmp_path / "thing"), fail)
    assert list(tmp_path.iterdir()) == []


def test_the_first_directory_stays(tmp_path: pathlib.Path) -> None:
    def fill(name: str, fresh: str) -> None:
        pathlib.Path(fresh, name).write_text(name)

    put_directory(str(tmp_path / "tree"), lambda fresh: fill("one", fresh))
    put_directory(str(tmp_path / "tree"), lambda fresh: fill("two", fresh))
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["one"]
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_old_remains_are_swept(tmp_path: pathlib.Path) -> None:
    old, young = tmp_path / "build" / "key" / ".new-old", tmp_path / "debian" / ".new-young"
    for path in (old, young):
        path.mkdir(parents=True)
        (path / "half").write_text("x")
    os.utime(old, (0, time.time() - 100_000))
    sweep(str(tmp_path))
    assert not old.exists() and young.exists()


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["sh", "-c", "echo why >&2; exit 3"], "cannot: sh -c ended with 3: why"),
        (["sh", "-c", "echo why; exit 3"], "cannot: sh -c ended with 3: why"),
        (["there-is-no-such-program"], "cannot: there-is-no-such-program is not installed. Get it"),
        (["/"], "/: cannot: Permission denied"),
        (["sh", "-c", "echo No space left on device; exit 1"], "Make room on the disk"),
    ],
)
def test_commands_that_fail_are_told(argv: list[str], told: str) -> None:
    with pytest.raises(BuildError, match=told):
        run(argv, what="cannot", missing="Get it")


def test_commands_print(tmp_path: pathlib.Path) -> None:
    assert run(["sh", "-c", "pwd; echo $LC_ALL $X"], what="", cwd=str(tmp_path), environment={"X": "1"}) == (
        f"{tmp_path}\nC 1\n"
    )
    with open(tmp_path / "output", "w+b") as output:
        assert run(["echo", "x"], what="", output=output) == ""
    assert (tmp_path / "output").read_text() == "x\n"
