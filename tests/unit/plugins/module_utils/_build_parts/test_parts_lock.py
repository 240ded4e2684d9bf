# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts lock."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_lock import (
    LeftOut,
    PartsLock,
    PinnedImage,
    PinnedProgram,
    read_parts_lock,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from hypothesis import given
from hypothesis import strategies as st

SUM = "ab" * 32
PROGRAM = PinnedProgram("p", "tool", "bin/tool", "linux/amd64", "1.0", "build", "m@v1", "key", "", SUM, 5)
IMAGE = PinnedImage("example.com/a:1", "linux/amd64", "recipe", f"sha256:{SUM}", 7, ("libc6=1",))
LOCK = PartsLock("build", (PROGRAM,), (IMAGE,), (LeftOut("crictl", "linux/amd64", "why"),))

texts = st.text(max_size=8)
sums = st.text("0123456789abcdef", min_size=64, max_size=64)
programs = st.builds(PinnedProgram, *[texts] * 8, st.one_of(st.just(""), sums), sums, st.integers(0))
images = st.builds(PinnedImage, *[texts] * 4, st.integers(0), st.lists(texts).map(tuple))


@given(
    st.lists(programs, unique_by=lambda pin: pin.key),
    st.lists(images, unique_by=lambda pin: pin.key),
    st.lists(st.builds(LeftOut, texts, texts, texts), unique_by=lambda part: (part.part, part.platform)),
)
def test_what_is_written_is_read(some: list[PinnedProgram], others: list[PinnedImage], left_out: list[LeftOut]) -> None:
    lock = PartsLock("download", tuple(some), tuple(others), tuple(left_out))
    again = PartsLock.parse(lock.dump(), "here")
    assert sorted(again.programs, key=lambda pin: pin.key) == sorted(some, key=lambda pin: pin.key)
    assert set(again.images) == set(others) and set(again.left_out) == set(left_out)
    assert again.dump() == lock.dump()
    assert PartsLock(lock.way, lock.programs[::-1], lock.images[::-1], lock.left_out[::-1]).dump() == lock.dump()


def test_pins_are_found() -> None:
    assert LOCK.program("tool", "linux/amd64") is PROGRAM
    assert LOCK.program("tool", "linux/arm64") is None
    assert LOCK.image("example.com/a:1", "linux/amd64") is IMAGE
    assert LOCK.image("example.com/a:2", "linux/amd64") is None


def damaged(change: t.Callable[[t.Any], None]) -> str:
    value = json.loads(LOCK.dump())
    change(value)
    return json.dumps(value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Expecting value"),
        ("[]", "list indices"),
        ("[" * 100_000, "recursion"),
        (damaged(lambda value: value.update(schemaVersion=2)), "schemaVersion is 2, known is 1"),
        (damaged(lambda value: value.pop("programs")), "'programs' is missing"),
        (damaged(lambda value: value["programs"][0].pop("recipe")), "'recipe' is missing"),
        (damaged(lambda value: value["programs"][0].update(sha256="abc")), "'abc' is not a sha256 sum"),
        (damaged(lambda value: value["programs"][0].update(sourceSha256="abc")), "'abc' is not a sha256 sum"),
        (damaged(lambda value: value["programs"][0].update(size=-1)), "-1 is not a size"),
        (damaged(lambda value: value["images"][0].update(size=True)), "True is not a size"),
        (damaged(lambda value: value["images"][0].update(packages=[1])), "1 is not a text"),
    ],
)
def test_damage_is_told(tmp_path: pathlib.Path, text: str, told: str) -> None:
    path = tmp_path / "parts.lock"
    path.write_text(text)
    with pytest.raises(BuildError, match=told) as caught:
        read_parts_lock(str(path))
    assert caught.value.where == str(path)
    assert "Delete the file" in str(caught.value)


def test_no_file_is_no_lock(tmp_path: pathlib.Path) -> None:
    assert read_parts_lock(str(tmp_path / "parts.lock")) is None


def test_bytes_that_are_no_text_are_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "parts.lock").write_bytes(b"\xff")
    with pytest.raises(BuildError, match="cannot be read"):
        read_parts_lock(str(tmp_path / "parts.lock"))
