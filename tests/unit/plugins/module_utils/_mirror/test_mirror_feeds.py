# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files are sent in pieces that become larger for clients that take them at once."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.feeds import FileFeed
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise

K = 1024
CONTENT = noise("feeds", 4000 * K + 7)


@pytest.fixture
def descriptor(tmp_path: pathlib.Path) -> t.Iterator[int]:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


def seen(feed: FileFeed) -> bytes:
    """What it shows."""
    view = feed.peek()
    assert view is not None
    return bytes(view)


def sizes(feed: FileFeed, blocks: t.Collection[int] = (), takes: t.Mapping[int, int] | None = None) -> t.List[int]:
    """How long each piece is. The client lets us wait before it takes some of them, and takes less of others."""
    lengths: t.List[int] = []
    got = bytearray()
    for piece in iter(lambda: seen(feed), b""):
        assert len(lengths) not in blocks or seen(feed) == piece
        count = (takes or {}).get(len(lengths), len(piece))
        lengths.append(len(piece) // K)
        got += piece[:count]
        feed.advance(count)
    assert got == CONTENT
    return lengths


def test_pieces_become_larger(descriptor: int) -> None:
    assert sizes(FileFeed(descriptor, 0, len(CONTENT))) == [256, 512, 1024, 1024, 1024, 160]


def test_who_lets_us_wait_is_given_less(descriptor: int) -> None:
    assert sizes(FileFeed(descriptor, 0, len(CONTENT)), blocks=[2, 4]) == [256, 512, 1024, 256, 512, 256, 512, 672]


def test_who_takes_a_part_is_given_less(descriptor: int) -> None:
    taken = {1: 100 * K}
    assert sizes(FileFeed(descriptor, 0, len(CONTENT)), takes=taken) == [256, 512, 256, 512, 1024, 1024, 828]


def test_a_part_of_a_file(descriptor: int) -> None:
    feed = FileFeed(descriptor, 5, 10)
    assert seen(feed) == CONTENT[5:15]
    feed.advance(10)
    assert not seen(feed)


def test_a_file_that_became_shorter(descriptor: int, tmp_path: pathlib.Path) -> None:
    os.truncate(tmp_path / "content", 100)
    with pytest.raises(MirrorError, match="became shorter"):
        FileFeed(descriptor, 0, len(CONTENT)).peek()
