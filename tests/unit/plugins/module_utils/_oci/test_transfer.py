# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import re
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import Cancelled, RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Index, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.retry import RetryPolicy
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import pull, pull_image, pull_images, push
from ansible_collections.sealer.cluster.plugins.module_utils._oci.workers import in_parallel
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry, Gate
from ansible_collections.sealer.cluster.tests.unit.sample_image import Sample, noise, sample

Make = t.Callable[..., FakeRegistry]
POLICY = RetryPolicy(attempts=4, sleep=lambda _wait, _cancel: None)
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


class Meter(NullProgress):
    """Adds up what progress is told."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sums = {"bytes": 0, "total": 0, "items": 0, "items_total": 0}

    def total(self, size: int, items: int) -> None:
        with self.lock:
            self.sums["total"] += size
            self.sums["items_total"] += items

    def add(self, size: int) -> None:
        with self.lock:
            self.sums["bytes"] += size

    def item(self, name: str) -> None:
        with self.lock:
            self.sums["items"] += bool(name)

    def complete(self) -> bool:
        return (self.sums["bytes"], self.sums["items"]) == (self.sums["total"], self.sums["items_total"])


def client_of(*registries: FakeRegistry, **more: t.Any) -> RegistryClient:
    return RegistryClient([RegistrySettings(one.host, insecure=True, **more) for one in registries], policy=POLICY)


def store(tmp_path: pathlib.Path, name: str = "store") -> Layout:
    return Layout.open(str(tmp_path / name), create=True)


def pushed(tmp_path: pathlib.Path, registry: FakeRegistry) -> t.Tuple[Layout, Sample]:
    """A sample image in a store and in the registry."""
    source = store(tmp_path, "source")
    made = sample(source, f"{registry.host}/clusters/one:1")
    push(client_of(registry), source, made.descriptor, made.reference)
    registry.seen.clear()
    return source, made


def sizes(layout: Layout, made: Sample) -> int:
    return sum(part.size for part in layout.reachable(made.descriptor))


class TestPull:
    def test_whole_cluster_image(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source, made = pushed(tmp_path, registry)
        target, meter = store(tmp_path), Meter()
        result = pull(client_of(registry), target, made.reference, progress=meter)
        assert result.descriptor.digest == made.descriptor.digest
        assert target.read_blob(made.descriptor.digest) == source.read_blob(made.descriptor.digest)
        assert (target.verify(), target.names()) == ([], source.names())
        assert result.stats.bytes_downloaded == sizes(source, made)
        assert meter.complete()

    def test_a_store_that_has_all_makes_one_request(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source, made = pushed(tmp_path, registry)
        result = pull(client_of(registry), source, made.reference)
        assert [(seen.method, seen.path) for seen in registry.seen if seen.path != "/v2/"] == [
            ("GET", "/v2/clusters/one/manifests/1")
        ]
        assert result.stats.bytes_downloaded == made.descriptor.size

    def test_a_pinned_image_that_is_there_makes_none(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source, made = pushed(tmp_path, registry)
        pull(client_of(registry), source, made.reference.with_digest(made.descriptor.digest))
        assert not registry.seen

    def test_one_platform(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        _source, made = pushed(tmp_path, registry)
        target = store(tmp_path)
        pull(client_of(registry), target, made.reference, [ARM64])
        assert [target.has(made.layers[name]) for name in ("linux/amd64", "linux/arm64")] == [False, True]
        assert (target.verify(), target.missing(target.resolve(made.reference))) == ([], [])
        result = pull(client_of(registry), target, made.reference, [AMD64])
        assert target.has(made.layers["linux/amd64"])
        assert result.stats.bytes_reused > 0

    def test_absent_platform(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        _source, made = pushed(tmp_path, registry)
        target = store(tmp_path)
        with pytest.raises(OciError) as caught:
            pull(client_of(registry), target, made.reference, [AMD64, Platform("linux", "s390x")])
        assert str(caught.value) == (
            f"{made.reference}: the image is not made for linux/s390x: it is made for linux/amd64, linux/arm64. "
            "Ask for one of these, or name another image."
        )
        assert not target.names()

    def test_nothing_is_named_before_all_is_there(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        _source, made = pushed(tmp_path, registry)
        registry.fail("GET", str(made.layers["linux/arm64"]), times=-1, status=404)
        target = store(tmp_path)
        with pytest.raises(RegistryError, match="cannot fetch a blob: .* answered 404"):
            pull(client_of(registry), target, made.reference)
        assert (target.names(), target.verify()) == ({}, [])
        registry.faults.clear()
        pull(client_of(registry), target, made.reference)
        assert target.missing(target.resolve(made.reference)) == []

    def test_a_damaged_partial_is_fetched_anew(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source, made = pushed(tmp_path, registry)
        target, meter, layer = store(tmp_path), Meter(), made.layers["linux/amd64"]
        with target.writer(layer) as writer:
            writer.write(b"not its first bytes")
        pull(client_of(registry), target, made.reference, progress=meter)
        assert target.read_blob(layer) == source.read_blob(layer)
        assert meter.complete()

    def test_wrong_bytes_of_a_mirror_come_from_the_registry(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry, mirror = fake_registry(), fake_registry()
        _source, made = pushed(tmp_path, registry)
        mirror.repositories = registry.repositories
        mirror.fail("GET", "blobs", times=-1, wrong_bytes=True)
        client = RegistryClient(
            [
                RegistrySettings(registry.host, insecure=True, mirrors=(mirror.host,)),
                RegistrySettings(mirror.host, insecure=True),
            ],
            policy=POLICY,
        )
        target = store(tmp_path)
        pull(client, target, made.reference)
        assert target.verify() == []
        assert mirror.requests("GET", "blobs")

    def test_wrong_bytes_of_the_registry_end_it(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        _source, made = pushed(tmp_path, registry)
        registry.fail("GET", "blobs", times=-1, wrong_bytes=True)
        target = store(tmp_path)
        with pytest.raises(DigestMismatch, match="or something on the way to it, changed the content"):
            pull(client_of(registry), target, made.reference)
        assert target.verify() == []

    def test_child_document_of_another_size(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        digest = registry.add_image("a", "x", [b"layer"])
        registry.add_index("a", "1", {"amd64": digest})
        media_type, raw = registry.repository("a").manifests[registry.repository("a").tags["1"]]
        wrong = re.sub(rb'"size": (\d+)', rb'"size": 1\1', raw)
        registry.add_manifest("a", wrong, media_type, "1")
        with pytest.raises(DigestMismatch, match="has the wrong size"):
            pull(client_of(registry), store(tmp_path), Reference.parse(f"{registry.host}/a:1"))

    def test_blobs_come_in_parallel_across_images_and_layers(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        wanted = []
        for number in range(8):
            registry.add_image(f"app{number}", "1", [noise(f"{number}", 2000)])
            wanted.append((Reference.parse(f"{registry.host}/app{number}:1"), AMD64))
        registry.gate = Gate(6)
        found = pull_images(client_of(registry), store(tmp_path), wanted, parallel=8)
        assert 6 <= registry.gate.peak <= 8
        assert len({image.manifest.digest for image in found}) == 8

    def test_never_more_at_once_than_allowed(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        registry.add_image("app", "1", [noise(f"{number}", 2000) for number in range(12)])
        registry.gate = Gate(3)
        pull(client_of(registry), store(tmp_path), Reference.parse(f"{registry.host}/app:1"), parallel=3)
        assert registry.gate.peak == 3


class TestContainerImages:
    def test_one_platform_of_an_index(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        digests = {name: registry.add_image("app", "", [name.encode()], name) for name in ("amd64", "arm64")}
        index = registry.add_index("app", "1", digests)
        reference = Reference.parse(f"{registry.host}/app:1")
        target, meter = store(tmp_path), Meter()
        found = pull_image(client_of(registry), target, reference, Platform("linux", "arm64", "v8"), progress=meter)
        assert (str(found.manifest.digest), found.reference) == (digests["arm64"], reference)
        assert found.index is not None
        assert str(found.index.digest) == index
        assert isinstance(target.read_document(found.index), Index)
        assert [target.has(Digest.of(data)) for data in (b"amd64", b"arm64")] == [False, True]
        assert (target.names(), meter.complete()) == ({}, True)

    def test_a_single_manifest_has_to_be_for_the_platform(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        registry.add_image("app", "1", [b"x"], "amd64")
        reference = Reference.parse(f"{registry.host}/app:1")
        assert pull_image(client_of(registry), store(tmp_path), reference, AMD64).index is None
        with pytest.raises(OciError, match="the image is not made for linux/arm64: it is made for linux/amd64"):
            pull_image(client_of(registry), store(tmp_path), reference, ARM64)

    def test_a_shared_layer_comes_once(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        shared = noise("shared", 5000)
        for name in ("a", "b"):
            registry.add_image(name, "1", [shared, name.encode()])
        wanted = [(Reference.parse(f"{registry.host}/{name}:1"), AMD64) for name in ("a", "b")]
        pull_images(client_of(registry), store(tmp_path), wanted)
        assert len(registry.requests("GET", f"blobs/{Digest.of(shared)}")) == 1


class TestPush:
    def test_children_before_parents_and_the_tag_last(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry, meter = fake_registry(), Meter()
        source = store(tmp_path)
        made = sample(source, f"{registry.host}/clusters/one:1")
        result = push(client_of(registry), source, made.descriptor, made.reference, progress=meter)
        puts = [seen.path.rpartition("/")[2] for seen in registry.requests("PUT", "manifests")]
        assert puts[-2:] == [str(made.descriptor.digest), "1"]
        assert len(puts) == len(set(puts)) == len(registry.repository("clusters/one").manifests) + 1
        assert (result.pushed, result.mounted, result.skipped) == (sizes(source, made), 0, 0)
        kept = registry.repository("clusters/one")
        assert all(
            kept.manifests.get(str(part.digest), ("", b""))[1] == source.read_blob(part.digest)
            or kept.blobs.get(str(part.digest)) == source.read_blob(part.digest)
            for part in source.reachable(made.descriptor)
        )
        assert meter.complete()

    def test_second_time_sends_nothing(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source, made = pushed(tmp_path, registry)
        result = push(client_of(registry), source, made.descriptor, made.reference)
        assert [seen.method for seen in registry.seen if seen.path != "/v2/"] == ["HEAD"]
        assert (result.pushed, result.mounted, result.skipped) == (0, 0, sizes(source, made))

    def test_another_tag_sends_no_blob(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source, made = pushed(tmp_path, registry)
        push(client_of(registry), source, made.descriptor, made.reference.with_tag("2"))
        assert not registry.requests("POST") + registry.requests("PATCH")
        assert registry.repository("clusters/one").tags["2"] == str(made.descriptor.digest)

    def test_only_what_changed_goes_over(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source, _made = pushed(tmp_path, registry)
        other = sample(
            source, f"{registry.host}/clusters/one:2", seed="another", platforms=("linux/amd64", "linux/arm64")
        )
        push(client_of(registry), source, other.descriptor, other.reference)
        uploads = {seen.query["digest"] for seen in registry.requests("PUT", "blobs")}
        assert {str(layer) for layer in other.layers.values()} <= uploads
        assert len(uploads) == 4

    def test_another_repository_mounts(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source, made = pushed(tmp_path, registry)
        result = push(client_of(registry), source, made.descriptor, Reference.parse(f"{registry.host}/clusters/two:1"))
        assert not registry.requests("PUT", "blobs")
        assert result.mounted > 0

    def test_a_sparse_image_cannot_be_pushed(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry, other = fake_registry(), fake_registry()
        _source, made = pushed(tmp_path, registry)
        target = store(tmp_path)
        pull(client_of(registry), target, made.reference, [AMD64])
        with pytest.raises(OciError, match="the image is not whole in the store: neither .* Pull it for all"):
            push(client_of(other), target, made.descriptor, Reference.parse(f"{other.host}/clusters/one:1"))
        assert not other.repository("clusters/one").tags

    def test_what_the_registry_has_need_not_be_here(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        _source, made = pushed(tmp_path, registry)
        target = store(tmp_path)
        pull(client_of(registry), target, made.reference, [AMD64])
        push(client_of(registry), target, made.descriptor, made.reference.with_tag("2"))
        assert registry.repository("clusters/one").tags["2"] == str(made.descriptor.digest)

    def test_one_failure_ends_it_without_a_tag(self, fake_registry: Make, tmp_path: pathlib.Path) -> None:
        registry = fake_registry()
        source = store(tmp_path)
        made = sample(source, f"{registry.host}/clusters/one:1")
        registry.fail("POST", "uploads", times=-1, status=403)
        with pytest.raises(RegistryError, match="cannot upload a blob: POST .* answered 403"):
            push(client_of(registry), source, made.descriptor, made.reference)
        assert not registry.requests("PUT", "manifests")

    def test_a_digest_cannot_be_chosen(self, tmp_path: pathlib.Path) -> None:
        source = store(tmp_path)
        made = sample(source, "r.example/a:1")
        with pytest.raises(OciError, match="a digest cannot be chosen"):
            push(RegistryClient(), source, made.descriptor, made.reference.with_digest(Digest.of(b"")))


class TestWorkers:
    def test_results_in_order(self) -> None:
        assert in_parallel(lambda number: number * 2, range(50), 4, threading.Event()) == [2 * one for one in range(50)]

    def test_the_failure_that_began_it_is_raised(self) -> None:
        cancel, began = threading.Event(), []

        def work(number: int) -> None:
            began.append(number)
            if number == 1:
                raise KeyError("first")
            if not cancel.wait(20):
                raise AssertionError("was not told to stop")
            raise Cancelled("stopped")

        with pytest.raises(KeyError, match="first"):
            in_parallel(work, range(100), 2, cancel)
        assert len(began) < 100
