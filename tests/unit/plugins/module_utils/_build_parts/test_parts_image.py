# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images made out of parts."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import tarfile
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import Image
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_image import make_image
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Manifest


def image(**changes: object) -> Image:
    fields = {
        "reference": "example.com/web:1",
        "published": True,
        "optional": "",
        "programs": {"usr/bin/web": "web"},
        "files": {"etc/web.conf": "web.conf"},
        "links": {"bin/web2": "web"},
        "directories": {"tmp": 0o1777},
        "packages": [],
        "config": {"Entrypoint": ["/usr/bin/web"], "User": "1:1"},
        **changes,
    }
    return t.cast(Image, t.cast(t.Any, Image)(**fields))


class Workshop:
    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        root.mkdir()
        (root / "web").write_bytes(b"program" * 1000)
        (root / "web").chmod(0o600)
        (root / "web.conf").write_text("conf")
        (root / "libc").write_text("library")
        digest = Digest.of(b"library").hex
        self.userland = [
            Entry("lib", "link", 0o777, target="usr/lib"),
            Entry("bin", "link", 0o777, target="usr/bin"),
            Entry("usr/lib/libc.so", "file", 0o644, source=str(root / "libc"), size=7, sha256=digest),
        ]
        self.layout = Layout.open(str(root / "store"), create=True)

    def make(self, made: Image, userland: list[Entry]) -> Descriptor:
        return make_image(
            made,
            "amd64",
            layout=self.layout,
            directory=str(self.root),
            programs={"web": str(self.root / "web")},
            userland=userland,
        )

    def read(self, descriptor: Descriptor) -> tuple[dict[str, object], list[dict[str, tarfile.TarInfo]]]:
        manifest = self.layout.read_document(descriptor)
        assert isinstance(manifest, Manifest)
        config = json.loads(self.layout.read_blob(manifest.config.digest))
        layers = []
        for layer in manifest.layers:
            with tarfile.open(fileobj=io.BytesIO(self.layout.read_blob(layer.digest))) as tar:
                layers.append({info.name: info for info in tar})
        return config, layers


@pytest.fixture
def workshop(tmp_path: pathlib.Path) -> Workshop:
    return Workshop(tmp_path / "one")


def test_an_image_of_one_program(workshop: Workshop) -> None:
    config, (layer,) = workshop.read(workshop.make(image(), []))
    assert config["architecture"] == "amd64" and config["os"] == "linux"
    assert config["config"] == {"Entrypoint": ["/usr/bin/web"], "User": "1:1"}
    assert list(layer) == ["bin", "bin/web2", "etc", "etc/web.conf", "tmp", "usr", "usr/bin", "usr/bin/web"]
    assert (layer["usr/bin/web"].mode, layer["tmp"].mode, layer["etc/web.conf"].mode) == (0o755, 0o1777, 0o644)
    assert {info.mtime for info in layer.values()} == {0}


def test_packages_are_a_layer_of_their_own(workshop: Workshop) -> None:
    _config, (userland, own) = workshop.read(workshop.make(image(), workshop.userland))
    assert list(userland) == ["bin", "lib", "usr", "usr/lib", "usr/lib/libc.so"]
    assert "usr" not in own and "usr/bin/web2" in own and own["usr/bin/web2"].issym()
    assert "bin" not in own


def test_images_with_the_same_packages_share_them(workshop: Workshop) -> None:
    manifests = [
        workshop.layout.read_document(workshop.make(made, workshop.userland))
        for made in (image(), image(programs={"usr/bin/other": "web"}))
    ]
    first, second = [[layer.digest for layer in m.layers] for m in manifests if isinstance(m, Manifest)]
    assert first[0] == second[0] and first[1] != second[1]


def test_the_same_parts_give_the_same_bytes(workshop: Workshop, tmp_path: pathlib.Path) -> None:
    other = Workshop(tmp_path / "two")
    assert workshop.make(image(), workshop.userland) == other.make(image(), other.userland)
    (other.root / "web.conf").write_text("other")
    assert workshop.make(image(), workshop.userland) != other.make(image(), other.userland)


def test_layers_are_what_the_config_says(workshop: Workshop) -> None:
    descriptor = workshop.make(image(), workshop.userland)
    assert workshop.layout.verify() == []
    manifest = workshop.layout.read_document(descriptor)
    assert isinstance(manifest, Manifest)
    config = json.loads(workshop.layout.read_blob(manifest.config.digest))
    for layer, diff_id in zip(manifest.layers, config["rootfs"]["diff_ids"], strict=True):
        assert str(Digest.of(gzip.decompress(workshop.layout.read_blob(layer.digest)))) == diff_id


def test_half_a_layer_of_an_earlier_run_is_completed(workshop: Workshop, tmp_path: pathlib.Path) -> None:
    other = Workshop(tmp_path / "two")
    manifest = other.layout.read_document(other.make(image(), []))
    assert isinstance(manifest, Manifest)
    (layer,) = manifest.layers
    with workshop.layout.writer(layer.digest, layer.size) as writer:
        writer.write(other.layout.read_blob(layer.digest)[: layer.size // 2])
    workshop.make(image(), [])
    assert workshop.layout.verify() == []


def test_a_file_cannot_be_a_directory_too(workshop: Workshop) -> None:
    with pytest.raises(
        BuildError, match="/etc/web.conf/x cannot be made in a container image: /etc/web.conf is a file"
    ):
        workshop.make(image(directories={"etc/web.conf/x": 0o755}), [])


def test_missing_files_are_told(workshop: Workshop) -> None:
    with pytest.raises(BuildError, match="gone.conf: cannot read the file"):
        workshop.make(image(files={"etc/x": "gone.conf"}), [])
