# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploads: a model of what any sequence of requests, to any process, leads to; and what breaks off."""

from __future__ import annotations

import fcntl
import io
import os
import pathlib
import tempfile
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.uploads import (
    KEPT_SECONDS,
    Chunk,
    OutOfOrder,
    Uploads,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import BLOBS
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

REPOSITORIES = ("team/app", "team/app/sub")
ABSENT = "00000000-0000-0000-0000-000000000000"
PIECES = st.binary(max_size=40)


def chunk(data: bytes, start: t.Optional[int] = None, length: t.Optional[int] = None) -> Chunk:
    return Chunk(io.BytesIO(data), start, length)


def files(store: Store) -> list[str]:
    directory = os.path.join(store.path, "uploads")
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store(Layout.open(str(tmp_path / "store"), create=True).path)


@pytest.fixture
def uploads(store: Store) -> Uploads:
    return Uploads(store)


class Requests(RuleBasedStateMachine):
    """Two processes, here two objects that share nothing but the store, take turns at will."""

    going = Bundle("going")

    @initialize()
    def begin_all(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        path = Layout.open(os.path.join(self.directory.name, "store"), create=True).path
        self.store = Store(path)
        self.processes = (Uploads(Store(path)), Uploads(Store(path)))
        self.bytes: dict[tuple[str, str], bytes] = {}
        self.blobs: set[tuple[str, Digest]] = set()

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            self.directory.cleanup()

    @rule(target=going, process=st.integers(0, 1), repository=st.sampled_from(REPOSITORIES))
    def begin(self, process: int, repository: str) -> tuple[str, str]:
        key = (repository, self.processes[process].begin(repository))
        self.bytes[key] = b""
        return key

    @rule(process=st.integers(0, 1), key=going, data=PIECES, told=st.booleans())
    def append(self, process: int, key: tuple[str, str], data: bytes, told: bool) -> None:
        start = len(self.bytes[key]) if told else None
        size = self.processes[process].append(*key, chunk(data, start, len(data) if told else None))
        self.bytes[key] += data
        assert size == len(self.bytes[key])

    @rule(process=st.integers(0, 1), key=going, data=PIECES, start=st.integers(0, 99))
    def append_elsewhere(self, process: int, key: tuple[str, str], data: bytes, start: int) -> None:
        if start == len(self.bytes[key]):
            return
        with pytest.raises(OutOfOrder) as caught:
            self.processes[process].append(*key, chunk(data, start, len(data)))
        assert caught.value.size == len(self.bytes[key])

    @rule(process=st.integers(0, 1), key=going, data=PIECES, more=st.integers(1, 9))
    def break_off(self, process: int, key: tuple[str, str], data: bytes, more: int) -> None:
        with pytest.raises(Refused) as caught:
            self.processes[process].append(*key, chunk(data, None, len(data) + more))
        assert caught.value.code == "SIZE_INVALID"
        self.bytes[key] += data

    @rule(
        process=st.integers(0, 1),
        key=consumes(going),
        data=PIECES,
        algorithm=st.sampled_from(["sha256", "sha512"]),
    )
    def finish(self, process: int, key: tuple[str, str], data: bytes, algorithm: str) -> None:
        content = self.bytes.pop(key) + data
        digest = Digest.of(content, algorithm)
        self.processes[process].finish(*key, digest, chunk(data))
        self.blobs.add((key[0], digest))
        assert self.store.layout().read_blob(digest) == content

    @rule(process=st.integers(0, 1), key=consumes(going), data=PIECES)
    def finish_wrongly(self, process: int, key: tuple[str, str], data: bytes) -> None:
        wrong = Digest.of(self.bytes.pop(key) + data + b"?")
        with pytest.raises(Refused) as caught:
            self.processes[process].finish(*key, wrong, chunk(data))
        assert (caught.value.status, caught.value.code) == (400, "DIGEST_INVALID")

    @rule(process=st.integers(0, 1), key=consumes(going))
    def cancel(self, process: int, key: tuple[str, str]) -> None:
        self.processes[process].cancel(*key)
        del self.bytes[key]

    @invariant()
    def all_is_as_told(self) -> None:
        if not hasattr(self, "bytes"):
            return
        for process in self.processes:
            for repository, name in self.bytes:
                assert process.size(repository, name) == len(self.bytes[repository, name])
                other = next(other for other in REPOSITORIES if other != repository)
                with pytest.raises(Refused):
                    process.size(other, name)
        assert len(files(self.store)) == len(self.bytes)
        own = self.store.own()
        for repository in REPOSITORIES:
            for _holder, digest in self.blobs:
                assert own.holds(repository, BLOBS, digest) == ((repository, digest) in self.blobs)
        assert self.store.layout().verify() == []


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("name", [ABSENT, "", "..", "../../index.json", "x" * 300, "\x00"])
def test_unknown_upload(uploads: Uploads, name: str) -> None:
    digest = Digest.of(b"")
    for call in (
        lambda: uploads.size("a", name),
        lambda: uploads.append("a", name, chunk(b"x")),
        lambda: uploads.finish("a", name, digest, chunk(b"")),
        lambda: uploads.cancel("a", name),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert (caught.value.status, caught.value.code) == (404, "BLOB_UPLOAD_UNKNOWN")


def test_only_one_writes(uploads: Uploads, store: Store) -> None:
    name = uploads.begin("a")
    (file,) = files(store)
    with open(os.path.join(store.path, "uploads", file), "rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for call in (lambda: uploads.append("a", name, chunk(b"x")), lambda: uploads.cancel("a", name)):
            with pytest.raises(Refused) as caught:
                call()
            assert caught.value.status == 409
    assert uploads.append("a", name, chunk(b"x")) == 1


def test_client_that_leaves(uploads: Uploads) -> None:
    class Leaving(io.BytesIO):
        def read(self, size: t.Optional[int] = -1) -> bytes:
            data = super().read(3)
            if not data:
                raise ConnectionResetError("gone")
            return data

    name = uploads.begin("a")
    with pytest.raises(ConnectionResetError):
        uploads.append("a", name, Chunk(Leaving(b"abcdef"), 0, 10))
    assert uploads.size("a", name) == 6
    uploads.append("a", name, chunk(b"ghij", 6, 4))
    uploads.finish("a", name, Digest.of(b"abcdefghij"), chunk(b""))


def test_no_more_than_announced_is_read(uploads: Uploads) -> None:
    name, body = uploads.begin("a"), io.BytesIO(b"0123456789")
    assert uploads.append("a", name, Chunk(body, None, 4)) == 4
    assert body.read() == b"456789"


def test_blob_that_is_here_is_not_marked(uploads: Uploads, store: Store) -> None:
    digest = store.layout().put_bytes(b"here before")
    uploads.finish("a", uploads.begin("a"), digest, chunk(b"here before"))
    assert not store.own().is_marked(digest)
    assert store.own().holds("a", BLOBS, digest)
    other = Digest.of(b"new")
    uploads.finish("a", uploads.begin("a"), other, chunk(b"new"))
    assert store.own().is_marked(other)
    assert files(store) == []


def test_damaged_blob_is_mended(uploads: Uploads, store: Store) -> None:
    digest = store.layout().put_bytes(b"whole")
    pathlib.Path(store.layout().blob_path(digest)).write_bytes(b"who")
    uploads.finish("a", uploads.begin("a"), digest, chunk(b"whole"))
    assert store.layout().read_blob(digest) == b"whole"


def test_old_uploads_are_removed(uploads: Uploads, store: Store) -> None:
    old, held, young = uploads.begin("a"), uploads.begin("a"), uploads.begin("a")
    directory = os.path.join(store.path, "uploads")
    then = time.time() - KEPT_SECONDS - 60
    for name in files(store):
        if not name.endswith(young):
            os.utime(os.path.join(directory, name), (then, then))
    (locked,) = (name for name in files(store) if name.endswith(held))
    with open(os.path.join(directory, locked), "rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert uploads.clean() == 1
    with pytest.raises(Refused):
        uploads.size("a", old)
    assert (uploads.size("a", held), uploads.size("a", young)) == (0, 0)


def test_beginning_cleans(uploads: Uploads, store: Store) -> None:
    uploads.begin("a")
    path = os.path.join(store.path, "uploads", files(store)[0])
    os.utime(path, (1, 1))
    uploads.begin("a")
    assert os.path.exists(path)
    Uploads(store).begin("a")
    assert not os.path.exists(path)


CHUNKS = [
    ("", "", (None, None)),
    ("", "5", (None, 5)),
    ("0-4", "5", (0, 5)),
    ("0-4", "", (0, 5)),
    ("7-7", "1", (7, 1)),
    ("0-4", "4", "SIZE_INVALID"),
    ("4-0", "", "SIZE_INVALID"),
    ("bytes 0-4/5", "5", "BLOB_UPLOAD_INVALID"),
    ("-4", "5", "BLOB_UPLOAD_INVALID"),
    ("0-", "5", "BLOB_UPLOAD_INVALID"),
    ("0-4,5-6", "5", "BLOB_UPLOAD_INVALID"),
    ("\u0660-4", "5", "BLOB_UPLOAD_INVALID"),
]


@pytest.mark.parametrize(("content_range", "content_length", "wanted"), CHUNKS)
def test_chunk(content_range: str, content_length: str, wanted: t.Any) -> None:
    if isinstance(wanted, str):
        with pytest.raises(Refused) as caught:
            Chunk.of(io.BytesIO(), content_range, content_length)
        assert (caught.value.status, caught.value.code) == (400, wanted)
    else:
        assert Chunk.of(io.BytesIO(), content_range, content_length)[1:] == wanted
