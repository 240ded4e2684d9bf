# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster image is put together in one way only and read strictly."""

from __future__ import annotations

import json
import pathlib
import random
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import (
    ClusterImage,
    ContainerImage,
    is_cluster_image,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Index,
    Platform,
    canonical_json,
)
from ansible_collections.sealer.cluster.tests.unit import sample_image

AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")


def entry(content: str, **more: t.Any) -> Descriptor:
    return Descriptor(media.OCI_MANIFEST, Digest.of(content.encode()), len(content), **more)


ROOTFS = [(AMD64, entry("rootfs amd64")), (ARM64, entry("rootfs arm64"))]
LOCKS = [(AMD64, entry("lock amd64", artifact_type=media.LOCK_V1)), (ARM64, entry("lock arm64"))]
IMAGES = [
    ContainerImage("quay.io/a/b:1", entry("b amd64", platform=AMD64), AMD64),
    ContainerImage("quay.io/a/b:1", entry("b arm64"), ARM64),
    ContainerImage("docker.io/library/a:1", entry("b amd64", annotations={"x": "y"}), AMD64),
]


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


def test_the_same_parts_in_any_order_give_the_same_bytes() -> None:
    chance = random.Random(1)
    raw = ClusterImage.assemble(rootfs=ROOTFS, locks=LOCKS, images=IMAGES)
    for _round in range(20):
        rootfs, locks = (chance.sample(part, len(part)) for part in (ROOTFS, LOCKS))
        images = chance.sample([*IMAGES, IMAGES[0]], len(IMAGES) + 1)
        assert ClusterImage.assemble(rootfs=rootfs, locks=locks, images=images) == raw


def test_a_plain_client_finds_nothing_but_the_root_file_system() -> None:
    raw = ClusterImage.assemble(rootfs=ROOTFS, locks=LOCKS, images=IMAGES)
    index = Index.parse(raw)
    assert is_cluster_image(index)
    assert canonical_json(json.loads(raw)) == raw
    told = [(item.annotations.get(media.ANNOTATION_KIND), str(item.platform)) for item in index.manifests]
    assert told == [
        ("rootfs", "linux/amd64"),
        ("rootfs", "linux/arm64"),
        ("lock", "None"),
        ("lock", "None"),
        ("container-image", "None"),
        ("container-image", "None"),
        ("container-image", "None"),
    ]
    assert all(not item.artifact_type for item in index.manifests)
    assert [item.annotations.get(media.ANNOTATION_REF) for item in index.manifests][4:] == [
        "docker.io/library/a:1",
        "quay.io/a/b:1",
        "quay.io/a/b:1",
    ]


@pytest.mark.parametrize(
    ("rootfs", "images", "why"),
    [
        ([*ROOTFS, (AMD64, entry("other"))], [], "two root file systems"),
        ([*ROOTFS, (Platform.parse("linux/arm64/v8"), entry("other"))], [], "two root file systems"),
        (ROOTFS, [*IMAGES, ContainerImage("quay.io/a/b:1", entry("other"), AMD64)], "two images for quay.io/a/b:1"),
    ],
)
def test_one_part_has_one_place(
    rootfs: list[tuple[Platform, Descriptor]], images: list[ContainerImage], why: str
) -> None:
    with pytest.raises(OciError, match=why):
        ClusterImage.assemble(rootfs=rootfs, locks=[], images=images)


def test_what_was_put_together_is_read_again(layout: Layout) -> None:
    sample = sample_image.sample(layout, "quay.io/t/cluster:1", labels={"a": "b"})
    image = ClusterImage.read(layout, sample.descriptor)
    blobs = {blob.digest: blob.size for blob in layout.reachable(sample.descriptor)}
    assert image.digest == sample.descriptor.digest
    assert image.size == sum(blobs.values())
    assert image.platforms == sorted(image.locks) == [AMD64, ARM64]
    assert image.labels["a"] == "b"
    assert image.description == sample_image.DESCRIPTION
    assert image.config(Platform.parse("linux/arm64/v8"))["architecture"] == "arm64"
    assert {item.reference for item in image.container_images} == set(sample_image.CONTAINER_IMAGES)
    with pytest.raises(OciError, match="has nothing for linux/s390x.*it has linux/amd64, linux/arm64"):
        image.config(Platform.parse("linux/s390x"))
    again = ClusterImage.assemble(
        rootfs=list(image.rootfs.items()), locks=list(image.locks.items()), images=image.container_images
    )
    assert again == layout.read_blob(image.digest)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"annotations": {media.ANNOTATION_KIND: "rootfs"}}, "says no platform"),
        ({"platform": AMD64}, "kind None has no place"),
        ({"platform": AMD64, "annotations": {media.ANNOTATION_KIND: "new"}}, "kind 'new' has no place"),
        ({"platform": AMD64, "annotations": {media.ANNOTATION_KIND: "container-image"}}, "has no place"),
        (
            {"annotations": {media.ANNOTATION_KIND: "lock", media.ANNOTATION_PLATFORM: "linux/amd64"}},
            "no root file system",
        ),
    ],
)
def test_an_index_with_strange_parts_is_refused(layout: Layout, item: dict[str, t.Any], why: str) -> None:
    raw = canonical_json(
        {
            "schemaVersion": 2,
            "annotations": {media.ANNOTATION_KIND: media.KIND_CLUSTER_IMAGE},
            "manifests": [entry("x", **item).to_json()],
        }
    )
    layout.put_bytes(raw)
    with pytest.raises(OciError, match=why):
        ClusterImage.read(layout, Index.parse(raw).descriptor())


def test_another_image_is_no_cluster_image(layout: Layout) -> None:
    manifest, _layer = sample_image.put_manifest(layout, "linux/amd64", {"f": b""})
    with pytest.raises(OciError, match="is not a cluster image"):
        ClusterImage.read(layout, manifest)
