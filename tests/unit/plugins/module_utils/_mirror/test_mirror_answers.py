# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ranges and conditions."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import (
    CHUNK,
    BlobBody,
    Refused,
    byte_range,
    etag,
    matches,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import StoredContent
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
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
    (" bytes = 1 - 2 ", 10, (1, 2)),
    ("bytes=" + " " * 10_000 + "1-2", 10, None),
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


class Memory:
    """Content that comes in steps: ``there`` is how much of it has come."""

    digest = Digest.of(b"")

    def __init__(self, data: bytes, there: t.Optional[int] = None) -> None:
        self._data = data
        self.size = len(data)
        self.there = self.size if there is None else there
        self.closed = False

    def read_at(self, offset: int, length: int) -> t.Optional[bytes]:
        if not self.ready(offset):
            return None
        return self._data[offset : min(offset + length, self.there)]

    def ready(self, offset: int) -> bool:
        return offset < self.there

    def wait(self, offset: int, seconds: float) -> bool:
        assert seconds > 0
        self.there = min(self.size, self.there + CHUNK // 3)
        return self.ready(offset)

    def fileno(self) -> t.Optional[int]:
        return None

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("there", [None, 0, CHUNK + 1])
@pytest.mark.parametrize(("start", "length"), [(0, 0), (0, 1), (5, CHUNK), (7, 2 * CHUNK + 3)])
def test_body(start: int, length: int, there: t.Optional[int]) -> None:
    data = bytes(index % 251 for index in range(3 * CHUNK))
    content = Memory(data, there)
    body = BlobBody(content, start, length)
    parts = list(body)
    assert b"".join(parts) == data[start : start + length]
    assert all(len(part) <= CHUNK for part in parts)
    body.close()
    assert content.closed


def test_body_in_pieces_without_blocking() -> None:
    content = Memory(b"0123456789", there=3)
    body = BlobBody(content, 1, 5)
    assert body.ready()
    assert [body.next_piece(1), body.next_piece(9), body.next_piece(9)] == [b"1", b"2", None]
    assert not body.ready()
    content.there = 10
    assert body.ready()
    assert [body.next_piece(9), body.next_piece(9)] == [b"345", b""]
    assert body.ready()


def test_stored_content(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "blob"
    assert StoredContent.open(Memory.digest, str(path)) is None
    path.write_bytes(b"0123456789")
    content = StoredContent.open(Memory.digest, str(path))
    assert content is not None
    assert (content.size, content.read_at(3, 4), content.read_at(8, 9), content.read_at(10, 1)) == (
        10,
        b"3456",
        b"89",
        b"",
    )
    assert content.ready(0)
    assert content.wait(0, 1)
    assert content.fileno() is not None
    content.close()
    content.close()
    assert content.fileno() is None


def test_file_that_became_shorter(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"0123456789")
    content = StoredContent.open(Memory.digest, str(path))
    assert content is not None
    path.write_bytes(b"012")
    with pytest.raises(MirrorError, match="shorter"):
        list(BlobBody(content, 0, 10))
    content.close()
