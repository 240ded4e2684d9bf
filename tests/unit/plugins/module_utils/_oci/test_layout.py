# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store: blobs, names, what belongs to an image, prune and verify."""

from __future__ import annotations

import json
import os
import pathlib
import stat

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Platform, canonical_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit import sample_image

NAME = Reference.parse("quay.io/t/cluster:1")
PAUSE, WEB = (Reference.parse(name) for name in sample_image.CONTAINER_IMAGES)
AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


def partials(layout: Layout) -> list[str]:
    return [path.name for path in pathlib.Path(layout.path).rglob(".*.partial")]


def remove(layout: Layout, digest: Digest) -> None:
    os.unlink(layout.blob_path(digest))


def modes(path: str) -> set[int]:
    return {stat.S_IMODE(found.lstat().st_mode) for found in [pathlib.Path(path), *pathlib.Path(path).rglob("*")]}


def test_a_new_store_is_a_layout_that_everybody_may_read(tmp_path: pathlib.Path) -> None:
    before = os.umask(0o077)
    try:
        layout = Layout.open(str(tmp_path / "a" / "b"), create=True)
        sample_image.sample(layout, str(NAME))
    finally:
        os.umask(before)
    assert json.loads((tmp_path / "a/b/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert modes(str(tmp_path / "a")) == {0o644, 0o755}
    assert Layout.open(str(tmp_path / "a/b")).verify() == []


@pytest.mark.parametrize(
    ("files", "create", "why"),
    [
        ({}, False, "there is no image store"),
        ({"notes": "x"}, True, "directory is not an image store: it holds notes"),
        ({"oci-layout": '{"imageLayoutVersion":"2.0"}', "index.json": "{}"}, True, "version '2.0' is not known"),
        ({"oci-layout": "{", "index.json": "{}"}, False, "not valid JSON"),
    ],
)
def test_what_is_no_store_is_not_opened(tmp_path: pathlib.Path, files: dict[str, str], create: bool, why: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(OciError, match=why):
        Layout.open(str(tmp_path), create=create)
    assert sorted(os.listdir(tmp_path)) == sorted(files)


def test_a_half_made_store_is_finished(layout: Layout) -> None:
    os.unlink(os.path.join(layout.path, "index.json"))
    pathlib.Path(layout.path, ".index.json.partial").write_text("{")
    assert not Layout.exists(layout.path)
    assert Layout.open(layout.path, create=True).names() == {}


def test_the_default_store_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEALER_STORE", "/somewhere")
    assert default_store() == "/somewhere"
    monkeypatch.delenv("SEALER_STORE")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert default_store() == "/var/lib/sealer/store"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_store() == "/home/somebody/.local/share/sealer/store"


def test_bytes_come_back(layout: Layout) -> None:
    digest = layout.put_bytes(b"content")
    assert layout.put_bytes(b"content") == digest == Digest.of(b"content")
    assert layout.has(digest) and layout.has(digest, 7) and not layout.has(digest, 8)
    assert layout.read_blob(digest) == b"content"
    with layout.open_blob(digest) as stream:
        assert stream.read() == b"content"
    with pytest.raises(OciError, match="too large"):
        layout.read_blob(digest, limit=6)
    with pytest.raises(OciError, match="not in the store"):
        layout.read_blob(Digest.of(b"other"))


def test_a_spoilt_blob_is_not_read(layout: Layout) -> None:
    digest = layout.put_bytes(b"content")
    pathlib.Path(layout.blob_path(digest)).write_bytes(b"cOntent")
    with pytest.raises(DigestMismatch):
        layout.read_blob(digest)
    assert [str(digest) in problem for problem in layout.verify()] == [True]


def test_a_blob_cut_short_is_written_again(layout: Layout) -> None:
    digest = layout.put_bytes(b"content")
    pathlib.Path(layout.blob_path(digest)).write_bytes(b"con")
    assert layout.put_bytes(b"content") == digest
    assert layout.read_blob(digest) == b"content"


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_a_broken_off_write_is_taken_up(layout: Layout, algorithm: str) -> None:
    digest = Digest.of(b"0123456789", algorithm)
    with layout.writer(digest, 10) as writer:
        writer.write(b"0123")
    assert not layout.has(digest)
    with layout.writer(digest, 10) as writer:
        assert (writer.offset, writer.done) == (4, False)
        writer.write(memoryview(b"456789"))
        writer.commit()
    assert layout.read_blob(digest) == b"0123456789"
    with layout.writer(digest, 10) as writer:
        assert writer.done
        writer.commit()
    assert partials(layout) == []


@pytest.mark.parametrize("rest", [b"XXXX", b"0123456789ABC"])
def test_a_wrong_rest_is_thrown_away(layout: Layout, rest: bytes) -> None:
    digest = Digest.of(b"0123456789")
    with layout.writer(digest) as writer:
        writer.write(rest)
    with layout.writer(digest, 10) as writer, pytest.raises(DigestMismatch):
        writer.write(b"456789")
        writer.write(b"0123")
        writer.commit()
    assert partials(layout) == []
    assert not layout.has(digest)


def test_a_write_can_begin_anew_or_be_given_up(layout: Layout) -> None:
    digest = Digest.of(b"right")
    with layout.writer(digest, 5) as writer:
        writer.write(b"wro")
        writer.restart()
        assert writer.offset == 0
        writer.write(b"right")
        writer.discard()
        with pytest.raises(OciError, match="not open"):
            writer.write(b"x")
    with layout.writer(digest, 5):
        pass
    assert partials(layout) == []
    assert not layout.has(digest)


def test_too_few_bytes_are_no_blob(layout: Layout) -> None:
    with layout.writer(Digest.of(b"12"), 2) as writer, pytest.raises(DigestMismatch, match="wrong size"):
        writer.write(b"1")
        writer.commit()


def test_a_cluster_image_brings_the_names_of_its_container_images(layout: Layout) -> None:
    sample = sample_image.sample(layout, str(NAME))
    assert list(layout.names()) == [str(NAME), str(WEB), str(PAUSE)]
    assert layout.names()[str(NAME)].annotations[media.ANNOTATION_KIND] == media.KIND_CLUSTER_IMAGE
    assert layout.resolve(PAUSE).media_type == media.OCI_INDEX
    assert layout.resolve(WEB).media_type == media.DOCKER_LIST
    assert layout.tag(NAME, sample.descriptor) is False
    assert layout.untag(NAME) is True
    assert layout.names() == {}
    assert layout.untag(NAME) is False


def test_users_names_win_and_stay(layout: Layout) -> None:
    own, _layer = sample_image.put_manifest(layout, "linux/amd64", {"own": b"x"})
    layout.tag(PAUSE, own)
    sample_image.sample(layout, str(NAME))
    assert layout.resolve(PAUSE).digest == own.digest
    layout.untag(PAUSE)
    assert layout.resolve(PAUSE).media_type == media.OCI_INDEX
    with pytest.raises(OciError, match="belongs to a cluster image"):
        layout.untag(PAUSE)
    layout.tag(PAUSE, own)
    layout.untag(NAME)
    assert list(layout.names()) == [str(PAUSE)]


def test_without_the_upstreams_index_a_name_means_the_manifest(layout: Layout) -> None:
    sample_image.sample(layout, str(NAME), platforms=["linux/amd64"])
    manifest = layout.read_document(layout.resolve(PAUSE)).children[0]
    remove(layout, layout.resolve(PAUSE).digest)
    layout.tag(NAME.with_tag("2"), manifest)
    assert layout.resolve(PAUSE).digest == manifest.digest


def test_a_digest_is_found_under_its_repository_only(layout: Layout) -> None:
    sample_image.sample(layout, str(NAME))
    index = layout.resolve(PAUSE)
    child = layout.read_document(index).children[0]
    for digest in (index.digest, child.digest):
        for text in (f"registry.k8s.io/pause@{digest}", f"registry.k8s.io/pause:other@{digest}"):
            found = layout.find(Reference.parse(text))
            assert found is not None and found.digest == digest
        assert layout.find(Reference.parse(f"registry.k8s.io/paus@{digest}")) is None
    assert layout.find(Reference.parse(f"registry.k8s.io/pause@{Digest.of(b'no')}")) is None


def test_a_name_that_is_not_there_comes_with_near_ones(layout: Layout) -> None:
    sample_image.sample(layout, str(NAME))
    with pytest.raises(OciError, match="pause:3.10 is not in the store: there is registry.k8s.io/pause:3.10.1"):
        layout.resolve(Reference.parse("registry.k8s.io/pause:3.10"))


def test_nothing_is_named_that_is_not_whole(layout: Layout) -> None:
    sample = sample_image.sample(layout, str(NAME))
    before = pathlib.Path(layout.path, "index.json").read_bytes()
    remove(layout, sample.layers["linux/arm64"])
    with pytest.raises(OciError, match="1 of its blobs are missing"):
        layout.tag(NAME.with_tag("2"), sample.descriptor)
    with pytest.raises(OciError, match="cannot name"):
        layout.tag(NAME.with_digest(Digest.of(b"no")), sample.descriptor)
    assert pathlib.Path(layout.path, "index.json").read_bytes() == before
    assert [str(sample.layers["linux/arm64"]) in problem for problem in layout.verify()] == [True]


def test_a_cluster_image_may_be_here_for_some_platforms(layout: Layout, tmp_path: pathlib.Path) -> None:
    whole = Layout.open(str(tmp_path / "whole"), create=True)
    sample = sample_image.sample(whole, str(NAME))

    def bring(platform: str) -> None:
        wanted = Descriptor(
            media.OCI_INDEX, sample.descriptor.digest, sample.descriptor.size, {media.ANNOTATION_PLATFORM: platform}
        )
        for blob in whole.reachable(wanted):
            layout.put_bytes(whole.read_blob(blob.digest))

    bring("linux/amd64")
    with pytest.raises(OciError, match="not whole"):
        layout.tag(NAME, sample.descriptor)
    layout.tag(NAME, sample.descriptor, platforms=[AMD64])
    assert layout.resolve(NAME).annotations[media.ANNOTATION_PLATFORM] == "linux/amd64"
    assert layout.verify() == [] and layout.prune() == []
    layout.tag(NAME.with_tag("2"), layout.resolve(NAME))
    assert layout.resolve(NAME.with_tag("2")).annotations[media.ANNOTATION_PLATFORM] == "linux/amd64"
    bring("linux/arm64")
    layout.tag(NAME, sample.descriptor, platforms=[ARM64])
    assert media.ANNOTATION_PLATFORM not in layout.resolve(NAME).annotations
    assert layout.verify() == []


def test_what_belongs_to_an_image_comes_once_and_children_first(layout: Layout) -> None:
    sample = sample_image.sample(layout, str(NAME))
    order = [blob.digest for blob in layout.reachable(sample.descriptor)]
    assert len(order) == len(set(order)) == len(os.listdir(os.path.join(layout.path, "blobs/sha256")))
    assert order[-1] == sample.descriptor.digest
    seen: set[Digest] = set()
    for blob in layout.reachable(sample.descriptor):
        seen.add(blob.digest)
        if blob.media_type in media.DOCUMENT_TYPES:
            inside = [child.digest for child in layout.read_document(blob).children]
            assert all(child in seen for child in inside if layout.has(child)) or blob.digest in inside


def test_an_ordinary_index_may_be_sparse_and_foreign_layers_stay_out(layout: Layout) -> None:
    manifest, _layer = sample_image.put_manifest(layout, "linux/amd64", {"f": b"x"})
    config = layout.put_bytes(b"{}")
    absent = Descriptor(media.OCI_MANIFEST, Digest.of(b"absent"), 6)
    foreign = Descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Digest.of(b"far"), 3)
    other = canonical_json(
        {
            "schemaVersion": 2,
            "config": Descriptor(media.OCI_CONFIG, config, 2).to_json(),
            "layers": [foreign.to_json()],
        }
    )
    entries = [manifest, absent, Descriptor(media.OCI_MANIFEST, layout.put_bytes(other), len(other))]
    raw = canonical_json({"schemaVersion": 2, "manifests": [entry.to_json() for entry in entries]})
    index = Descriptor(media.OCI_INDEX, layout.put_bytes(raw), len(raw))
    layout.tag(NAME, index)
    assert {absent.digest, foreign.digest}.isdisjoint(blob.digest for blob in layout.reachable(index))
    assert layout.verify() == [] and layout.prune() == []


def test_prune_takes_what_no_name_reaches(layout: Layout) -> None:
    sample = sample_image.sample(layout, str(NAME))
    stray = layout.put_bytes(b"stray")
    with layout.writer(Digest.of(b"rest"), 4) as writer:
        writer.write(b"re")
    pathlib.Path(layout.path, "blobs/sha256/not-ours").write_text("x")
    told = layout.prune(dry_run=True)
    assert sorted((item.digest, item.size, item.partial) for item in told) == sorted(
        [(stray, 5, False), (Digest.of(b"rest"), 2, True)]
    )
    assert layout.has(stray)
    assert layout.prune() == told
    assert (layout.prune(), partials(layout), layout.has(stray)) == ([], [], False)
    assert pathlib.Path(layout.path, "blobs/sha256/not-ours").exists()
    assert layout.verify() == []
    layout.untag(NAME)
    assert sample.descriptor.digest in {item.digest for item in layout.prune()}
    assert os.listdir(os.path.join(layout.path, "blobs/sha256")) == ["not-ours"]


def test_prune_inside_a_session_is_refused_instead_of_waiting_for_itself(layout: Layout) -> None:
    with layout.session(), layout.session(), pytest.raises(OciError, match="inside a session"):
        layout.prune()
    assert layout.prune() == []


def test_prune_stops_at_a_name_that_it_cannot_follow(layout: Layout) -> None:
    sample = sample_image.sample(layout, str(NAME))
    pathlib.Path(layout.blob_path(sample.descriptor.digest)).write_bytes(b"{}")
    before = sorted(os.listdir(os.path.join(layout.path, "blobs/sha256")))
    with pytest.raises(OciError):
        layout.prune()
    assert sorted(os.listdir(os.path.join(layout.path, "blobs/sha256"))) == before


def test_what_others_wrote_into_the_index_stays(layout: Layout) -> None:
    manifest, _layer = sample_image.put_manifest(layout, "linux/amd64", {"f": b"x"})
    path = pathlib.Path(layout.path, "index.json")
    unnamed = {**manifest.to_json(), "x-more": [1]}
    path.write_text(json.dumps({"schemaVersion": 2, "annotations": {"a": "b"}, "manifests": [unnamed]}))
    assert layout.names() == {}
    layout.tag(NAME, manifest)
    written = json.loads(path.read_text())
    assert written["annotations"] == {"a": "b"}
    assert written["manifests"][0] == unnamed
    layout.untag(NAME)
    assert layout.prune() == []


def test_a_damaged_index_is_told_with_its_file(layout: Layout) -> None:
    pathlib.Path(layout.path, "index.json").write_text("{}")
    with pytest.raises(OciError, match="index.json: index of the image store is damaged"):
        layout.names()
    assert len(layout.verify()) == 1


def test_a_full_disk_is_told(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(OciError, match="No space left on device. Make room"):
        layout.put_bytes(b"content")
    monkeypatch.undo()
    assert partials(layout) == [] and layout.verify() == []
