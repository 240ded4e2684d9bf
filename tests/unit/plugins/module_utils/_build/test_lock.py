# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locks as text and as files, and the description of a cluster image."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.description import Application, Description
from ansible_collections.sealer.cluster.plugins.module_utils._build.lock import (
    Lock,
    LockedBase,
    LockedImage,
    read_lock,
    write_lock,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from hypothesis import given
from hypothesis import strategies as st

HEX = st.text(st.sampled_from("0123456789abcdef"), min_size=64, max_size=64).map("sha256:{}".format)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
IMAGES = st.builds(
    LockedImage,
    reference=st.sampled_from(["docker.io/library/a:1", "example.com/b@sha256:" + "0" * 64, "[::1]:5000/c:2"]),
    digest=HEX,
    manifest=HEX,
    media_type=TEXT,
    platform=st.sampled_from(["linux/amd64", "linux/arm64/v8"]),
    size=st.integers(0, 1 << 40),
    source=TEXT,
    why=st.lists(TEXT).map(tuple),
)
LOCKS = st.builds(
    Lock.of,
    st.lists(IMAGES, unique_by=lambda one: one.key),
    st.lists(st.builds(LockedBase, TEXT, HEX), unique_by=lambda one: one.reference),
)
GOOD: t.Dict[str, t.Any] = {
    "reference": "docker.io/library/a:1",
    "digest": "sha256:" + "0" * 64,
    "manifest": "sha256:" + "1" * 64,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "platform": "linux/amd64",
    "size": 1,
    "from": "docker.io",
    "why": ["x:1"],
}


@given(LOCKS)
def test_a_lock_survives(lock: Lock) -> None:
    assert Lock.parse(lock.dump(), "lock") == lock
    assert Lock.of(reversed(lock.images), reversed(lock.base)).dump() == lock.dump()


@given(st.one_of(st.text(), st.recursive(st.none() | st.text(), st.lists).map(json.dumps)))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (Lock.parse, Description.parse):
        with pytest.raises(BuildError, match="some place"):
            parse(text, "some place")


@pytest.mark.parametrize(
    "change",
    [
        {"reference": "a:1"},
        {"reference": ""},
        {"digest": "sha256:1"},
        {"manifest": None},
        {"platform": "amd64"},
        {"size": -1},
        {"size": True},
        {"size": "1"},
        {"why": "text"},
        {"why": [1]},
        {"from": 1},
    ],
)
def test_wrong_entries_are_refused(change: t.Dict[str, t.Any]) -> None:
    assert Lock.parse(json.dumps({"schemaVersion": 1, "images": [GOOD], "base": []}), "lock").images
    document = {"schemaVersion": 1, "images": [{**GOOD, **change}], "base": []}
    with pytest.raises(BuildError, match="lock: the lock cannot be read"):
        Lock.parse(json.dumps(document), "lock")


def test_a_name_stands_once() -> None:
    with pytest.raises(BuildError, match="twice"):
        Lock.parse(json.dumps({"schemaVersion": 1, "images": [GOOD, GOOD], "base": []}), "lock")


def test_entries_by_platform() -> None:
    arm = {**GOOD, "platform": "linux/arm64/v8"}
    lock = Lock.parse(json.dumps({"schemaVersion": 1, "images": [GOOD, arm], "base": []}), "lock")
    found = lock.image("docker.io/library/a:1", Platform.parse("linux/arm64"))
    assert found is not None
    assert found.platform == "linux/arm64/v8"
    assert lock.image("docker.io/library/a:1", Platform.parse("linux/s390x")) is None
    assert [one.platform for one in lock.of_platform(Platform.parse("linux/amd64")).images] == ["linux/amd64"]
    assert [one.platform for one in lock.other_platforms([Platform.parse("linux/amd64")])] == ["linux/arm64/v8"]


def test_files(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "Kubefile.lock"
    assert read_lock(str(path)) is None
    lock = Lock.of([], [LockedBase("example.com/base:1", "sha256:" + "0" * 64)])
    write_lock(str(path), lock)
    assert read_lock(str(path)) == lock
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o600)
    write_lock(str(path), Lock())
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["Kubefile.lock"]
    with pytest.raises(BuildError, match="the lock cannot be written"):
        write_lock(str(tmp_path / "missing" / "lock"), lock)
    path.write_bytes(b"\xff")
    with pytest.raises(BuildError, match="the lock cannot be read"):
        read_lock(str(path))


def test_descriptions_are_merged() -> None:
    below = Description(
        (Application("a", "kube", ("f",), ("old",)), Application("b", "shell", (), ())), ("a",), ("one",), {"X": "1"}
    )
    ours = Description((Application("a", "kube", ("g",), ("new",), {"E": "1"}),), ("b", "a"), ("two",), {"Y": "2"})
    merged = ours.on_top_of(below)
    assert [(one.name, one.cmds) for one in merged.applications] == [("a", ("new",)), ("b", ())]
    assert (merged.launch, merged.cmds) == (("a", "b"), ("one", "two"))
    assert merged.env == {"X": "1", "Y": "2"}
    assert Description.parse(json.dumps(merged.to_json()), "label") == merged
