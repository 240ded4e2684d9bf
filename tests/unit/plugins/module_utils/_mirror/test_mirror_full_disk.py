# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pulling through onto a disk that is full: room is made, or there is a clean error and nothing is left behind."""

from __future__ import annotations

import pathlib
import subprocess
import typing as t
from http import HTTPStatus

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.eviction import Evictor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.pulling import (
    FakeLink,
    Turn,
    pull,
    service,
    settle,
)
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise

DISK = 4 << 20
BLOB = 1 << 20


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """A file system of four megabytes."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def data(number: int) -> bytes:
    return noise(f"disk {number}", BLOB)


def left(layout: Layout) -> list[str]:
    return [path.name for path in pathlib.Path(layout.path).rglob(".*.partial")]


@pytest.mark.parametrize("keep_free", [0, BLOB])
@pytest.mark.parametrize("tells_size", [True, False])
def test_what_was_not_used_for_longest_makes_room(disk: pathlib.Path, keep_free: int, tells_size: bool) -> None:
    layout = Layout.open(str(disk / "store"), create=True)
    turns = [Turn(data(number), tells_size=tells_size, piece=64 * 1024) for number in range(8)]
    room = Evictor(layout, PulledRecords(layout), keep_free=keep_free)
    fetches = service(layout, FakeLink(*turns), room=room)
    for number in range(8):
        assert pull(fetches, data(number)) == data(number)
        settle(fetches)
    there = [number for number in range(8) if layout.has(Digest.of(data(number)))]
    assert 7 in there and 1 <= len(there) <= 3
    assert layout.verify() == [] and left(layout) == []


@pytest.mark.parametrize("tells_size", [True, False])
@pytest.mark.parametrize("bounded", [True, False])
def test_without_room_there_is_a_clean_error_and_serving_goes_on(
    disk: pathlib.Path, tells_size: bool, bounded: bool
) -> None:
    layout = Layout.open(str(disk / "store"), create=True)
    (disk / "other").write_bytes(b"x" * (2 * BLOB))
    room = Evictor(layout, PulledRecords(layout)) if bounded else None
    small, large = FakeLink(Turn(data(1))), FakeLink(Turn(data(2) * 3, tells_size=tells_size, piece=64 * 1024))
    fetches = service(layout, of={"quay.io/t/app": [small], "quay.io/t/large": [large]}, room=room)
    with pytest.raises(MirrorError, match="disk is full") as caught:
        pull(fetches, data(2) * 3, "quay.io/t/large")
    settle(fetches)
    if bounded or not tells_size:
        assert isinstance(caught.value, Refused)
        assert (caught.value.status, caught.value.code) == (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE")
    assert left(layout) == [] and layout.verify() == []
    assert pull(fetches, data(1)) == data(1)
