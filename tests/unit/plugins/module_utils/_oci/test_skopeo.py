# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another tool reads the store and the archives, and we read its."""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci import archive
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Index
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit import sample_image

NAME = Reference.parse("quay.io/t/cluster:1")
PAUSE = sample_image.CONTAINER_IMAGES[0]


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    layout = Layout.open(str(tmp_path / "store"), create=True)
    sample_image.sample(layout, str(NAME))
    return layout


def skopeo(*arguments: str) -> bytes:
    done = subprocess.run(["skopeo", "--insecure-policy", *arguments], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def digest_in(directory: pathlib.Path) -> Digest:
    return Digest.of((directory / "manifest.json").read_bytes())


def test_a_container_image_is_copied_out_of_the_store_by_its_name(layout: Layout, tmp_path: pathlib.Path) -> None:
    skopeo("--override-arch=amd64", "copy", f"oci:{layout.path}:{PAUSE}", f"dir:{tmp_path}/out")
    index = layout.read_document(layout.resolve(Reference.parse(PAUSE)))
    assert isinstance(index, Index)
    amd64 = next(entry for entry in index.manifests if entry.platform and entry.platform.architecture == "amd64")
    assert digest_in(tmp_path / "out") == amd64.digest


def test_a_cluster_image_is_copied_whole_with_its_digest(layout: Layout, tmp_path: pathlib.Path) -> None:
    entry = layout.resolve(NAME)
    archive.save(layout, entry, NAME, str(tmp_path / "a.tar"))
    skopeo("copy", "--all", "--preserve-digests", f"oci:{layout.path}:{NAME}", f"dir:{tmp_path}/one")
    skopeo("copy", "--all", "--preserve-digests", f"oci-archive:{tmp_path}/a.tar", f"dir:{tmp_path}/two")
    for place in ("one", "two"):
        assert digest_in(tmp_path / place) == entry.digest
        copied = {path.name for path in (tmp_path / place).iterdir()}
        blobs = {blob.digest for blob in layout.reachable(entry)} - {entry.digest}
        upstream = {layout.resolve(Reference.parse(name)).digest for name in sample_image.CONTAINER_IMAGES}
        assert upstream < blobs
        assert {blob.hex for blob in blobs} <= copied | {name.partition(".")[0] for name in copied}


def test_a_plain_client_sees_the_root_file_system(layout: Layout, tmp_path: pathlib.Path) -> None:
    archive.save(layout, layout.resolve(NAME), NAME, str(tmp_path / "a.tar"))
    raw = skopeo("inspect", "--raw", f"oci-archive:{tmp_path}/a.tar:{NAME}")
    assert Digest.of(raw) == layout.resolve(NAME).digest
    seen = json.loads(skopeo("--override-arch=arm64", "inspect", f"oci-archive:{tmp_path}/a.tar:{NAME}"))
    assert seen["Architecture"] == "arm64"
    assert seen["Labels"]["io.sealer.runtime"] == "kubeadm"


def test_an_archive_that_skopeo_wrote_is_loaded(layout: Layout, tmp_path: pathlib.Path) -> None:
    named = f"oci-archive:{tmp_path}/s.tar:{PAUSE}"
    skopeo("--override-arch=amd64", "copy", f"oci:{layout.path}:{PAUSE}", named)
    target = Layout.open(str(tmp_path / "target"), create=True)
    [(reference, entry)] = archive.load(target, f"{tmp_path}/s.tar")
    assert str(reference) == PAUSE
    assert layout.has(entry.digest)
    assert target.verify() == []
