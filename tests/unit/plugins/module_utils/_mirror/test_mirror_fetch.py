# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blobs pulled through: one fetch for all, resumed, checked, never wrong."""

from __future__ import annotations

import concurrent.futures
import pathlib
import threading
import typing as t
from http import HTTPStatus

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream import fetch, leading
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import PEER
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import Incoming, Note, PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import OwnContent
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.pulling import (
    PATIENCE,
    FakeLink,
    Turn,
    asked_for,
    pull,
    read_all,
    service,
    settle,
)
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise

DATA = noise("blob", 10_000)
WRONG = noise("other", 10_000)
DIGEST = Digest.of(DATA)
NOT_FOUND = RegistryError("cannot fetch a blob", why="404", status=404)
DENIED = RegistryError("cannot fetch a blob", why="403", status=403)
AWAY = RegistryError("cannot fetch a blob", why="gone", temporary=True)


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two rounds there is nothing to wait for in tests."""
    monkeypatch.setattr(leading, "_FIRST_WAIT", 0.0)


class Told(NoCounts):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.all: list[tuple[t.Any, ...]] = []

    def fetched(self, upstream: str, kind: str, size: int, seconds: float) -> None:
        self.all.append(("fetched", upstream, kind, size))

    def failed(self, upstream: str, why: str) -> None:
        self.all.append(("failed", upstream, why))

    def coalesced(self, registry: str) -> None:
        self.all.append(("coalesced", registry))


def leftovers(layout: Layout) -> list[str]:
    blobs = pathlib.Path(layout.path, "blobs").rglob(".*")
    notes = pathlib.Path(layout.path, "pulled", "coming").rglob("*")
    return [path.name for path in [*blobs, *notes] if path.is_file()]


def write_part(layout: Layout, data: bytes, note: Note | None) -> None:
    """What a leader leaves that is killed."""
    with layout.pulling_writer(DIGEST) as writer:
        writer.write(data)
    if note is not None:
        Incoming(layout).write(DIGEST, note)


def test_a_blob_is_fetched_stored_and_recorded(layout: Layout) -> None:
    told = Told()
    link = FakeLink(Turn(DATA))
    fetches, other = service(layout, link, metrics=told), service(layout, link)
    assert pull(fetches, DATA) == DATA
    assert pull(other, DATA) == DATA
    settle(fetches)
    settle(other)
    assert layout.read_blob(DIGEST) == DATA
    assert link.offsets == [0] and link.streams[0].closed
    assert [(one.digest, one.size, one.origin) for one in PulledRecords(layout).entries()] == [(DIGEST, 10_000, "up")]
    assert told.all == [("fetched", "up", "blob", 10_000)]
    assert leftovers(layout) == [] and layout.verify() == [] and layout.prune() == []


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_an_empty_blob_is_one_too(layout: Layout, algorithm: str) -> None:
    content = service(layout, FakeLink(Turn(b""))).blob(asked_for(b"", algorithm=algorithm))
    assert content is not None
    assert content.size == 0 and content.ready(0) and content.read_at(0, 10) == b""
    content.close()


@pytest.mark.parametrize("services", [1, 4])
def test_many_clients_cost_one_request(layout: Layout, services: int) -> None:
    gate, told = threading.Event(), Told()
    link = FakeLink(Turn(DATA, stops={5000: gate}))
    several = [service(layout, link, metrics=told) for _number in range(services)]
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        contents = list(pool.map(lambda number: several[number % services].blob(asked_for(DATA)), range(40)))
        found = [pool.submit(read_all, content) for content in contents if content is not None]
        gate.set()
        assert [future.result(PATIENCE) for future in found] == [DATA] * 40
    for content in contents:
        assert content is not None and content.size == len(DATA)
        content.close()
        content.close()
    assert link.offsets == [0]
    assert told.all.count(("coalesced", "quay.io")) == 40 - services
    for one in several:
        settle(one)
        assert one._fetches == {}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_bytes_come_as_they_arrive(layout: Layout, elsewhere: bool) -> None:
    half, end = threading.Event(), threading.Event()
    link = FakeLink(Turn(DATA, stops={5000: half, 9_999: end}))
    leader = service(layout, link)
    first = leader.blob(asked_for(DATA))
    reader = (service(layout, link) if elsewhere else leader).blob(asked_for(DATA))
    assert first is not None and reader is not None
    assert reader.size == 10_000
    assert read_all(reader, 0, 5000) == DATA[:5000]
    assert not reader.ready(5000) and reader.read_at(5000, 1) is None and reader.fileno() is None
    half.set()
    assert read_all(reader, 9000, 999) == DATA[9000:9999]
    assert not reader.ready(9999)
    end.set()
    assert read_all(reader, 9990) == DATA[9990:]
    assert read_all(first) == DATA
    handle = reader.fileno()
    assert handle is not None
    reader.close()
    first.close()


def test_a_read_that_begins_beyond_what_is_there_waits(layout: Layout) -> None:
    gate = threading.Event()
    fetches = service(layout, FakeLink(Turn(DATA, stops={1000: gate})))
    content = fetches.blob(asked_for(DATA))
    assert content is not None
    assert not content.wait(7000, 0.01)
    gate.set()
    assert read_all(content, 7000, 100) == DATA[7000:7100]
    content.close()


@pytest.mark.parametrize(
    ("turns", "offsets"),
    [
        ([Turn(DATA, cut=3000), Turn(DATA)], [0, 3000]),
        ([Turn(DATA, cut=3000), Turn(DATA, start=0)], [0, 3000]),
        ([Turn(DATA, cut=3000), Turn(DATA, start=2500, piece=100)], [0, 3000]),
        ([Turn(DATA[:4000], size=10_000), Turn(DATA)], [0, 4000]),
        ([Turn(DATA, cut=3000), Turn(error=AWAY), Turn(error=AWAY), Turn(DATA, tells_size=False)], [0, *[3000] * 3]),
        ([Turn(DATA, cut=1), Turn(DATA, cut=9999), Turn(DATA)], [0, 1, 9999]),
    ],
)
def test_a_broken_upstream_is_asked_for_the_rest(layout: Layout, turns: list[Turn], offsets: list[int]) -> None:
    link = FakeLink(*turns)
    assert pull(service(layout, link), DATA) == DATA
    assert link.offsets == offsets


def test_another_url_gives_the_rest(layout: Layout) -> None:
    broken, good = FakeLink(Turn(DATA, cut=3000), Turn(error=AWAY), name="a"), FakeLink(Turn(DATA), name="b")
    assert pull(service(layout, broken, good), DATA) == DATA
    assert (broken.offsets, good.offsets) == ([0], [3000])


@pytest.mark.parametrize("failure", [NOT_FOUND, DENIED, AWAY])
def test_the_next_url_is_asked_where_one_does_not_have_it(layout: Layout, failure: RegistryError) -> None:
    bad, good = FakeLink(Turn(error=failure), name="a"), FakeLink(Turn(DATA), name="b")
    assert pull(service(layout, bad, good), DATA) == DATA
    assert (bad.offsets, good.offsets) == ([0], [0])


def test_an_upstream_that_stays_away_in_the_middle_is_given_up_in_the_end(layout: Layout) -> None:
    begun = threading.Event()
    link = FakeLink(Turn(DATA, cut=3000, stops={0: begun}), Turn(error=AWAY))
    fetches = service(layout, link)
    content = fetches.blob(asked_for(DATA))
    assert content is not None
    begun.set()
    with pytest.raises(MirrorError, match="rest of a blob cannot be fetched"):
        read_all(content)
    assert content.read_at(0, 3000) == DATA[:3000]
    content.close()
    assert len(link.offsets) == 7
    good = FakeLink(Turn(DATA))
    assert pull(service(layout, good), DATA) == DATA
    assert good.offsets == [3000]


def test_without_a_length_the_answer_waits_for_the_end(layout: Layout) -> None:
    link = FakeLink(Turn(DATA, tells_size=False))
    content = service(layout, link).blob(asked_for(DATA))
    assert content is not None
    assert content.size == 10_000
    assert read_all(content) == DATA
    content.close()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_lie_is_not_stored_and_clients_are_cut_off(layout: Layout, elsewhere: bool) -> None:
    end, told = threading.Event(), Told()
    liar = FakeLink(Turn(WRONG, stops={5000: end}), name="liar")
    honest = FakeLink(Turn(DATA), name="honest")
    fetches = service(layout, liar, honest, metrics=told)
    leading_one = fetches.blob(asked_for(DATA))
    reader = (service(layout, liar, honest) if elsewhere else fetches).blob(asked_for(DATA))
    assert reader is not None and leading_one is not None
    assert read_all(reader, 0, 4000) == WRONG[:4000]
    end.set()
    with pytest.raises(MirrorError):
        read_all(reader)
    reader.close()
    leading_one.close()
    settle(fetches)
    assert not layout.has(DIGEST)
    assert ("failed", "liar", "digest") in told.all
    assert pull(service(layout, liar, honest), DATA) == DATA
    assert (liar.offsets, honest.offsets) == ([0], [0])


def test_where_all_lie_there_is_an_error(layout: Layout) -> None:
    liar = FakeLink(Turn(WRONG, tells_size=False), name="liar")
    for _try in range(3):
        with pytest.raises(Refused) as caught:
            service(layout, liar).blob(asked_for(DATA))
        assert caught.value.status == HTTPStatus.BAD_GATEWAY
    assert liar.offsets == [0]


@pytest.mark.parametrize("size", [9_999, 10_001, 20_000])
def test_a_wrong_size_is_a_lie_as_well(layout: Layout, size: int) -> None:
    begun = threading.Event()
    liar = FakeLink(Turn(DATA + DATA, size=size, stops={0: begun}), name="liar")
    fetches = service(layout, liar, FakeLink(Turn(DATA), name="honest"))
    content = fetches.blob(asked_for(DATA))
    assert content is not None
    begun.set()
    with pytest.raises(MirrorError):
        read_all(content)
    content.close()
    assert pull(fetches, DATA) == DATA


def test_of_a_mixture_the_last_is_suspected(layout: Layout) -> None:
    """Whoever lied: nobody is given a mixture, and the next attempts find the one that does not."""
    for name, first, second in (("first", WRONG, DATA), ("second", DATA, WRONG)):
        store = Layout.open(f"{layout.path}-{name}", create=True)
        one = FakeLink(Turn(first, cut=3000), Turn(first), name="one")
        two = FakeLink(Turn(second), name="two")
        outcomes = [_outcome(service(store, one, two)) for _try in range(3)]
        assert set(outcomes) <= {None, DATA} and outcomes[-1] == DATA
        assert store.verify() == []


def _outcome(fetches: fetch.Fetches) -> bytes | None:
    try:
        return pull(fetches, DATA)
    except MirrorError:
        return None


@pytest.mark.parametrize(
    ("failures", "status", "code"),
    [
        ([NOT_FOUND], None, ""),
        ([NOT_FOUND, NOT_FOUND], None, ""),
        ([DENIED], HTTPStatus.FORBIDDEN, "DENIED"),
        ([NOT_FOUND, AWAY], HTTPStatus.BAD_GATEWAY, "UNAVAILABLE"),
    ],
)
def test_failures_are_told_and_remembered(
    layout: Layout, failures: list[RegistryError], status: HTTPStatus | None, code: str
) -> None:
    links = [FakeLink(Turn(error=failure), name=f"up{number}") for number, failure in enumerate(failures)]
    fetches = service(layout, *links)
    for _client in range(100):
        if status is None:
            assert fetches.blob(asked_for(DATA)) is None
        else:
            with pytest.raises(Refused) as caught:
                fetches.blob(asked_for(DATA))
            assert (caught.value.status, caught.value.code) == (status, code)
    assert [link.offsets for link in links] == [[0]] * len(links)
    assert leftovers(layout) == []


def test_nowhere_to_ask_is_not_here(layout: Layout) -> None:
    assert service(layout).blob(asked_for(DATA)) is None


def test_what_one_repository_does_not_have_another_may(layout: Layout) -> None:
    link, other = FakeLink(Turn(error=NOT_FOUND), name="a"), FakeLink(Turn(DATA), name="b")
    fetches = service(layout, of={"quay.io/t/app": [link], "docker.io/library/app": [other]})
    assert fetches.blob(asked_for(DATA)) is None
    assert pull(fetches, DATA, "docker.io/library/app") == DATA


def test_a_peers_miss_does_not_hide_the_upstream(layout: Layout) -> None:
    peer = FakeLink(Turn(error=NOT_FOUND), name="peer", kind=PEER)
    with pytest.raises(Refused):
        service(layout, peer, FakeLink(Turn(error=AWAY))).blob(asked_for(DATA))


def test_a_client_that_leaves_ends_nothing(layout: Layout) -> None:
    gate = threading.Event()
    fetches = service(layout, FakeLink(Turn(DATA, stops={5000: gate})))
    content = fetches.blob(asked_for(DATA))
    assert content is not None
    content.close()
    gate.set()
    settle(fetches)
    assert layout.read_blob(DIGEST) == DATA
    assert fetches._fetches == {}


def test_what_nobody_waits_for_ends_some_time_and_is_taken_up_later(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "UNWANTED_SECONDS", 0.0)
    gate = threading.Event()
    link = FakeLink(Turn(DATA, stops={5000: gate}), Turn(DATA))
    fetches = service(layout, link)
    content = fetches.blob(asked_for(DATA))
    assert content is not None
    content.close()
    gate.set()
    settle(fetches)
    assert not layout.has(DIGEST)
    assert pull(fetches, DATA) == DATA
    assert len(link.offsets) == 2 and 0 < link.offsets[1] <= 6000


@pytest.mark.parametrize("note", [None, Note(10_000, "up"), Note(500, "up")])
def test_what_a_dead_leader_left_is_taken_up(layout: Layout, note: Note | None) -> None:
    write_part(layout, DATA[:4000], note)
    link = FakeLink(Turn(DATA))
    assert pull(service(layout, link), DATA) == DATA
    assert link.offsets == [0 if note is not None and note.size == 500 else 4000]


def test_what_a_dead_leader_had_fetched_as_a_whole_needs_no_upstream(layout: Layout) -> None:
    write_part(layout, DATA, Note(10_000, "up"))
    link = FakeLink(Turn(error=AWAY))
    assert pull(service(layout, link), DATA) == DATA
    assert link.offsets == []


def test_too_much_of_a_leftover_is_thrown_away(layout: Layout) -> None:
    write_part(layout, DATA + DATA, None)
    shorter = RegistryError("cannot fetch a blob", why="416", status=416)
    link = FakeLink(Turn(error=shorter), Turn(DATA))
    assert pull(service(layout, link), DATA) == DATA
    assert link.offsets == [20_000, 0]


def test_wrong_bytes_of_a_leftover_cost_one_attempt_and_nobodys_name(layout: Layout) -> None:
    write_part(layout, WRONG[:4000], Note(10_000, "up"))
    rest = threading.Event()
    link, other = FakeLink(Turn(DATA, stops={4000: rest})), FakeLink(Turn(DATA), name="other")
    fetches = service(layout, link, other)
    content = fetches.blob(asked_for(DATA))
    assert content is not None
    rest.set()
    with pytest.raises(MirrorError):
        read_all(content)
    content.close()
    settle(fetches)
    assert pull(fetches, DATA) == DATA
    assert link.offsets == [4000] and other.offsets == [0]


def test_a_follower_takes_over_from_a_leader_that_ends(layout: Layout) -> None:
    link = FakeLink(Turn(DATA))
    with layout.pulling_writer(DIGEST) as writer:
        Incoming(layout).write(DIGEST, Note(10_000, "dead"))
        writer.write(DATA[:6000])
        content = service(layout, link).blob(asked_for(DATA))
        assert content is not None
        assert read_all(content, 0, 6000) == DATA[:6000]
        assert not content.ready(6000)
    assert read_all(content, 6000) == DATA[6000:]
    content.close()
    assert link.offsets == [6000]


def test_who_pulls_an_image_is_followed_too(layout: Layout) -> None:
    link = FakeLink(Turn(DATA))
    with layout.writer(DIGEST, 10_000) as writer:
        writer.write(DATA[:6000])
        content = service(layout, link).blob(asked_for(DATA))
        assert content is not None
        assert content.size == 10_000
        assert read_all(content, 0, 6000) == DATA[:6000]
        writer.write(DATA[6000:])
        assert not content.ready(9_999)
        writer.commit()
    assert read_all(content, 6000) == DATA[6000:]
    content.close()
    assert all(stream.closed for stream in link.streams)
    assert not PulledRecords(layout).has(DIGEST)


def test_readers_are_cut_off_where_a_pull_begins_anew(layout: Layout) -> None:
    """What it had may have been wrong, so that bytes of both must not go into one answer."""
    with layout.writer(DIGEST, 10_000) as writer:
        writer.write(WRONG[:6000])
        content = service(layout, FakeLink(Turn(DATA))).blob(asked_for(DATA))
        assert content is not None
        assert read_all(content, 0, 6000) == WRONG[:6000]
        writer.restart()
        writer.write(DATA)
        with pytest.raises(MirrorError, match="thrown away"):
            read_all(content, 6000)
        content.close()
        writer.commit()


def test_places_that_disagree_on_the_size_do_not_keep_it_wrong_for_ever(layout: Layout) -> None:
    liar = FakeLink(Turn(DATA, size=12_000, cut=3000), Turn(error=DENIED), name="a")
    honest = FakeLink(Turn(DATA), name="b")
    fetches = service(layout, liar, honest)
    assert _outcome(fetches) is None
    settle(fetches)
    assert leftovers(layout) == []
    assert pull(service(layout, honest), DATA) == DATA


def test_what_was_only_pushed_is_told_to_nobody_who_cannot_have_it_from_an_upstream(layout: Layout) -> None:
    OwnContent(layout).mark(DIGEST)
    layout.put_bytes(DATA)
    assert service(layout, FakeLink(Turn(error=NOT_FOUND))).blob(asked_for(DATA)) is None
    liar = FakeLink(Turn(WRONG))
    assert _outcome(service(layout, liar)) is None
    link = FakeLink(Turn(DATA), name="has")
    assert pull(service(layout, link), DATA) == DATA
    assert link.offsets == [0]


def test_only_so_many_are_fetched_at_once(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MOST_AT_ONCE", 1)
    gate = threading.Event()
    link, other = FakeLink(Turn(DATA, stops={0: gate})), FakeLink(Turn(WRONG))
    fetches = service(layout, of={"quay.io/t/app": [link], "quay.io/t/other": [other]})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(pull, fetches, DATA)
        while not fetches._fetches:
            pass
        with pytest.raises(Refused, match="too many blobs"):
            fetches.blob(asked_for(WRONG, "quay.io/t/other"))
        gate.set()
        assert first.result(PATIENCE) == DATA
