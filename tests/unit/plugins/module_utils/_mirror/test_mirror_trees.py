# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mirrors of mirrors, and mirrors of one site, over real sockets."""

from __future__ import annotations

import pathlib
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.trees import order_of_peers
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.mirrors import Mirror, neighbour
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import NAME, upstream
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample

Make = t.Callable[[str], Mirror]


@pytest.fixture
def make(tmp_path: pathlib.Path) -> t.Iterator[Make]:
    """Makes mirrors by their instance's name."""
    made: list[Mirror] = []

    def new(instance: str) -> Mirror:
        made.append(Mirror(tmp_path, instance))
        return made[-1]

    yield new
    for mirror in made:
        mirror.stop()


@pytest.fixture
def registry(fake_registry: t.Callable[..., FakeRegistry]) -> FakeRegistry:
    """An upstream with images of many layers."""
    made = fake_registry()
    made.add_image("team/app", "1", [bytes([number]) * (10_000 + number) for number in range(12)])
    return made


def digests(registry: FakeRegistry) -> list[str]:
    return sorted(registry.repositories["team/app"].blobs)


def pull(mirror: Mirror, registry: FakeRegistry) -> None:
    """Pull the whole image, and see that it is right."""
    assert mirror.get("/v2/team/app/manifests/1", "HEAD", ns=NAME).status == 200
    manifest = registry.repositories["team/app"].tags["1"]
    raw = registry.repositories["team/app"].manifests[manifest][1]
    assert mirror.get("/v2/team/app/manifests/1", ns=NAME).body == raw
    assert mirror.get(f"/v2/team/app/manifests/{manifest}", ns=NAME).body == raw
    for digest in digests(registry):
        assert (
            mirror.get(f"/v2/team/app/blobs/{digest}", ns=NAME).body == registry.repositories["team/app"].blobs[digest]
        )


def fetched(registry: FakeRegistry) -> list[str]:
    """What was asked for with its body."""
    return sorted(seen.path.rpartition("/")[2] for seen in registry.seen if seen.method == "GET")


def site(make: Make, registry: FakeRegistry, **settings: t.Any) -> list[Mirror]:
    """Three mirrors that know each other."""
    mirrors = [make(name) for name in ("a", "b", "c")]
    for mirror in mirrors:
        mirror.start(
            pull_through="configured",
            upstreams=[upstream(registry.url)],
            peers=[neighbour(peer) for peer in mirrors],
            self_url=mirror.url,
            **settings,
        )
    return mirrors


def test_what_a_site_wants_crosses_its_uplink_once(make: Make, registry: FakeRegistry) -> None:
    for mirror in site(make, registry):
        pull(mirror, registry)
    manifest = registry.repositories["team/app"].tags["1"]
    found = fetched(registry)
    assert [name for name in found if name in digests(registry)] == digests(registry)
    # who owns the tag need not own what it means
    assert (found.count("1"), found.count(manifest) <= 1) == (1, True)
    assert set(found) <= {"1", manifest, *digests(registry)}


def test_it_does_so_when_all_ask_at_once(make: Make, registry: FakeRegistry) -> None:
    problems: list[BaseException] = []

    def run(mirror: Mirror) -> None:
        try:
            pull(mirror, registry)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=(mirror,)) for mirror in site(make, registry) for _client in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert [name for name in fetched(registry) if name in digests(registry)] == digests(registry)


def test_a_peer_that_is_gone_is_missed_by_nobody(make: Make, registry: FakeRegistry) -> None:
    mirrors = site(make, registry)
    mirrors[1].stop()
    pull(mirrors[0], registry)
    pull(mirrors[2], registry)
    assert [name for name in fetched(registry) if name in digests(registry)] == digests(registry)


def test_with_the_upstream_gone_peers_have_what_one_of_them_fetched(make: Make, registry: FakeRegistry) -> None:
    mirrors = site(make, registry)
    pull(mirrors[0], registry)
    registry.fail("GET", ".", status=503, times=1000)
    registry.fail("HEAD", ".", status=503, times=1000)
    pull(mirrors[1], registry)


def test_own_content_is_found_on_the_peer_that_has_it(make: Make, registry: FakeRegistry) -> None:
    mirrors = site(make, registry)
    layout = Layout.open(str(mirrors[2].store))
    made = sample(layout, "registry.example.net/clusters/shop:1")
    layout.tag(Reference.parse("registry.sealer.local/team/own:1"), layout.resolve(made.reference))
    before = len(registry.seen)
    got = mirrors[0].get("/v2/team/own/manifests/1")
    assert got.status == 200
    assert got.headers["Docker-Content-Digest"] == str(layout.resolve(made.reference).digest)
    for digest in made.layers.values():
        assert mirrors[0].get(f"/v2/team/own/blobs/{digest}").status == 200
    assert len(registry.seen) == before
    assert mirrors[0].get("/v2/team/nothing/manifests/1", ns="registry.sealer.local").status == 404
    assert len(registry.seen) == before


def test_that_something_is_nowhere_is_asked_twice_at_most(make: Make, registry: FakeRegistry) -> None:
    """By the peer whose turn it is, and by the one that the client asked."""
    mirrors = site(make, registry)
    names = [mirror.url for mirror in mirrors]
    tag = next(
        f"none{number}"
        for number in range(100)
        if order_of_peers(Reference.parse(f"{NAME}/team/app:none{number}"), names)[2] == names[0]
    )
    assert mirrors[0].get(f"/v2/team/app/manifests/{tag}", ns=NAME).status == 404
    assert len(registry.seen) == 2


def test_a_tree(make: Make, registry: FakeRegistry) -> None:
    """The site asks the upstream, racks ask the site, nodes the racks."""
    root = make("root").start(pull_through="configured", upstreams=[upstream(registry.url)])
    racks = [make(f"rack{number}").start(parents=[neighbour(root)]) for number in range(2)]
    nodes = [make(f"node{number}").start(parents=[neighbour(racks[number % 2])]) for number in range(4)]
    for node in nodes:
        pull(node, registry)
    assert fetched(registry) == sorted([*digests(registry), "1"])


def test_a_parent_that_is_gone_is_passed_over(make: Make, registry: FakeRegistry) -> None:
    first, second = make("first"), make("second").start(pull_through="configured", upstreams=[upstream(registry.url)])
    child = make("child").start(parents=[neighbour(first), neighbour(second)])
    first.stop()
    pull(child, registry)


def test_a_site_below_another(make: Make, registry: FakeRegistry) -> None:
    root = make("root").start(pull_through="configured", upstreams=[upstream(registry.url)])
    mirrors = site(make, registry, parents=[neighbour(root)])
    for mirror in mirrors:
        pull(mirror, registry)
    assert [name for name in fetched(registry) if name in digests(registry)] == digests(registry)
    assert {seen.headers.get("Via", "") for seen in registry.seen} == {""}


def test_a_circle_of_parents_ends(make: Make, registry: FakeRegistry) -> None:
    one, other = make("one"), make("other")
    one.start(parents=[neighbour(other)])
    other.start(parents=[neighbour(one)])
    digest = digests(registry)[0]
    assert one.get("/v2/team/app/manifests/1", ns=NAME).status == 404
    assert other.get(f"/v2/team/app/blobs/{digest}", ns=NAME).status == 404


def test_a_circle_with_an_upstream_finds_it(make: Make, registry: FakeRegistry) -> None:
    one, other = make("one"), make("other")
    one.start(parents=[neighbour(other)], pull_through="configured", upstreams=[upstream(registry.url)])
    other.start(parents=[neighbour(one)])
    pull(other, registry)
    pull(one, registry)


def test_peers_that_know_different_peers_do_not_wait_for_each_other(
    make: Make, registry: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """As while a new list of peers is rolled out: each takes another one for the owner."""
    one, other = make("one"), make("other")
    names = {one: "http://10.0.0.1:1", other: "http://10.0.0.2:1"}
    for mirror, peer in ((one, other), (other, one)):
        mirror.start(
            pull_through="configured",
            upstreams=[upstream(registry.url)],
            peers=[neighbour(peer)],
            self_url=names[mirror],
        )

    def each_takes_the_other_for_the_owner(blob: Reference) -> bool:
        pairs = ((one, other), (other, one))
        return all(order_of_peers(blob, [names[mirror], peer.url])[0] == peer.url for mirror, peer in pairs)

    # of any two ports this is true for a quarter of all blobs
    added = [registry.add_blob("team/app", bytes([number])) for number in range(256)]
    blobs = [Reference.parse(f"{NAME}/team/app@{digest}") for digest in added]
    blob = next(filter(each_takes_the_other_for_the_owner, blobs))
    got = one.get(f"/v2/team/app/blobs/{blob.digest}", ns=NAME)
    assert got.body == registry.repositories["team/app"].blobs[str(blob.digest)]
    assert f"{blob} was asked for in a circle: one, other" in caplog.messages
    assert fetched(registry) == [str(blob.digest)]


def test_a_stale_tag_is_stale_all_the_way_down(make: Make, registry: FakeRegistry) -> None:
    root = make("root").start(pull_through="configured", upstreams=[upstream(registry.url)], tag_ttl=0)
    child = make("child").start(parents=[neighbour(root)], tag_ttl=0)
    got = child.get("/v2/team/app/manifests/1", ns=NAME)
    assert (got.status, got.headers.get("Warning")) == (200, None)
    registry.fail("HEAD", ".", status=503, times=1000)
    for _number in range(2):
        again = child.get("/v2/team/app/manifests/1", ns=NAME)
        assert (again.body, again.headers["Warning"]) == (got.body, '110 - "Response is Stale"')
