# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Some files of an image, out of its layers: what is asked for and nothing else, as a whole unpacking has it."""

from __future__ import annotations

import io
import json
import pathlib
import tarfile
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import image_files
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_plan import tree_digest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.extract import Extractor
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_source import Source
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import LAYER_TAR, OCI_CONFIG, OCI_MANIFEST
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

REFERENCE = Reference.parse("registry.example.com/clusters/shop:1")
Files = dict[str, t.Union[bytes, str]]
BASE: Files = {
    "bin/kubelet": b"large",
    "application/apps/web/a.yaml": b"old",
    "application/apps/web/sub/b.yaml": b"b",
    "application/apps/web/gone.yaml": b"gone",
    "application/apps/other/c.yaml": b"c",
    "manifests/d.yaml": b"d",
}
ABOVE: Files = {
    "application/apps/web/a.yaml": b"new",
    "application/apps/web/.wh.gone.yaml": b"",
    "application/apps/web/link.yaml": "../../../manifests/d.yaml",
    "manifests/.wh..wh..opq": b"",
    "manifests/d.yaml": b"new d",
    "manifests/sub/e.yaml": b"e",
}


def layer(files: Files) -> bytes:
    """A layer; a text is the goal of a link."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.type, member.linkname = tarfile.SYMTYPE, content
                archive.addfile(member)
            else:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Store:
    """A store on disk with the root file systems that a test puts into it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def put(self, data: bytes) -> Digest:
        digest = Digest.of(data)
        place = self.path / "blobs" / digest.algorithm / digest.hex
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return digest

    def image(self, *layers: Files) -> Digest:
        """The digest of the manifest of an image made of these layers."""
        entries = [
            {"mediaType": LAYER_TAR, "digest": str(self.put(data)), "size": len(data)} for data in map(layer, layers)
        ]
        config = {"mediaType": OCI_CONFIG, "digest": str(self.put(b"{}")), "size": 2}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": entries}
        return self.put(json.dumps(manifest).encode())

    @property
    def source(self) -> Source:
        return Source(REFERENCE, store=str(self.path))


@pytest.fixture(name="store")
def fixture_store(tmp_path: pathlib.Path) -> Store:
    return Store(tmp_path / "store")


def contents(directory: str) -> dict[str, str]:
    top = pathlib.Path(directory)
    return {str(path.relative_to(top)): path.read_text() for path in sorted(top.rglob("*")) if path.is_file()}


def test_an_application_without_the_rest(store: Store, tmp_path: pathlib.Path) -> None:
    found = image_files.unpack(store.source, store.image(BASE, ABOVE), ["application/apps/web"], str(tmp_path))
    assert contents(found) == {
        "application/apps/web/a.yaml": "new",
        "application/apps/web/link.yaml": "new d",
        "application/apps/web/sub/b.yaml": "b",
        "manifests/d.yaml": "new d",
    }


def test_the_digest_is_that_of_the_whole_tree(store: Store, tmp_path: pathlib.Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    extractor = Extractor(str(whole))
    for files in (BASE, ABOVE):
        extractor.apply(io.BytesIO(layer(files)), LAYER_TAR, "layer")
    part = image_files.unpack(store.source, store.image(BASE, ABOVE), ["application/apps/web"], str(tmp_path))
    assert tree_digest(f"{part}/application/apps/web") == tree_digest(str(whole / "application/apps/web"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("manifests", {"manifests/d.yaml": "new d", "manifests/sub/e.yaml": "e"}),
        ("manifests/d.yaml", {"manifests/d.yaml": "new d"}),
        ("application/apps/web/gone.yaml", {}),
        ("nowhere", {}),
    ],
)
def test_files_and_directories(store: Store, tmp_path: pathlib.Path, path: str, expected: dict[str, str]) -> None:
    found = image_files.unpack(store.source, store.image(BASE, ABOVE), [path], str(tmp_path))
    assert contents(found) == expected


def test_everything(store: Store, tmp_path: pathlib.Path) -> None:
    found = image_files.unpack(store.source, store.image(BASE, ABOVE), ["."], str(tmp_path))
    assert {"bin/kubelet", "application/apps/other/c.yaml"} <= set(contents(found))


@pytest.mark.parametrize("hidden", ["application/.wh.apps", ".wh.application", "application/apps/.wh..wh..opq"])
def test_what_an_upper_layer_hides_is_not_there(store: Store, tmp_path: pathlib.Path, hidden: str) -> None:
    digest = store.image(BASE, {hidden: b"", "application/apps/web/only.yaml": b"1"})
    found = image_files.unpack(store.source, digest, ["application/apps/web"], str(tmp_path))
    assert contents(found) == {"application/apps/web/only.yaml": "1"}


def test_they_arrive_as_they_were(store: Store, tmp_path: pathlib.Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    found = image_files.unpack(store.source, store.image(BASE, ABOVE), ["application/apps/web"], str(here))
    arrived = image_files.unpack_archive(image_files.pack(found, str(here)), str(there))
    assert contents(arrived) == contents(found)
    assert tree_digest(arrived) == tree_digest(found)


def test_a_link_out_of_the_tree_is_refused(store: Store, tmp_path: pathlib.Path) -> None:
    digest = store.image({"application/apps/web/x.yaml": "../../../../etc/shadow"})
    with pytest.raises(SealerError, match="is a link out of the tree"):
        image_files.unpack(store.source, digest, ["application/apps/web"], str(tmp_path))


def test_an_image_that_is_not_there_is_said(store: Store, tmp_path: pathlib.Path) -> None:
    with pytest.raises(SealerError, match="cannot be had"):
        image_files.unpack(store.source, Digest.of(b"absent"), ["application"], str(tmp_path))
