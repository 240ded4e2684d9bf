# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store keeps of pushes, and what prune leaves of it."""

from __future__ import annotations

import os
import pathlib
import time

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci import layout_own
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import (
    BLOBS,
    GRACE_SECONDS,
    MANIFESTS,
    OwnContent,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import EMPTY, OCI_MANIFEST
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, canonical_json

NOTHING = Digest.of(b"nothing")
REPOSITORY = "team/app"


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


@pytest.fixture
def own(layout: Layout) -> OwnContent:
    return OwnContent(layout)


def manifest(layout: Layout, config: Digest, subject: Digest | None = None) -> Digest:
    blob = {"mediaType": EMPTY, "digest": str(config), "size": os.stat(layout.blob_path(config)).st_size}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": blob, "layers": []}
    if subject is not None:
        document["subject"] = {"mediaType": OCI_MANIFEST, "digest": str(subject), "size": 2}
    return layout.put_bytes(canonical_json(document))


def make_old(layout: Layout) -> None:
    """Everything was pushed longer ago than anything is kept for."""
    then = time.time() - GRACE_SECONDS - 60
    for directory, _names, files in os.walk(os.path.join(layout.path, layout_own.OWN)):
        for name in files:
            os.utime(os.path.join(directory, name), (then, then))


def test_holding(own: OwnContent) -> None:
    assert not own.has(REPOSITORY)
    assert not own.holds(REPOSITORY, BLOBS, NOTHING)
    own.hold(REPOSITORY, BLOBS, NOTHING)
    own.hold(REPOSITORY, BLOBS, NOTHING)
    assert own.holds(REPOSITORY, BLOBS, NOTHING)
    assert own.has(REPOSITORY)
    assert not own.holds(REPOSITORY, MANIFESTS, NOTHING)
    assert not own.holds("team", BLOBS, NOTHING)
    assert own.release(REPOSITORY, BLOBS, NOTHING)
    assert not own.release(REPOSITORY, BLOBS, NOTHING)
    assert not own.holds(REPOSITORY, BLOBS, NOTHING)


def test_repositories_are_those_with_manifests(own: OwnContent) -> None:
    for name in ("b", "b/c", "a/b/c"):
        own.hold(name, MANIFESTS, NOTHING)
    own.hold("z", BLOBS, NOTHING)
    own.mark(NOTHING)
    assert own.repositories() == ["a/b/c", "b", "b/c"]


def test_marks(own: OwnContent) -> None:
    assert not own.is_marked(NOTHING)
    own.mark(NOTHING)
    assert own.is_marked(NOTHING)


def test_referrers_are_those_held(own: OwnContent) -> None:
    one, other = Digest.of(b"one"), Digest.of(b"other", "sha512")
    for digest in (one, other):
        own.refer(REPOSITORY, NOTHING, digest)
    assert own.referrers(REPOSITORY, NOTHING) == []
    own.hold(REPOSITORY, MANIFESTS, other)
    assert own.referrers(REPOSITORY, NOTHING) == [other]
    own.hold(REPOSITORY, MANIFESTS, one)
    assert sorted(own.referrers(REPOSITORY, NOTHING)) == [one, other]
    assert own.referrers("other", NOTHING) == []


def test_prune_keeps_what_was_pushed_lately(layout: Layout, own: OwnContent) -> None:
    config, layer, stray = (layout.put_bytes(data) for data in (b"{}", b"layer", b"stray"))
    document = manifest(layout, config)
    own.hold(REPOSITORY, MANIFESTS, document)
    own.hold(REPOSITORY, BLOBS, layer)
    assert {found.digest for found in layout.prune()} == {stray}
    assert all(layout.has(digest) for digest in (config, layer, document))


def test_prune_takes_what_is_old_and_forgets_it(layout: Layout, own: OwnContent) -> None:
    config, layer = layout.put_bytes(b"{}"), layout.put_bytes(b"layer")
    document = manifest(layout, config)
    own.hold(REPOSITORY, MANIFESTS, document)
    own.hold(REPOSITORY, BLOBS, layer)
    own.mark(layer)
    make_old(layout)
    assert {found.digest for found in layout.prune(dry_run=True)} == {config, layer, document}
    assert own.holds(REPOSITORY, BLOBS, layer)
    assert {found.digest for found in layout.prune()} == {config, layer, document}
    assert not own.holds(REPOSITORY, BLOBS, layer)
    assert not own.holds(REPOSITORY, MANIFESTS, document)
    assert not own.is_marked(layer)


def test_holding_again_makes_young(layout: Layout, own: OwnContent) -> None:
    layer = layout.put_bytes(b"layer")
    own.hold(REPOSITORY, BLOBS, layer)
    make_old(layout)
    own.hold(REPOSITORY, BLOBS, layer)
    assert layout.prune() == []


def test_prune_keeps_what_refers_to_what_is_named(layout: Layout, own: OwnContent) -> None:
    config = layout.put_bytes(b"{}")
    image = manifest(layout, config)
    signature_config = layout.put_bytes(b"[1]")
    signature = manifest(layout, signature_config, image)
    countersign_config = layout.put_bytes(b"[2]")
    countersign = manifest(layout, countersign_config, signature)
    for digest, subject in ((signature, image), (countersign, signature)):
        own.refer(REPOSITORY, subject, digest)
        own.hold(REPOSITORY, MANIFESTS, digest)
    size = os.stat(layout.blob_path(image)).st_size
    annotations = {"org.opencontainers.image.ref.name": f"r.example/{REPOSITORY}:1"}
    entry = Descriptor(OCI_MANIFEST, image, size, annotations=annotations)
    layout.edit(lambda entries: [*entries, entry])
    make_old(layout)
    assert layout.prune() == []
    layout.edit(lambda entries: entries[:0])
    taken = {found.digest for found in layout.prune()}
    assert taken == {config, image, signature, signature_config, countersign, countersign_config}
    assert own.referrers(REPOSITORY, image) == []


def test_prune_keeps_a_young_manifest_that_cannot_be_read(layout: Layout, own: OwnContent) -> None:
    damaged = layout.put_bytes(b"not JSON")
    own.hold(REPOSITORY, MANIFESTS, damaged)
    assert layout.prune() == []


def test_strange_files_do_no_harm(layout: Layout, own: OwnContent) -> None:
    own.hold(REPOSITORY, BLOBS, NOTHING)
    directory = pathlib.Path(layout.path, layout_own.OWN, REPOSITORY, BLOBS)
    (directory / "sha256" / "garbage").touch()
    (directory / "md5").mkdir()
    (directory / "file").touch()
    assert layout.prune() == []
    assert own.repositories() == []
