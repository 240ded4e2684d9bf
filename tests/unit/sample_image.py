# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small cluster image for tests, made without the builder.

As a program, ``sample_image.py STORE NAME [--seed TEXT] [--layer-size BYTES]`` puts one into a store and prints its
digest.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import tarfile
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import ClusterImage, ContainerImage
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Platform, canonical_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

PLATFORMS = ("linux/amd64", "linux/arm64")
CONTAINER_IMAGES = ("registry.k8s.io/pause:3.10.1", "docker.io/library/web:1.0")
DESCRIPTION = {"schemaVersion": 1, "applications": [], "launch": [], "cmds": [], "env": {}}


@dataclass(frozen=True)
class Sample:
    """What was made: the image's entry and the digests of its blobs by platform."""

    reference: Reference
    descriptor: Descriptor
    layers: t.Mapping[str, Digest]


def layer(files: t.Mapping[str, bytes]) -> t.Tuple[bytes, str]:
    """A reproducible tar+gzip layer; gives its bytes and the digest of the tar inside."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    plain = raw.getvalue()
    return gzip.compress(plain, 1, mtime=0), f"sha256:{hashlib.sha256(plain).hexdigest()}"


def noise(seed: str, size: int) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return hashlib.shake_256(seed.encode()).digest(size)


def put_manifest(
    layout: Layout,
    platform: str,
    files: t.Mapping[str, bytes],
    *,
    labels: t.Optional[t.Mapping[str, str]] = None,
    docker: bool = False,
) -> t.Tuple[Descriptor, Digest]:
    """An ordinary image of one layer in the store; gives its descriptor and its layer's digest."""
    blob, diff_id = layer(files)
    operating_system, _slash, architecture = platform.partition("/")
    config = canonical_json(
        {
            "os": operating_system,
            "architecture": architecture,
            "config": {"Labels": dict(labels or {})},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
    )
    types = (
        (
            media.DOCKER_MANIFEST,
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        )
        if docker
        else (media.OCI_MANIFEST, media.OCI_CONFIG, media.LAYER_TAR_GZIP)
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": types[0],
        "config": {"mediaType": types[1], "digest": str(layout.put_bytes(config)), "size": len(config)},
        "layers": [{"mediaType": types[2], "digest": str(layout.put_bytes(blob)), "size": len(blob)}],
    }
    # indented, as many publishers write it: what is stored must be these bytes, not our form of them
    raw = json.dumps(manifest, indent=3).encode()
    return Descriptor(types[0], layout.put_bytes(raw), len(raw)), Digest.of(blob)


def put_lock(layout: Layout, platform: str, indexes: t.Sequence[Descriptor]) -> Descriptor:
    """The lock manifest of one platform, with the upstream index documents as further layers."""
    lock = canonical_json({"schemaVersion": 1, "images": [], "base": [], "platform": platform})
    empty = layout.put_bytes(b"{}")
    layers = [
        {"mediaType": media.LOCK_V1, "digest": str(layout.put_bytes(lock)), "size": len(lock)},
        *({"mediaType": media.UPSTREAM_INDEX_V1, "digest": str(each.digest), "size": each.size} for each in indexes),
    ]
    raw = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": media.OCI_MANIFEST,
            "artifactType": media.LOCK_V1,
            "config": {"mediaType": media.EMPTY, "digest": str(empty), "size": 2},
            "layers": layers,
        }
    )
    return Descriptor(media.OCI_MANIFEST, layout.put_bytes(raw), len(raw))


def put_container_image(
    layout: Layout, reference: str, platforms: t.Sequence[str], size: int
) -> t.Tuple[t.List[ContainerImage], Descriptor]:
    """A container image for each platform and the upstream's index of them; web is docker's form, the rest OCI's."""
    docker = "web" in reference
    images, entries = [], []
    for name in platforms:
        descriptor, _layer = put_manifest(layout, name, {"app": noise(f"{reference} {name}", size)}, docker=docker)
        images.append(ContainerImage(reference=reference, descriptor=descriptor, platform=Platform.parse(name)))
        operating_system, _slash, architecture = name.partition("/")
        entries.append(
            {
                "mediaType": descriptor.media_type,
                "digest": str(descriptor.digest),
                "size": descriptor.size,
                "platform": {"os": operating_system, "architecture": architecture},
            }
        )
    media_type = media.DOCKER_LIST if docker else media.OCI_INDEX
    raw = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}, indent=2).encode()
    return images, Descriptor(media_type, layout.put_bytes(raw), len(raw))


def sample(
    layout: Layout,
    name: str,
    *,
    seed: str = "",
    size: int = 4096,
    platforms: t.Sequence[str] = PLATFORMS,
    labels: t.Optional[t.Mapping[str, str]] = None,
) -> Sample:
    """Put a cluster image into the store and name it: two platforms, two container images, everything small.

    Another seed changes the rootfs layers and nothing else.
    """
    wanted = {
        "io.sealer.runtime": "kubeadm",
        "io.sealer.runtime.version": "v1.35.4",
        "io.sealer.cluster": json.dumps(DESCRIPTION),
        **(labels or {}),
    }
    container_images: t.List[ContainerImage] = []
    indexes = []
    for image_name in CONTAINER_IMAGES:
        images, index = put_container_image(layout, image_name, platforms, size)
        container_images.extend(images)
        indexes.append(index)
    rootfs, locks, layers = [], [], {}
    for platform in platforms:
        tree = {"bin/kubeadm": noise(f"kubeadm {platform} {seed}", size), "manifests/imageList": b"web:1.0\n"}
        descriptor, layers[platform] = put_manifest(layout, platform, tree, labels=wanted)
        rootfs.append((Platform.parse(platform), descriptor))
        locks.append((Platform.parse(platform), put_lock(layout, platform, indexes)))
    raw = ClusterImage.assemble(rootfs=rootfs, locks=locks, images=container_images)
    descriptor = Descriptor(media.OCI_INDEX, layout.put_bytes(raw), len(raw))
    reference = Reference.parse(name)
    layout.tag(reference, descriptor)
    return Sample(reference, descriptor, layers)


def main() -> None:
    parser = argparse.ArgumentParser(description="Put a small cluster image into a store.")
    parser.add_argument("store")
    parser.add_argument("name")
    parser.add_argument("--seed", default="")
    parser.add_argument("--layer-size", type=int, default=4096)
    options = parser.parse_args()
    made = sample(Layout.open(options.store, create=True), options.name, seed=options.seed, size=options.layer_size)
    print(made.descriptor.digest)


if __name__ == "__main__":
    main()
