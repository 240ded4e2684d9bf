# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ranges and conditions."""

from __future__ import annotations

import io
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.answers import (
    CHUNK,
    FileChunks,
    Refused,
    byte_range,
    etag,
    matches,
)
from hypothesis import given
from hypothesis import strategies as st

OUTSIDE = "outside"

RANGES = [
    ("bytes=0-0", 10, (0, 1)),
    ("bytes=0-9", 10, (0, 10)),
    ("bytes=3-", 10, (3, 7)),
    ("bytes=-3", 10, (7, 3)),
    ("bytes=-30", 10, (0, 10)),
    ("bytes=5-100", 10, (5, 5)),
    ("bytes = 1-2", 10, (1, 2)),
    ("bytes=10-", 10, OUTSIDE),
    ("bytes=10-20", 10, OUTSIDE),
    ("bytes=-0", 10, OUTSIDE),
    ("bytes=0-", 0, OUTSIDE),
    ("bytes=-1", 0, OUTSIDE),
    ("bytes=5-3", 10, None),
    ("bytes=-", 10, None),
    ("bytes=0-1,3-4", 10, None),
    ("items=0-1", 10, None),
    ("bytes=a-b", 10, None),
    ("bytes=\u0661-", 10, None),
    ("bytes=99999999999999999999-", 10, None),
    ("", 10, None),
]


@pytest.mark.parametrize(("header", "size", "wanted"), RANGES)
def test_range(header: str, size: int, wanted: t.Any) -> None:
    if wanted == OUTSIDE:
        with pytest.raises(Refused) as caught:
            byte_range(header, size)
        assert caught.value.status == 416
        assert ("Content-Range", f"bytes */{size}") in caught.value.headers
    else:
        assert byte_range(header, size) == wanted


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_range_is_that_of_a_slice(first: int, last: int, size: int) -> None:
    content = bytes(range(size))
    try:
        found = byte_range(f"bytes={first}-{last}", size)
    except Refused:
        assert content[first : last + 1] == b""
        return
    if found is None:
        assert last < first
    else:
        start, length = found
        assert content[start : start + length] == content[first : last + 1]
        assert length > 0


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ('"sha256:a"', True),
        ('W/"sha256:a"', True),
        ('"x", "sha256:a"', True),
        ('"x",W/"sha256:a" ', True),
        ("*", True),
        ('"sha256:b"', False),
        ("sha256:a", False),
        ("", False),
    ],
)
def test_if_none_match(condition: str, wanted: bool) -> None:
    assert matches(condition, etag("sha256:a")) is wanted


@pytest.mark.parametrize(("start", "length"), [(0, 0), (0, 1), (5, CHUNK), (7, 2 * CHUNK + 3)])
def test_chunks(start: int, length: int) -> None:
    content = bytes(index % 251 for index in range(3 * CHUNK))
    stream = io.BytesIO(content)
    chunks = FileChunks(stream, start, length)
    parts = list(chunks)
    assert b"".join(parts) == content[start : start + length]
    assert all(len(part) <= CHUNK for part in parts)
    chunks.close()
    assert stream.closed


def test_file_that_became_shorter() -> None:
    with pytest.raises(MirrorError, match="shorter"):
        list(FileChunks(io.BytesIO(b"abc"), 0, 5))
