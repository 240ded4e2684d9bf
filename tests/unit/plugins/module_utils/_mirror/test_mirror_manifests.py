# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests that are pulled through: kept, checked again, served stale."""

from __future__ import annotations

import errno
import os
import pathlib
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream import flights
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream import manifests as manifests_module
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.tags import Tags
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import OwnContent
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import (
    NAME,
    UpstreamSide,
    asked,
    upstream,
)

Registries = t.Callable[..., FakeRegistry]
NOWHERE = "http://127.0.0.1:9"


def methods(registry: FakeRegistry) -> list[tuple[str, int]]:
    """What was asked of manifests, and how it was answered."""
    return [(seen.method, seen.status) for seen in registry.requests(path="/manifests/")]


@pytest.fixture
def registry(fake_registry: Registries) -> FakeRegistry:
    """An upstream with an image."""
    made = fake_registry()
    made.add_image("team/app", "1", [b"layer"])
    return made


@pytest.fixture
def side(tmp_path: pathlib.Path, registry: FakeRegistry) -> UpstreamSide:
    """A mirror of it."""
    return UpstreamSide(tmp_path / "store", upstream(registry.url))


def digest_in(registry: FakeRegistry, tag: str = "1") -> str:
    return registry.repositories["team/app"].tags[tag]


def bytes_in(registry: FakeRegistry, tag: str = "1") -> bytes:
    return registry.repositories["team/app"].manifests[digest_in(registry, tag)][1]


def test_a_tag_is_fetched_once(registry: FakeRegistry, side: UpstreamSide) -> None:
    first = side.manifests.manifest(asked("team/app:1"))
    assert first is not None
    assert (first.document.raw, first.stale, first.age, first.here) == (bytes_in(registry), False, 0, False)
    side.clock.now += 299
    second = side.manifests.manifest(asked("team/app:1"))
    assert second is not None
    assert (second.document.raw, second.stale, second.age, second.here) == (bytes_in(registry), False, 299, True)
    assert methods(registry) == [("GET", 200)]
    digest = Digest.parse(digest_in(registry))
    assert side.layout.has(digest)
    assert PulledRecords(side.layout).has(digest)
    assert side.counts.told == [("fetched", NAME, "manifest", len(bytes_in(registry)))]


def test_a_digest_is_fetched_once(registry: FakeRegistry, side: UpstreamSide) -> None:
    name = f"team/app@{digest_in(registry)}"
    assert [side.raw(name), side.raw(name)] == [bytes_in(registry)] * 2
    assert methods(registry) == [("GET", 200)]


def test_another_mirror_of_the_same_store_asks_nobody(
    tmp_path: pathlib.Path, registry: FakeRegistry, side: UpstreamSide
) -> None:
    side.raw("team/app:1")
    other = UpstreamSide(tmp_path / "store", upstream(registry.url))
    assert other.raw("team/app:1") == bytes_in(registry)
    assert methods(registry) == [("GET", 200)]


def test_after_its_time_a_tag_is_checked_without_a_pull(registry: FakeRegistry, side: UpstreamSide) -> None:
    side.raw("team/app:1")
    side.clock.now += 300
    found = side.manifests.manifest(asked("team/app:1"))
    assert found is not None
    assert (found.document.raw, found.stale, found.age, found.here) == (bytes_in(registry), False, 0, True)
    assert methods(registry) == [("GET", 200), ("HEAD", 304)]
    side.clock.now += 299
    side.raw("team/app:1")
    assert len(methods(registry)) == 2


def test_a_tag_that_moves(registry: FakeRegistry, side: UpstreamSide) -> None:
    before = side.raw("team/app:1")
    registry.add_image("team/app", "1", [b"another layer"])
    assert side.raw("team/app:1") == before
    side.clock.now += 300
    assert side.raw("team/app:1") == bytes_in(registry) != before


def test_a_tag_that_is_gone(registry: FakeRegistry, side: UpstreamSide) -> None:
    digest = digest_in(registry)
    side.raw("team/app:1")
    del registry.repositories["team/app"].tags["1"]
    side.clock.now += 300
    assert side.raw("team/app:1") is None
    assert side.raw("team/app:1") is None
    assert methods(registry) == [("GET", 200), ("HEAD", 404)]
    assert side.raw(f"team/app@{digest}") is not None


@pytest.mark.parametrize("jump", [-10_000, 10_000_000_000])
def test_a_clock_that_jumps(registry: FakeRegistry, side: UpstreamSide, jump: float) -> None:
    side.raw("team/app:1")
    side.clock.now += jump
    assert side.raw("team/app:1") == bytes_in(registry)
    assert methods(registry) == [("GET", 200), ("HEAD", 304)]
    side.clock.now += 10
    assert side.raw("team/app:1") == bytes_in(registry)
    assert len(methods(registry)) == 2


def test_while_the_upstream_is_away_a_tag_is_served_stale(
    tmp_path: pathlib.Path, registry: FakeRegistry, side: UpstreamSide
) -> None:
    side.raw("team/app:1")
    away = UpstreamSide(tmp_path / "store", upstream(NOWHERE))
    away.clock.now += 1000
    for _number in range(3):
        found = away.manifests.manifest(asked("team/app:1"))
        assert found is not None
        assert (found.document.raw, found.stale, found.age, found.here) == (bytes_in(registry), True, 1000, True)
    assert away.counts.told == [("failed", NAME, "unreachable"), *[("stale", NAME)] * 3]


def test_who_comes_back_is_asked_again(
    registry: FakeRegistry, side: UpstreamSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests_module, "_REST_SECONDS", 0.0)
    side.raw("team/app:1")
    registry.fail("HEAD", "/manifests/", status=500)
    registry.add_image("team/app", "1", [b"another layer"])
    side.clock.now += 300
    found = side.manifests.manifest(asked("team/app:1"))
    assert found is not None and found.stale
    found = side.manifests.manifest(asked("team/app:1"))
    assert found is not None and not found.stale
    assert found.document.raw == bytes_in(registry)


def test_a_hanging_upstream_holds_up_nobody_who_can_be_served(
    registry: FakeRegistry, side: UpstreamSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests_module, "REVALIDATION_SECONDS", 0.05)
    side.raw("team/app:1")
    go_on = threading.Event()
    registry.fail("HEAD", "/manifests/", wait_for=go_on)
    side.clock.now += 300
    for _number in range(3):
        found = side.manifests.manifest(asked("team/app:1"))
        assert found is not None and found.stale
    go_on.set()
    assert [call[0] for call in side.counts.told] == ["fetched", "stale", "stale", "stale"]


def test_an_upstream_that_refuses_is_not_asked_for_each_client(registry: FakeRegistry, side: UpstreamSide) -> None:
    side.raw("team/app:1")
    registry.fail("HEAD", "/manifests/", status=401, times=9)
    side.clock.now += 300
    for _number in range(3):
        found = side.manifests.manifest(asked("team/app:1"))
        assert found is not None and found.stale
    assert methods(registry) == [("GET", 200), ("HEAD", 401)]


def test_without_an_upstream_everything_is_stale_after_its_time(
    tmp_path: pathlib.Path, registry: FakeRegistry, side: UpstreamSide
) -> None:
    side.raw("team/app:1")
    off = UpstreamSide(tmp_path / "store", pull_through="off")
    assert off.raw("team/app:1") == bytes_in(registry)
    off.clock.now += 301
    found = off.manifests.manifest(asked("team/app:1"))
    assert found is not None and found.stale
    assert off.raw("team/app:2") is None


def test_one_that_may_use_only_what_is_here(registry: FakeRegistry, side: UpstreamSide) -> None:
    assert side.raw("team/app:1", cached_only=True) is None
    side.raw("team/app:1")
    assert side.raw("team/app:1", cached_only=True) == bytes_in(registry)
    assert side.raw("team/app:1", via=("here",)) == bytes_in(registry)
    assert side.raw("team/app:2", via=("here",)) is None
    assert len(methods(registry)) == 1


@pytest.mark.parametrize("name", ["team/app:2", f"team/app@{Digest.of(b'')}", "nobody/nothing:1"])
def test_what_is_nowhere_is_not_asked_for_again_at_once(registry: FakeRegistry, side: UpstreamSide, name: str) -> None:
    assert [side.raw(name), side.raw(name)] == [None, None]
    assert methods(registry) == [("GET", 404)]


def test_what_was_nowhere_may_come(tmp_path: pathlib.Path, registry: FakeRegistry) -> None:
    side = UpstreamSide(tmp_path / "store", upstream(registry.url), negative_ttl=0)
    assert side.raw("team/app:2") is None
    registry.add_image("team/app", "2", [b"layer"])
    assert side.raw("team/app:2") == bytes_in(registry, "2")


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        (401, 403, "DENIED"),
        (403, 403, "DENIED"),
        (429, 429, "TOOMANYREQUESTS"),
        (400, 502, "UNAVAILABLE"),
        (500, 502, "UNAVAILABLE"),
        (502, 502, "UNAVAILABLE"),
        (503, 503, "UNAVAILABLE"),
        (504, 504, "UNAVAILABLE"),
    ],
)
def test_what_clients_are_told(registry: FakeRegistry, side: UpstreamSide, status: int, told: int, code: str) -> None:
    registry.fail("GET", "/manifests/", status=status, headers={"Retry-After": "41.5" if status == 400 else "41"})
    with pytest.raises(Refused) as caught:
        side.raw("team/app:1")
    assert (caught.value.status, caught.value.code) == (told, code)
    assert dict(caught.value.headers) == ({"Retry-After": "41"} if told in (429, 503) else {})


def test_denials_are_remembered_for_a_while(registry: FakeRegistry, side: UpstreamSide) -> None:
    registry.fail("GET", "/manifests/", status=403, times=9)
    for _number in range(3):
        with pytest.raises(Refused, match="does not give this"):
            side.raw("team/app:1")
    assert methods(registry) == [("GET", 403)]


def test_nobody_there(tmp_path: pathlib.Path) -> None:
    side = UpstreamSide(tmp_path / "store", upstream(NOWHERE))
    for status in (502, 503):
        with pytest.raises(Refused) as caught:
            side.raw("team/app:1")
        assert caught.value.status == status


@pytest.mark.parametrize(
    "how",
    [
        {"wrong_bytes": True},
        {"status": 200, "body": b"<html>"},
        {"cut_after": 10},
        {
            "status": 200,
            "body": b'{"schemaVersion": 2, "manifests": []}',
            "headers": {"Docker-Content-Digest": str(Digest.of(b"else"))},
        },
    ],
)
def test_an_upstream_that_lies(registry: FakeRegistry, side: UpstreamSide, how: t.Any) -> None:
    registry.fail("GET", "/manifests/", times=2, **how)
    for name in ("team/app:1", f"team/app@{digest_in(registry)}"):
        with pytest.raises(Refused) as caught:
            side.raw(name)
        assert caught.value.status == 502
    assert not os.path.isdir(tmp := side.layout.path + "/blobs/sha256") or os.listdir(tmp) == []
    assert side.raw("team/app:1") == bytes_in(registry)


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 404}, {"status": 401}, {"wrong_bytes": True}])
def test_the_next_url_is_tried(tmp_path: pathlib.Path, fake_registry: Registries, fault: t.Any) -> None:
    first, second = fake_registry(), fake_registry()
    for registry in (first, second):
        registry.add_image("team/app", "1", [b"layer"])
    first.fail("GET", "/manifests/", **fault)
    side = UpstreamSide(tmp_path / "store", upstream(first.url, second.url))
    assert side.raw("team/app:1") == bytes_in(second)
    assert (len(methods(first)), len(methods(second))) == (1, 1)


def test_a_dead_url_is_passed_over(tmp_path: pathlib.Path, registry: FakeRegistry) -> None:
    side = UpstreamSide(tmp_path / "store", upstream(NOWHERE, registry.url))
    assert side.raw("team/app:1") == bytes_in(registry)


def test_that_it_is_nowhere_is_not_believed_while_one_is_away(tmp_path: pathlib.Path, registry: FakeRegistry) -> None:
    side = UpstreamSide(tmp_path / "store", upstream(NOWHERE, registry.url))
    with pytest.raises(Refused) as caught:
        side.raw("team/app:2")
    assert caught.value.status == 502


def test_clients_at_once_make_one_request(registry: FakeRegistry, side: UpstreamSide) -> None:
    go_on = threading.Event()
    registry.fail("GET", "/manifests/", wait_for=go_on)
    found: list[bytes | None] = []
    threads = [threading.Thread(target=lambda: found.append(side.raw("team/app:1"))) for _number in range(20)]
    for thread in threads:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert found == [bytes_in(registry)] * 20
    assert methods(registry) == [("GET", 200)]


def test_two_mirrors_of_one_store_make_one_request(
    tmp_path: pathlib.Path, registry: FakeRegistry, side: UpstreamSide
) -> None:
    other = UpstreamSide(tmp_path / "store", upstream(registry.url))
    go_on = threading.Event()
    registry.fail("GET", "/manifests/", wait_for=go_on)
    found: list[bytes | None] = []
    threads = [threading.Thread(target=lambda one=one: found.append(one.raw("team/app:1"))) for one in (side, other)]
    for thread in threads:
        thread.start()
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert found == [bytes_in(registry)] * 2
    assert methods(registry) == [("GET", 200)]


def test_two_upstreams_with_the_same_names(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    one, other = fake_registry(), fake_registry()
    one.add_image("team/app", "1", [b"one"])
    other.add_image("team/app", "1", [b"other"])
    side = UpstreamSide(
        tmp_path / "store", upstream(one.url, name="one.example"), upstream(other.url, name="other.example")
    )
    assert side.raw("one.example/team/app:1") == bytes_in(one)
    assert side.raw("other.example/team/app:1") == bytes_in(other)
    assert side.raw("one.example/team/app:1") == bytes_in(one) != bytes_in(other)


def test_names_of_every_length(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    repository, tag = "/".join(["a" * 50] * 5), "T" * 128
    registry.add_image(repository, tag, [b"layer"])
    side = UpstreamSide(tmp_path / "store", upstream(registry.url, name="host.example:5000"))
    assert side.raw(f"host.example:5000/{repository}:{tag}") is not None
    assert side.raw(f"host.example:5000/{repository}:{tag}") is not None
    assert len(methods(registry)) == 1


def test_a_full_disk(registry: FakeRegistry, side: UpstreamSide, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_given: t.Any, **_named: t.Any) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    monkeypatch.setattr(os, "replace", full)
    assert side.raw("team/app:1") == bytes_in(registry)
    monkeypatch.undo()
    assert side.raw("team/app:1") == bytes_in(registry)
    assert Tags(side.layout.path).get(asked("team/app:1").reference) is not None


def test_tags_of_what_was_evicted(registry: FakeRegistry, side: UpstreamSide) -> None:
    side.raw("team/app:1")
    assert side.manifests.sweep() == 0
    os.unlink(side.layout.blob_path(Digest.parse(digest_in(registry))))
    assert side.manifests.sweep() == 1
    assert Tags(side.layout.path).get(asked("team/app:1").reference) is None
    registry.add_image("team/app", "1", [b"another"])
    assert side.raw("team/app:1") == bytes_in(registry)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"digest": 1}', b"\xff"])
def test_a_record_that_cannot_be_read(registry: FakeRegistry, side: UpstreamSide, content: bytes) -> None:
    side.raw("team/app:1")
    (path,) = pathlib.Path(side.layout.path, "pulled", "tags").rglob("_tags/1")
    path.write_bytes(content)
    assert side.raw("team/app:1") == bytes_in(registry)
    assert methods(registry) == [("GET", 200), ("GET", 200)]


def test_listings(registry: FakeRegistry, side: UpstreamSide) -> None:
    registry.fail("GET", "/tags/list", status=200, body=b'{"tags": ["1"]}')
    found = side.manifests.listing(asked("team/app:x"), "tags/list", [])
    assert found is not None and found.raw == b'{"tags": ["1"]}'
    assert side.manifests.listing(asked("nobody/nothing:x"), "tags/list", []) is None


def test_a_copy_that_is_damaged_is_fetched_again(
    tmp_path: pathlib.Path, registry: FakeRegistry, side: UpstreamSide
) -> None:
    side.raw("team/app:1")
    path = pathlib.Path(side.layout.blob_path(Digest.parse(digest_in(registry))))
    path.write_bytes(b"x" * path.stat().st_size)
    again = UpstreamSide(tmp_path / "store", upstream(registry.url))
    assert again.raw("team/app:1") == bytes_in(registry)
    assert path.read_bytes() == bytes_in(registry)


def test_what_was_pushed_privately_is_not_told_for_an_upstreams(registry: FakeRegistry, side: UpstreamSide) -> None:
    private = b'{"schemaVersion": 2, "manifests": []}'
    digest = side.layout.put_bytes(private)
    OwnContent(side.layout).mark(digest)
    assert side.raw(f"team/app@{digest}") is None
    assert methods(registry) == [("GET", 404)]


def test_that_own_content_is_nowhere_is_known_for_a_moment_only(
    tmp_path: pathlib.Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests_module, "_OWN_NEGATIVE_TTL", 0.0)
    settings = {"peers": [{"url": registry.url, "insecure": True}], "self_url": "https://10.0.0.1:5000"}
    side = UpstreamSide(tmp_path / "store", **settings)
    assert side.raw("team/app:2", own=True) is None
    registry.add_image("team/app", "2", [b"layer"])
    assert side.raw("team/app:2", own=True) == bytes_in(registry, "2")


def test_no_more_is_begun_than_can_be(
    registry: FakeRegistry, side: UpstreamSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    side.raw("team/app:1")
    monkeypatch.setattr(flights, "MOST_FLIGHTS", 0)
    with pytest.raises(Refused) as caught:
        side.raw("team/app:2")
    assert (caught.value.status, dict(caught.value.headers)) == (503, {"Retry-After": "5"})
    side.clock.now += 300
    found = side.manifests.manifest(asked("team/app:1"))
    assert found is not None and found.stale
    assert methods(registry) == [("GET", 200)]


def test_no_registry_takes_all_that_can_be_begun(
    registry: FakeRegistry, side: UpstreamSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "MOST_FLIGHTS", 4)
    over = threading.Event()

    def wait() -> None:
        over.wait(20)

    others = [side.manifests._flights.join(f"slow.example/app:{number}", wait)[0] for number in (1, 2)]
    assert side.manifests._flights.crowded_by("slow.example/")
    assert side.raw("team/app:1") == bytes_in(registry)
    over.set()
    assert all(flight.wait(20) for flight in others)


def test_what_another_mirror_knows_for_long_is_not_taken_for_new(
    tmp_path: pathlib.Path, registry: FakeRegistry
) -> None:
    headers = {"Age": "200", "Docker-Content-Digest": digest_in(registry)}
    registry.fail("GET", "/manifests/", status=200, body=bytes_in(registry), headers=headers)
    side = UpstreamSide(tmp_path / "store", parents=[{"url": registry.url, "insecure": True}])
    for age, asked_for in ((0, 1), (99, 1), (100, 2)):
        side.clock.now = 1_000_000 + age
        found = side.manifests.manifest(asked("team/app:1"))
        assert found is not None
        assert (found.age, len(methods(registry))) == (0 if asked_for == 2 else 200 + age, asked_for)


def test_an_entity_tag_is_told_to_no_other_url(
    tmp_path: pathlib.Path, registry: FakeRegistry, fake_registry: Registries
) -> None:
    """What one registry calls a version may be another one's word for something else."""
    other = fake_registry()
    other.add_image("team/app", "1", [b"layer"])
    registry.etags = False
    told = {"ETag": '"version-1"', "Docker-Content-Digest": digest_in(registry)}
    registry.fail("GET", "/manifests/", status=200, body=bytes_in(registry), headers=told)
    UpstreamSide(tmp_path / "store", upstream(registry.url)).raw("team/app:1")
    for later, url, condition in ((1000, registry, '"version-1"'), (2000, other, f'"{digest_in(other)}"')):
        side = UpstreamSide(tmp_path / "store", upstream(url.url))
        side.clock.now += later
        side.raw("team/app:1")
        assert url.seen[-1].headers["If-None-Match"] == condition
