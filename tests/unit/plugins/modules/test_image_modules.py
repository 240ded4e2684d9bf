# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that work on a store alone: the same answer in check and real mode, and nothing to do the second time."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.archive import save
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.modules.image_info import info
from ansible_collections.sealer.cluster.plugins.modules.image_load import load_images
from ansible_collections.sealer.cluster.plugins.modules.image_remove import remove
from ansible_collections.sealer.cluster.plugins.modules.image_save import save_image
from ansible_collections.sealer.cluster.plugins.modules.image_tag import tag
from ansible_collections.sealer.cluster.tests.unit.sample_image import PLATFORMS, Sample, put_container_image, sample

NAME = "registry.example/shop:1"
Answer = t.Dict[str, t.Any]


@pytest.fixture(name="store")
def fixture_store(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


@pytest.fixture(name="made")
def fixture_made(store: Layout) -> Sample:
    return sample(store, NAME)


def three_times(step: t.Callable[[bool], Answer]) -> Answer:
    """A step in check mode, for real, and again; gives the real answer."""
    checked, real, again = step(True), step(False), step(False)
    assert (checked["changed"], checked["diff"]) == (real["changed"], real["diff"])
    assert real["changed"]
    assert real["diff"]["before"] != real["diff"]["after"]
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"]
    return real


def blob_bytes(store: Layout) -> int:
    root = pathlib.Path(store.path) / "blobs"
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def test_info_tells_all_about_an_image(store: Layout, made: Sample) -> None:
    answer = info(store.path, NAME)
    image = answer["image"]
    assert answer["exists"]
    assert image["digest"] == str(made.descriptor.digest)
    assert image["size"] == blob_bytes(store)
    assert image["platforms"] == list(PLATFORMS) == list(image["rootfs"])
    assert image["runtime"] == "kubeadm"
    assert image["labels"]["io.sealer.runtime.version"] == "v1.35.4"
    assert image["description"]["schemaVersion"] == 1
    assert [(one["reference"], one["platform"]) for one in image["container_images"]] == [
        (name, platform)
        for name in ("docker.io/library/web:1.0", "registry.k8s.io/pause:3.10.1")
        for platform in PLATFORMS
    ]
    assert info(store.path, None)["images"] == [image]


def test_info_about_a_container_image(store: Layout, made: Sample) -> None:
    _images, index = put_container_image(store, "registry.example/tool:1", PLATFORMS, 100)
    store.tag(Reference.parse("registry.example/tool:1"), index)
    image = info(store.path, "registry.example/tool:1")["image"]
    assert (image["kind"], image["platforms"], image["runtime"]) == ("container-image", list(PLATFORMS), None)
    assert [one["name"] for one in info(store.path, None)["images"]] == [str(made.reference), "registry.example/tool:1"]


def test_info_of_one_platform_shows_that_only(made: Sample, tmp_path: pathlib.Path) -> None:
    far = Layout.open(str(tmp_path / "far"), create=True)
    other = sample(far, "registry.example/other:1")
    assert other.descriptor.digest == made.descriptor.digest
    far.untag(other.reference)
    far.tag(Reference.parse(NAME), made.descriptor, [Platform.parse("linux/arm64")])
    far.prune()
    image = info(far.path, NAME)["image"]
    assert image["platforms"] == ["linux/arm64"] == list(image["rootfs"])
    assert {one["platform"] for one in image["container_images"]} == {"linux/arm64"}
    assert image["runtime"] == "kubeadm"


@pytest.mark.parametrize("name", [NAME, None])
def test_info_without_a_store(tmp_path: pathlib.Path, name: t.Optional[str]) -> None:
    answer = info(str(tmp_path / "none"), name)
    assert answer["images"] == []
    assert answer.get("exists", False) is False
    assert "image" not in answer


def test_tag(store: Layout, made: Sample) -> None:
    answer = three_times(lambda check: tag(store, NAME, ["other:2", "quay.io/a/b"], check))
    assert answer["image"]["digest"] == str(made.descriptor.digest)
    assert set(answer["diff"]["after"]) == {"docker.io/library/other:2", "quay.io/a/b:latest"}
    assert store.names()["quay.io/a/b:latest"].digest == made.descriptor.digest


def test_tag_takes_a_name_from_another_image(store: Layout, made: Sample) -> None:
    other = sample(store, "registry.example/shop:2", seed="2")
    answer = three_times(lambda check: tag(store, NAME, ["registry.example/shop:2"], check))
    assert answer["diff"]["before"]["registry.example/shop:2"]["digest"] == str(other.descriptor.digest)
    assert store.names()["registry.example/shop:2"].digest == made.descriptor.digest


def test_tag_what_is_not_there(store: Layout, made: Sample) -> None:
    with pytest.raises(OciError, match=f"shop:11 is not in the store.*{made.reference}"):
        tag(store, "registry.example/shop:11", ["x"], True)


def test_remove_frees_what_nobody_else_needs(store: Layout, made: Sample) -> None:
    alone = blob_bytes(store)
    sample(store, "registry.example/shop:2", seed="2")
    both = blob_bytes(store)
    answer = three_times(lambda check: remove(store, ["registry.example/shop:2"], True, check))
    assert answer["removed"] == ["registry.example/shop:2"]
    assert answer["bytes_freed"] == both - alone
    assert blob_bytes(store) == alone
    assert store.verify() == []
    assert info(store.path, NAME)["image"]["digest"] == str(made.descriptor.digest)


def test_remove_one_of_two_names(store: Layout, made: Sample) -> None:
    store.tag(Reference.parse("other:1"), made.descriptor)
    answer = three_times(lambda check: remove(store, [NAME], True, check))
    assert answer["bytes_freed"] == 0
    assert info(store.path, "other:1")["exists"]


def test_remove_without_prune_keeps_the_blobs(store: Layout, made: Sample) -> None:
    before = blob_bytes(store)
    three_times(lambda check: remove(store, [str(made.reference)], False, check))
    assert blob_bytes(store) == before
    answer = three_times(lambda check: remove(store, [], True, check))
    assert answer["bytes_freed"] == before
    assert blob_bytes(store) == 0


@pytest.mark.parametrize("check_mode", [True, False])
def test_remove_a_part_of_an_image_is_refused(store: Layout, made: Sample, check_mode: bool) -> None:
    with pytest.raises(OciError, match="belongs to a cluster image"):
        remove(store, [NAME, "registry.k8s.io/pause:3.10.1"], True, check_mode)
    assert made.reference.tag == "1"
    assert info(store.path, NAME)["exists"]


def test_remove_from_no_store() -> None:
    assert not remove(None, [NAME], True, False)["changed"]


def test_save(store: Layout, made: Sample, tmp_path: pathlib.Path) -> None:
    dest = tmp_path / "shop.tar"
    answer = three_times(lambda check: save_image(store, NAME, str(dest), False, check))
    assert answer["size"] == dest.stat().st_size
    assert answer["diff"] == {"before": {}, "after": {NAME: str(made.descriptor.digest)}}
    first = dest.read_bytes()
    forced = save_image(store, NAME, str(dest), True, False)
    assert forced["changed"]
    assert dest.read_bytes() == first


def other_image(store: Layout, dest: pathlib.Path) -> None:
    other = sample(store, "registry.example/shop:2", seed="2")
    save(store, other.descriptor, other.reference, str(dest))


def other_name(store: Layout, dest: pathlib.Path) -> None:
    save(store, store.names()[NAME], Reference.parse("registry.example/shop:2"), str(dest))


def cut_off(store: Layout, dest: pathlib.Path) -> None:
    save(store, store.names()[NAME], Reference.parse(NAME), str(dest))
    os.truncate(dest, dest.stat().st_size - 12000)


def no_archive(store: Layout, dest: pathlib.Path) -> None:
    dest.write_bytes(store.path.encode())


@pytest.mark.parametrize("prepare", [other_image, other_name, cut_off, no_archive])
def test_save_replaces_what_is_not_the_image(
    store: Layout, made: Sample, tmp_path: pathlib.Path, prepare: t.Callable[[Layout, pathlib.Path], None]
) -> None:
    dest = tmp_path / "shop.tar"
    prepare(store, dest)
    three_times(lambda check: save_image(store, str(made.reference), str(dest), False, check))


@pytest.mark.parametrize(("dest", "why"), [("", "it is a directory"), ("none/x.tar", "its directory does not exist")])
@pytest.mark.parametrize("check_mode", [True, False])
def test_save_where_it_cannot_be(
    store: Layout, made: Sample, tmp_path: pathlib.Path, dest: str, why: str, check_mode: bool
) -> None:
    with pytest.raises(OciError, match=why):
        save_image(store, str(made.reference), str(tmp_path / dest), False, check_mode)


@pytest.mark.parametrize("name", [None, "other:1"])
def test_load(store: Layout, made: Sample, tmp_path: pathlib.Path, name: t.Optional[str]) -> None:
    archive, far = str(tmp_path / "shop.tar"), str(tmp_path / "far")
    save(store, made.descriptor, made.reference, archive)
    answer = three_times(lambda check: load_images(far, archive, name, check))
    given = "docker.io/library/other:1" if name else NAME
    assert answer["image"]["name"] == given
    assert answer["image"]["digest"] == str(made.descriptor.digest)
    assert Layout.open(far).verify() == []


def test_load_in_check_mode_makes_no_store(store: Layout, made: Sample, tmp_path: pathlib.Path) -> None:
    archive, far = str(tmp_path / "shop.tar"), tmp_path / "far"
    save(store, made.descriptor, made.reference, archive)
    answer = load_images(str(far), archive, None, True)
    assert answer["image"] == {"name": NAME, "digest": str(made.descriptor.digest)}
    assert not far.exists()


def test_load_repairs_what_is_not_whole(store: Layout, made: Sample, tmp_path: pathlib.Path) -> None:
    archive = str(tmp_path / "shop.tar")
    save(store, made.descriptor, made.reference, archive)
    os.unlink(store.blob_path(made.layers["linux/arm64"]))
    answer = three_times(lambda check: load_images(store.path, archive, None, check))
    assert answer["diff"]["before"][NAME]["whole"] is False
    assert store.verify() == []
