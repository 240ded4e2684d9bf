# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blobs that were pulled through: their records and notes, writers that do not wait, prune while they come."""

from __future__ import annotations

import os
import pathlib
import time

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci import layout_cache, layout_check
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Busy, Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import Incoming, Note, PulledRecords

DATA = b"0123456789"
DIGEST = Digest.of(DATA)


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


@pytest.fixture
def records(layout: Layout) -> PulledRecords:
    return PulledRecords(layout)


def put(layout: Layout, data: bytes = DATA) -> Digest:
    """Bring a blob in as a service does."""
    digest = Digest.of(data)
    with layout.pulling_writer(digest) as writer:
        writer.write(data)
        PulledRecords(layout).mark(digest, len(data), "quay.io")
        writer.commit()
    return digest


def set_age(path: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def note_path(layout: Layout) -> str:
    return os.path.join(layout.path, "pulled/coming/sha256", DIGEST.hex)


def partial(layout: Layout) -> str:
    return os.path.join(layout.path, "blobs/sha256", f".{DIGEST.hex}.partial")


def test_records_come_back(layout: Layout, records: PulledRecords) -> None:
    assert records.entries() == [] and not records.has(DIGEST)
    put(layout)
    (entry,) = records.entries()
    assert (entry.digest, entry.size, entry.origin) == (DIGEST, 10, "quay.io")
    assert abs(entry.used - time.time()) < 60
    records.forget(DIGEST)
    records.forget(DIGEST)
    assert records.entries() == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"size": "x", "from": 1}', b'{"size": -1}', b"\xff"])
def test_a_damaged_record_still_says_that_the_blob_was_pulled(
    layout: Layout, records: PulledRecords, content: bytes
) -> None:
    put(layout)
    pathlib.Path(layout_cache.record_path(layout.path, DIGEST)).write_bytes(content)
    (entry,) = records.entries()
    assert (entry.digest, entry.size, entry.origin) == (DIGEST, 0, "")
    assert records.has(DIGEST)


def test_use_is_noted_once_a_minute(layout: Layout, records: PulledRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    path = layout_cache.record_path(layout.path, put(layout))
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for moved, noted in ((0.0, True), (59.0, False), (61.0, True), (62.0, False)):
        now = 1000.0 + moved
        set_age(path, 5000.0)
        records.touch(DIGEST)
        assert (time.time() - os.stat(path).st_mtime < 1000.0) == noted
    records.touch(Digest.of(b"never pulled"))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"size": "x"}', b'{"size": 1}', b'{"from": "", "size": -1}'])
def test_a_note_that_cannot_be_read_is_none(layout: Layout, content: bytes) -> None:
    incoming = Incoming(layout)
    assert incoming.read(DIGEST) is None
    note = Note(10, "quay.io", {"https://a": 5.0}, {"https://b": 6.5})
    incoming.write(DIGEST, note)
    assert incoming.read(DIGEST) == note
    pathlib.Path(note_path(layout)).write_bytes(content)
    assert incoming.read(DIGEST) is None
    incoming.drop(DIGEST)
    incoming.drop(DIGEST)
    assert not os.path.exists(note_path(layout))


def test_prune_leaves_what_was_pulled_through(layout: Layout) -> None:
    put(layout)
    stray = layout.put_bytes(b"stray")
    assert [one.digest for one in layout.prune(dry_run=True)] == [stray]
    assert [one.digest for one in layout.prune()] == [stray]
    assert layout.has(DIGEST) and layout.verify() == []


def test_prune_does_not_wait_for_what_is_coming_nor_take_it(layout: Layout, records: PulledRecords) -> None:
    with layout.pulling_writer(DIGEST) as writer:
        writer.write(DATA[:5])
        assert layout.prune(dry_run=True) == layout.prune() == []
        writer.write(DATA[5:])
        records.mark(DIGEST, 10, "quay.io")
        writer.commit()
    assert layout.prune() == [] and layout.has(DIGEST)


@pytest.mark.parametrize(("age", "taken"), [(0, False), (-300, False), (700, True), (-700, True)])
def test_prune_takes_partials_that_nobody_will_go_on_with(layout: Layout, age: float, taken: bool) -> None:
    with layout.pulling_writer(DIGEST) as writer:
        writer.write(DATA[:5])
    Incoming(layout).write(DIGEST, Note(10, "quay.io"))
    set_age(partial(layout), age)
    set_age(note_path(layout), 4000)
    assert [one.size for one in layout.prune(dry_run=True)] == ([5] if taken else [])
    layout.prune()
    assert os.path.exists(partial(layout)) != taken
    assert os.path.exists(note_path(layout)) != taken


def test_what_is_left_over_goes_in_the_end_without_prune(layout: Layout, records: PulledRecords) -> None:
    with layout.pulling_writer(DIGEST) as writer:
        writer.write(DATA[:5])
    records.mark(DIGEST, 10, "quay.io")
    layout_check.remove_leftovers(layout)
    records.drop_hollow()
    assert os.path.exists(partial(layout)) and records.has(DIGEST)
    set_age(partial(layout), 8 * 86400)
    set_age(layout_cache.record_path(layout.path, DIGEST), 4000)
    with layout.pulling_writer(DIGEST):
        layout_check.remove_leftovers(layout)
        assert os.path.exists(partial(layout))
    set_age(partial(layout), 8 * 86400)
    layout_check.remove_leftovers(layout)
    records.drop_hollow()
    assert not os.path.exists(partial(layout)) and not records.has(DIGEST)


def test_a_second_writer_is_told_that_there_is_one(layout: Layout) -> None:
    with layout.pulling_writer(DIGEST) as writer:
        with pytest.raises(Busy), layout.pulling_writer(DIGEST):
            pass
        writer.write(DATA)
        writer.commit()
    with layout.pulling_writer(DIGEST) as writer:
        assert writer.done
    with layout.pulling_writer(DIGEST, again=True) as writer:
        assert not writer.done


def test_whoever_reads_a_partial_file_never_sees_its_bytes_change(layout: Layout) -> None:
    with layout.pulling_writer(DIGEST) as writer:
        writer.write(b"wrong")
        with open(partial(layout), "rb") as reader:
            writer.restart()
            writer.write(DATA)
            writer.commit()
            assert reader.read() == b"wrong"
    assert layout.read_blob(DIGEST) == DATA
    assert [path.name for path in pathlib.Path(layout.path, "blobs/sha256").iterdir()] == [DIGEST.hex]


def test_a_run_killed_while_it_begins_anew_leaves_what_prune_takes(layout: Layout) -> None:
    left = pathlib.Path(layout.path, "blobs/sha256", f".{DIGEST.hex}.anew")
    left.write_bytes(b"abc")
    assert [(one.digest, one.size, one.partial) for one in layout.prune()] == [(DIGEST, 3, True)]
    assert not left.exists()


def test_who_writes_an_image_makes_pulled_blobs_its_own(layout: Layout, records: PulledRecords) -> None:
    put(layout)
    with layout.writer(DIGEST, 10) as writer:
        assert writer.done
        assert not records.has(DIGEST)
        assert records.entries() == []
    assert layout.has(DIGEST) and not os.path.exists(partial(layout))


def test_a_record_is_not_evicted_with_what_somebody_wants(layout: Layout, records: PulledRecords) -> None:
    put(layout)
    (entry,) = records.entries()
    with layout.pulling_writer(DIGEST, again=True):
        assert records.evict(entry) is None
    os.utime(layout_cache.record_path(layout.path, DIGEST), (entry.used + 5, entry.used + 5))
    assert records.evict(entry) is None and layout.has(DIGEST)
    (entry,) = records.entries()
    assert records.evict(entry) == 10
    assert not layout.has(DIGEST) and not records.has(DIGEST) and not os.path.exists(partial(layout))
    assert records.evict(entry) is None


def test_a_write_that_fails_is_as_if_it_had_not_been(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def no_space(handle: int, data: bytes) -> int:
        write(handle, data[:2])
        raise OSError(28, "No space left on device")

    with layout.pulling_writer(DIGEST) as writer:
        writer.write(DATA[:5])
        with monkeypatch.context() as patch, pytest.raises(OciError, match="No space"):
            patch.setattr("os.write", no_space)
            writer.write(DATA[5:])
        assert os.stat(partial(layout)).st_size == writer.offset == 5
        writer.write(DATA[5:])
        writer.commit()
    assert layout.read_blob(DIGEST) == DATA
