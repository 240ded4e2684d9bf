# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parcels bring over exactly what is missing, and nothing wrong."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib
import tempfile
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._parcel import (
    Missing,
    Range,
    missing_blobs,
    plan_parcels,
    take_parcel,
    write_parcel,
)
from hypothesis import given, settings
from hypothesis import strategies as st

A, B, C = (str(Digest.of(text)) for text in (b"a", b"b", b"c"))


@pytest.mark.parametrize(
    ("missing", "parcel_size", "expected"),
    [
        ([], 10, []),
        ([Missing(A, 4)], 10, [[Range(A, 4, 0, 4)]]),
        ([Missing(A, 4), Missing(B, 4)], 8, [[Range(A, 4, 0, 4), Range(B, 4, 0, 4)]]),
        ([Missing(A, 4), Missing(B, 4)], 6, [[Range(A, 4, 0, 4), Range(B, 4, 0, 2)], [Range(B, 4, 2, 2)]]),
        ([Missing(A, 9, 2)], 4, [[Range(A, 9, 2, 4)], [Range(A, 9, 6, 3)]]),
        ([Missing(A, 0)], 4, [[Range(A, 0, 0, 0)]]),
        (
            [Missing(A, 4), Missing(B, 0), Missing(C, 1)],
            4,
            [[Range(A, 4, 0, 4)], [Range(B, 0, 0, 0), Range(C, 1, 0, 1)]],
        ),
        ([Missing(A, 4, 4)], 4, [[Range(A, 4, 4, 0)]]),
    ],
)
def test_parcels_are_cut(missing: t.List[Missing], parcel_size: int, expected: t.List[t.List[Range]]) -> None:
    assert plan_parcels(missing, parcel_size) == expected


@settings(max_examples=40)
@given(
    contents=st.lists(st.binary(max_size=300), max_size=6, unique=True),
    parcel_size=st.integers(min_value=1, max_value=400),
    there=st.sets(st.integers(min_value=0, max_value=5)),
    started=st.dictionaries(st.integers(min_value=0, max_value=5), st.integers(min_value=0, max_value=300)),
)
def test_a_store_gets_exactly_what_it_lacks(
    contents: t.List[bytes], parcel_size: int, there: t.Set[int], started: t.Dict[int, int]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        here = Layout.open(f"{directory}/here", create=True)
        far = Layout.open(f"{directory}/far", create=True)
        wanted = [(str(here.put_bytes(content)), len(content)) for content in contents]
        lacking = 0
        for number, content in enumerate(contents):
            if number in there:
                far.put_bytes(content)
                continue
            came = content[: started.get(number, 0)]
            with far.writer(Digest.of(content), len(content)) as writer:
                writer.write(came)
            lacking += len(content) - len(came)
        missing = missing_blobs(far, wanted)
        assert sum(blob.size - blob.offset for blob in missing) == lacking
        sent = 0
        for ranges in plan_parcels(missing, parcel_size):
            parcel = io.BytesIO()
            sha256 = write_parcel(here, ranges, parcel)
            parcel.seek(0)
            sent += take_parcel(far, parcel, sha256)
        assert sent == lacking
        assert missing_blobs(far, wanted) == []
        assert far.verify() == []


def test_without_a_store_everything_is_missing() -> None:
    assert missing_blobs(None, [(A, 1), (B, 2)]) == [Missing(A, 1), Missing(B, 2)]


@pytest.fixture(name="stores")
def fixture_stores(tmp_path: pathlib.Path) -> t.Tuple[Layout, Layout]:
    return Layout.open(str(tmp_path / "here"), create=True), Layout.open(str(tmp_path / "far"), create=True)


def made(layout: Layout, ranges: t.Sequence[Range]) -> t.Tuple[bytes, str]:
    parcel = io.BytesIO()
    sha256 = write_parcel(layout, ranges, parcel)
    return parcel.getvalue(), sha256


def test_a_damaged_parcel_changes_nothing(stores: t.Tuple[Layout, Layout]) -> None:
    here, far = stores
    digest = str(here.put_bytes(b"content"))
    raw, sha256 = made(here, [Range(digest, 7, 0, 7)])
    damaged = raw[:-1] + bytes([raw[-1] ^ 1])
    with pytest.raises(OciError, match="damaged on its way"):
        take_parcel(far, io.BytesIO(damaged), sha256)
    assert missing_blobs(far, [(digest, 7)]) == [Missing(digest, 7)]


def test_wrong_content_never_becomes_a_blob(stores: t.Tuple[Layout, Layout]) -> None:
    _here, far = stores
    raw = json.dumps({"version": 1, "ranges": [dataclasses.asdict(Range(A, 3, 0, 3))]}).encode() + b"\nxyz"
    with pytest.raises(OciError, match="does not match"):
        take_parcel(far, io.BytesIO(raw), hashlib.sha256(raw).hexdigest())
    assert missing_blobs(far, [(A, 3)]) == [Missing(A, 3)]
    assert far.verify() == []


def test_bytes_that_came_meanwhile_are_not_written_twice(stores: t.Tuple[Layout, Layout]) -> None:
    here, far = stores
    digest = str(here.put_bytes(b"content"))
    raw, sha256 = made(here, [Range(digest, 7, 0, 7)])
    with far.writer(Digest.parse(digest), 7) as writer:
        writer.write(b"cont")
    assert take_parcel(far, io.BytesIO(raw), sha256) == 3
    assert take_parcel(far, io.BytesIO(raw), sha256) == 0
    assert far.verify() == []


def test_a_gap_is_refused(stores: t.Tuple[Layout, Layout]) -> None:
    here, far = stores
    digest = str(here.put_bytes(b"content"))
    raw, sha256 = made(here, [Range(digest, 7, 4, 3)])
    with pytest.raises(OciError, match="has 0 bytes on the host, the parcel goes on at 4"):
        take_parcel(far, io.BytesIO(raw), sha256)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "header cannot be read"),
        (b"no json\n", "header cannot be read"),
        (b"[]\n", "header cannot be read"),
        (b'{"version": 2, "ranges": []}\n', "version 2"),
        (b'{"version": 1, "ranges": [{"digest": "x"}]}\n', "header cannot be read"),
        (b'{"version": 1, "ranges": []}\nrest', "longer than its header says"),
        (
            json.dumps({"version": 1, "ranges": [dataclasses.asdict(Range(A, 3, 2, 2))]}).encode() + b"\nab",
            "outside its blob",
        ),
        (
            json.dumps({"version": 1, "ranges": [dataclasses.asdict(Range(A, 3, 0, 3))]}).encode() + b"\nab",
            "shorter than it should be",
        ),
        (
            json.dumps({"version": 1, "ranges": [dataclasses.asdict(Range("../../etc", 3, 0, 3))]}).encode() + b"\nabc",
            "invalid digest",
        ),
    ],
)
def test_what_is_no_parcel_is_refused(stores: t.Tuple[Layout, Layout], raw: bytes, message: str) -> None:
    with pytest.raises(OciError, match=message):
        take_parcel(stores[1], io.BytesIO(raw), hashlib.sha256(raw).hexdigest())


def test_the_same_ranges_give_the_same_parcel(stores: t.Tuple[Layout, Layout]) -> None:
    here, _far = stores
    digest = str(here.put_bytes(b"content"))
    ranges = [Range(digest, 7, 0, 4), Range(digest, 7, 4, 3)]
    assert made(here, ranges) == made(here, ranges)
