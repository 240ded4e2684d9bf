# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is dropped when there is no room, and what never is."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, StoreSource
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.eviction import Evictor, prune
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords, record_path
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise, put_manifest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

SIZE = 1000
NAME = Reference.parse("quay.io/t/app:1")


class Told(NoCounts):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.dropped = 0
        self.count: tuple[int, int] = (0, 0)

    def evicted(self, size: int) -> None:
        self.dropped += size

    def cached(self, blobs: int, size: int) -> None:
        self.count = (blobs, size)


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


def content(number: int) -> bytes:
    return noise(f"cached {number}", SIZE)


def put(layout: Layout, data: bytes, age: float = 0.0) -> Digest:
    """A blob that was pulled through and used last so many seconds ago."""
    digest = Digest.of(data)
    with layout.pulling_writer(digest) as writer:
        if not writer.done:
            writer.restart()
            writer.write(data)
            PulledRecords(layout).mark(digest, len(data), "quay.io")
            writer.commit()
    use(layout, digest, age)
    return digest


def use(layout: Layout, digest: Digest, age: float) -> None:
    then = time.time() - age
    os.utime(record_path(layout.path, digest), (then, then))


def there(layout: Layout, digests: list[Digest]) -> list[int]:
    return [number for number, digest in enumerate(digests) if layout.has(digest)]


def evictor(layout: Layout, cache_size: int = 0, keep_free: int = 0, told: Told | None = None) -> Evictor:
    return Evictor(layout, PulledRecords(layout), told, cache_size=cache_size, keep_free=keep_free)


def test_what_was_not_used_for_longest_goes_first(layout: Layout) -> None:
    told = Told()
    digests = [put(layout, content(number), age=100.0 * number) for number in range(10)]
    use(layout, digests[9], age=1.0)
    keeper = evictor(layout, cache_size=6000, told=told)
    keeper.keep_bounds()
    assert there(layout, digests) == [0, 1, 2, 3, 9]
    assert told.dropped == 5000 and told.count == (10, 10_000)
    keeper.keep_bounds()
    assert there(layout, digests) == [0, 1, 2, 3, 9]
    assert layout.verify() == []


def test_room_is_made_for_what_comes(layout: Layout) -> None:
    digests = [put(layout, content(number), age=100.0 * number) for number in range(5)]
    keeper = evictor(layout, cache_size=6000)
    assert keeper.make(1000)
    assert there(layout, digests) == [0, 1, 2, 3, 4]
    assert keeper.make(2000), "what room was made for before is on its way"
    assert there(layout, digests) == [0, 1]
    assert keeper.make(1 << 50) is False
    assert there(layout, digests) == []


def test_the_disk_is_kept_from_filling_up(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [put(layout, content(number), age=100.0 * number) for number in range(5)]
    keeper = evictor(layout, keep_free=10_000)
    monkeypatch.setattr(keeper, "_free", lambda: 10_000 + 500 - SIZE * len(there(layout, digests)))
    assert not keeper.make(501)
    assert there(layout, digests) == []
    assert keeper.make(500)


def test_what_a_name_reaches_stays(layout: Layout) -> None:
    manifest, layer = put_manifest(layout, "linux/amd64", {"f": b"x"})
    for digest in (manifest.digest, layer):
        PulledRecords(layout).mark(digest, 100, "quay.io")
        use(layout, digest, age=9999.0)
    stranger = put(layout, content(1), age=1.0)
    layout.tag(NAME, manifest)
    keeper = evictor(layout, cache_size=1)
    keeper.keep_bounds()
    assert layout.has(manifest.digest) and layout.has(layer) and not layout.has(stranger)
    layout.untag(NAME)
    keeper.keep_bounds()
    assert not layout.has(manifest.digest) and not layout.has(layer)


def test_what_was_not_pulled_through_stays(layout: Layout) -> None:
    own = layout.put_bytes(b"own")
    evictor(layout, cache_size=1, keep_free=1 << 60).keep_bounds()
    assert layout.has(own)


def test_what_is_being_written_stays(layout: Layout) -> None:
    digest = put(layout, content(1))
    with layout.pulling_writer(digest, again=True):
        assert prune(layout, all_unpinned=True) == []
    assert [one.digest for one in prune(layout, all_unpinned=True)] == [digest]


@pytest.mark.parametrize("jump", [3600.0, 1e9])
def test_a_clock_that_jumps_confuses_nobody_for_long(layout: Layout, jump: float) -> None:
    """What was used in the future counts as used now, and grows old again."""
    future = [put(layout, content(number), age=-jump - number) for number in range(3)]
    past = [put(layout, content(number), age=jump) for number in range(3, 6)]
    evictor(layout, cache_size=3100).keep_bounds()
    assert (there(layout, future), there(layout, past)) == ([0, 1, 2][-2:], [])
    fresh = put(layout, content(9), age=-1.0)
    evictor(layout, cache_size=1100).keep_bounds()
    assert (there(layout, future), layout.has(fresh)) == ([], True)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, [0, 1, 2, 3]),
        ({"bytes_to_free": 1}, [0, 1, 2]),
        ({"bytes_to_free": 1001}, [0, 1]),
        ({"older_than": 150.0}, [0, 1]),
        ({"older_than": 150.0, "bytes_to_free": 3000}, [0]),
        ({"all_unpinned": True}, []),
        ({"all_unpinned": True, "older_than": 150.0}, []),
    ],
)
def test_a_user_may_prune_what_services_keep(layout: Layout, options: dict[str, t.Any], left: list[int]) -> None:
    digests = [put(layout, content(number), age=100.0 * number) for number in range(4)]
    told = prune(layout, dry_run=True, **options)
    assert there(layout, digests) == [0, 1, 2, 3]
    assert prune(layout, **options) == told
    assert there(layout, digests) == left
    assert {one.digest for one in told} == {digest for digest in digests if not layout.has(digest)}
    assert all(one.size == SIZE for one in told)


@pytest.mark.parametrize("kind", ["blob", "manifest"])
def test_what_is_served_is_used(layout: Layout, kind: str) -> None:
    manifest, layer = put_manifest(layout, "linux/amd64", {"f": b"x"})
    digest = layer if kind == "blob" else manifest.digest
    PulledRecords(layout).mark(digest, 1, "quay.io")
    use(layout, digest, age=5000.0)
    source = StoreSource(Store(layout.path))
    asked = Asked(Reference.parse(f"quay.io/t/app@{digest}"))
    if kind == "blob":
        content = source.blob(asked)
        assert content is not None
        content.close()
    else:
        assert source.manifest(asked) is not None
    (entry,) = PulledRecords(layout).entries()
    assert time.time() - entry.used < 1000


class CacheMachine(RuleBasedStateMachine):
    """Two services' evictors, names and pulls in any order: what is named stays whole, the rest is bounded."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = pathlib.Path(tempfile.mkdtemp())
        self.layout = Layout.open(str(self.directory / "store"), create=True)
        self.evictors = [evictor(self.layout, cache_size=5000) for _service in range(2)]
        self.named: dict[str, Descriptor] = {}
        self.clock = 0.0

    def teardown(self) -> None:
        shutil.rmtree(self.directory)

    @rule(number=st.integers(0, 9), age=st.integers(-1000, 1000))
    def pull_through(self, number: int, age: int) -> None:
        put(self.layout, content(number), age)

    @rule(number=st.integers(0, 3), pulled=st.booleans())
    def bring_an_image(self, number: int, pulled: bool) -> None:
        with self.layout.session():
            manifest, layer = put_manifest(self.layout, "linux/amd64", {"f": content(number)})
            name = Reference.parse(f"quay.io/t/app:{number}")
            self.layout.tag(name, manifest)
        self.named[str(name)] = manifest
        if pulled:
            PulledRecords(self.layout).mark(layer, SIZE, "quay.io")

    @rule(number=st.integers(0, 3))
    def take_a_name_away(self, number: int) -> None:
        name = f"quay.io/t/app:{number}"
        assert self.layout.untag(Reference.parse(name)) == (self.named.pop(name, None) is not None)

    @rule(which=st.integers(0, 1), size=st.integers(0, 6000))
    def make_room(self, which: int, size: int) -> None:
        assert self.evictors[which].make(size)

    @rule(which=st.integers(0, 1))
    def keep_bounds(self, which: int) -> None:
        self.evictors[which].keep_bounds()
        kept = {blob.digest for entry in self.layout.entries() for blob in self.layout.reachable(entry)}
        entries = PulledRecords(self.layout).entries()
        assert sum(entry.size for entry in entries if entry.digest not in kept) <= 5000
        assert all(entry.used <= time.time() + 60 for entry in entries)

    @rule(age=st.none() | st.integers(0, 500))
    def prune_by_hand(self, age: int | None) -> None:
        prune(self.layout, older_than=age)

    @rule()
    def prune_the_store(self) -> None:
        before = {entry.digest for entry in PulledRecords(self.layout).entries() if self.layout.has(entry.digest)}
        self.layout.prune()
        assert all(self.layout.has(digest) for digest in before)

    @invariant()
    def the_store_is_whole(self) -> None:
        assert self.layout.verify() == []
        for name in self.named:
            assert self.layout.missing(self.layout.names()[name]) == []


TestCache = CacheMachine.TestCase
TestCache.settings = settings(max_examples=25, stateful_step_count=20, suppress_health_check=list(HealthCheck))
