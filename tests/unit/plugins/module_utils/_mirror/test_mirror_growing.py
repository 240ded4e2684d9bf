# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readers of a blob that others write, begin anew, leave and lie about: they get the right bytes or an error."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.growing import Growing
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import BlobWriter, Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import Incoming, Note
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

SIZE = 1000
DATA = noise("right", SIZE)
WRONG = noise("wrong", SIZE)
DIGEST = Digest.of(DATA)


class Reader:
    """Reads one range from its first byte to its last, as far as it gets."""

    def __init__(self, growing: Growing, start: int, end: int) -> None:
        self.growing = growing
        self.start = start
        self.end = end
        self.read = b""
        self.failed = False

    def step(self, length: int) -> None:
        at = self.start + len(self.read)
        if self.failed or at == self.end:
            return
        try:
            data = self.growing.read_at(at, min(length, self.end - at))
        except MirrorError:
            self.failed = True
            return
        assert data != b"" and not (data is None and self.growing.whole)
        self.read += data or b""

    @property
    def wanted(self) -> bytes:
        return DATA[self.start : self.end]


class GrowingMachine(RuleBasedStateMachine):
    """One process follows what others write; every look sees what is there, without waiting its turn."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = pathlib.Path(tempfile.mkdtemp())
        self.layout = Layout.open(str(self.directory / "store"), create=True)
        Incoming(self.layout).write(DIGEST, Note(SIZE, "up"))
        self.writer: BlobWriter | None = None
        self.left = 0
        self.growing = self.follow()
        self.readers = [Reader(self.growing, 0, SIZE)]
        self.lied = False

    def follow(self) -> Growing:
        return Growing(self.layout, DIGEST, self.take_over, lambda: True)

    def take_over(self) -> None:
        self.left += 1
        assert self.writer is None, "it is taken over though somebody writes"

    def look(self) -> None:
        self.growing._look_at = self.growing._check_at = 0.0
        self.growing.look()

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.__exit__(None, None, None)
        self.growing.close()
        shutil.rmtree(self.directory)

    @rule(
        count=st.sampled_from([1, 300, 999, SIZE, SIZE]),
        lies=st.booleans(),
        again=st.booleans(),
        then_read=st.sampled_from([0, 1, 300, SIZE]),
    )
    def write(self, count: int, lies: bool, again: bool, then_read: int) -> None:
        if self.writer is None:
            writer = self.layout.pulling_writer(DIGEST, again=again).__enter__()
            if writer.done:
                writer.__exit__(None, None, None)
                return
            self.writer = writer
        at = self.writer.offset
        self.writer.write((WRONG if lies else DATA)[at : at + count])
        self.lied = self.lied or (lies and at < SIZE)
        if then_read:
            self.read(then_read)

    @precondition(lambda self: self.writer is not None)
    @rule(how=st.sampled_from(["restart", "restart", "commit", "commit", "discard", "die"]))
    def go_on(self, how: str) -> None:
        """The one who writes begins anew, ends well, gives up or is killed."""
        assert self.writer is not None
        try:
            if how == "restart":
                self.writer.restart()
                return
            if how == "commit":
                if self.writer.offset < SIZE:
                    return
                self.writer.commit()
            elif how == "discard":
                self.writer.discard()
        except DigestMismatch:
            assert self.lied
        self.writer.__exit__(None, None, None)
        self.writer = None

    @rule(one=st.integers(0, SIZE), other=st.integers(0, SIZE), whole=st.sampled_from([True, True, False]))
    def open_a_reader(self, one: int, other: int, whole: bool) -> None:
        if self.growing.error is not None:
            self.readers.clear()
            self.growing.close()
            self.growing = self.follow()
        start, end = (0, SIZE) if whole else sorted((one, other))
        self.readers.append(Reader(self.growing, start, end))

    @rule(length=st.sampled_from([1, 300, SIZE]))
    def read(self, length: int) -> None:
        self.look()
        self.look()
        for reader in self.readers:
            reader.step(length)
            if not self.lied:
                assert reader.wanted.startswith(reader.read)
            if len(reader.read) == SIZE:
                assert reader.read == DATA

    @rule()
    def nothing_is_missed(self) -> None:
        """What is in the store is read in the end, unless bytes of something else were given before."""
        self.look()
        self.look()
        if self.layout.has(DIGEST):
            assert self.growing.settled
        if self.growing.whole:
            assert self.growing.read_at(0, SIZE) == DATA


TestGrowing = GrowingMachine.TestCase
TestGrowing.settings = settings(max_examples=200, stateful_step_count=40, suppress_health_check=list(HealthCheck))


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


def test_a_poll_costs_no_more_than_one_look_in_five_milliseconds(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand readers that a server's loop asks cost one look at the disk together."""
    Incoming(layout).write(DIGEST, Note(SIZE, "up"))
    with layout.pulling_writer(DIGEST) as writer:
        writer.write(DATA[:10])
        growing = Growing(layout, DIGEST, lambda: None, lambda: True)
        assert growing.wait(lambda: growing.available == 10, 20)
        now, looks = 1000.0, list[float]()
        monkeypatch.setattr("time.monotonic", lambda: now)
        monkeypatch.setattr(growing, "_follow", looks.append)
        growing._look_at = 0.0
        for _poll in range(1000):
            assert not growing.ready(500)
        now += 0.004
        assert not growing.ready(500)
        assert len(looks) == 1
        now += 0.002
        assert not growing.ready(500)
        assert len(looks) == 2
        growing.close()


def test_a_closed_one_opens_nothing_again(layout: Layout) -> None:
    with layout.pulling_writer(DIGEST) as writer:
        writer.write(DATA[:10])
        growing = Growing(layout, DIGEST, lambda: None, lambda: True)
        growing.close()
        before = len(os.listdir("/proc/self/fd"))
        growing._look_at = growing._check_at = 0.0
        growing.look()
        assert len(os.listdir("/proc/self/fd")) == before
