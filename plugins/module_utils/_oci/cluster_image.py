# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster image: one index of root file systems, locks and container images.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import (
    JsonObject,
    canonical_json,
    load_object,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    ANNOTATION_KIND,
    ANNOTATION_PLATFORM,
    ANNOTATION_REF,
    KIND_CLUSTER_IMAGE,
    KIND_CONTAINER_IMAGE,
    KIND_LOCK,
    KIND_ROOTFS,
    LABEL_DESCRIPTION,
    OCI_INDEX,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import quoted

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout

PlatformEntry = t.Tuple[Platform, Descriptor]


@dataclass(frozen=True)
class ContainerImage:
    """An image that pods run: the name asked for, and the manifest for one platform."""

    reference: str
    descriptor: Descriptor
    platform: Platform


@dataclass(frozen=True)
class ClusterImage:
    """What a cluster image holds.

    ``size`` counts every blob once; ``configs`` has those of the platforms that are here.
    """

    digest: Digest
    size: int
    rootfs: t.Dict[Platform, Descriptor]
    locks: t.Dict[Platform, Descriptor]
    container_images: t.List[ContainerImage]
    configs: t.Dict[Platform, JsonObject] = field(repr=False, default_factory=dict)

    @classmethod
    def read(cls, layout: Layout, descriptor: Descriptor) -> ClusterImage:
        """The cluster image that this descriptor tells."""
        index = layout.read_document(descriptor)
        if not isinstance(index, Index) or not is_cluster_image(index):
            raise OciError(
                f"{descriptor.digest} is not a cluster image",
                where=layout.path,
                why="only images made by sealer.cluster.image_build are",
            )
        rootfs, locks, images = split(index)
        return cls(
            digest=index.digest,
            size=sum(blob.size for blob in layout.reachable(descriptor)),
            rootfs=rootfs,
            locks=locks,
            container_images=images,
            configs={
                platform: _config(layout, manifest)
                for platform, manifest in rootfs.items()
                if layout.has(manifest.digest)
            },
        )

    @staticmethod
    def assemble(
        *,
        rootfs: t.Sequence[PlatformEntry],
        locks: t.Sequence[PlatformEntry],
        images: t.Sequence[ContainerImage],
    ) -> bytes:
        """The bytes of the index with these parts, the same for the same parts in any order."""
        entries = [
            replace(_plain(item, KIND_ROOTFS, {}), platform=platform)
            for platform, item in _by_platform(rootfs, "root file systems")
        ]
        entries += [
            _plain(item, KIND_LOCK, {ANNOTATION_PLATFORM: str(platform)})
            for platform, item in _by_platform(locks, "locks")
        ]
        entries += [
            _plain(
                image.descriptor,
                KIND_CONTAINER_IMAGE,
                {ANNOTATION_REF: image.reference, ANNOTATION_PLATFORM: str(image.platform)},
            )
            for image in _unique_images(images)
        ]
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "annotations": {ANNOTATION_KIND: KIND_CLUSTER_IMAGE},
                "manifests": [entry.to_json() for entry in entries],
            }
        )

    @property
    def platforms(self) -> t.List[Platform]:
        """The platforms that the image is made for."""
        return sorted(self.rootfs)

    def config(self, platform: Platform) -> JsonObject:
        """The root file system's image config for this platform."""
        for own, config in self.configs.items():
            if own.matches(platform):
                return config
        raise OciError(
            f"cluster image {self.digest} has nothing for {platform}",
            why=f"it has {', '.join(map(str, sorted(self.configs))) or 'no platform here'}",
        )

    @property
    def labels(self) -> t.Dict[str, str]:
        """The labels of the root file system's image."""
        for _platform, config in sorted(self.configs.items()):
            labels = (config.get("config") or {}).get("Labels") or {}
            return {str(key): str(value) for key, value in labels.items()}
        return {}

    @property
    def description(self) -> JsonObject:
        """The document that tells applications, launch order and hooks."""
        text = self.labels.get(LABEL_DESCRIPTION)
        return load_object(text.encode("utf-8"), f"label {LABEL_DESCRIPTION}") if text else {}


def is_cluster_image(document: t.Union[Manifest, Index]) -> bool:
    """Whether this is the index of a cluster image."""
    return isinstance(document, Index) and document.annotations.get(ANNOTATION_KIND) == KIND_CLUSTER_IMAGE


def platform_of(entry: Descriptor) -> t.Optional[Platform]:
    """The platform that an entry of a cluster image is for."""
    if entry.platform is not None:
        return entry.platform
    text = entry.annotations.get(ANNOTATION_PLATFORM)
    return Platform.parse(text) if text else None


def platforms_text(platforms: t.Sequence[Platform]) -> str:
    """Several platforms as the annotation has them."""
    return ",".join(map(str, platforms))


def split(
    index: Index,
) -> t.Tuple[t.Dict[Platform, Descriptor], t.Dict[Platform, Descriptor], t.List[ContainerImage]]:
    """The root file systems, the locks and the container images of a cluster image's index."""
    rootfs: t.Dict[Platform, Descriptor] = {}
    locks: t.Dict[Platform, Descriptor] = {}
    images: t.List[ContainerImage] = []
    for entry in index.manifests:
        kind = entry.annotations.get(ANNOTATION_KIND)
        platform = platform_of(entry)
        reference = entry.annotations.get(ANNOTATION_REF)
        if platform is None:
            raise _malformed(index, f"its entry {entry.digest} says no platform")
        if kind == KIND_ROOTFS and platform not in rootfs:
            rootfs[platform] = entry
        elif kind == KIND_LOCK and platform not in locks:
            locks[platform] = entry
        elif kind == KIND_CONTAINER_IMAGE and reference:
            images.append(ContainerImage(reference, entry, platform))
        else:
            raise _malformed(index, f"its entry {entry.digest} of kind {quoted(kind)} has no place in it")
    if not rootfs:
        raise _malformed(index, "it has no root file system")
    return rootfs, locks, images


def _config(layout: Layout, descriptor: Descriptor) -> JsonObject:
    manifest = layout.read_document(descriptor)
    if not isinstance(manifest, Manifest):
        raise OciError(f"root file system {descriptor.digest} is not an image manifest", where=layout.path)
    return load_object(layout.read_blob(manifest.config.digest), f"image config {manifest.config.digest}")


def _plain(descriptor: Descriptor, kind: str, annotations: t.Dict[str, str]) -> Descriptor:
    return Descriptor(
        descriptor.media_type, descriptor.digest, descriptor.size, annotations={ANNOTATION_KIND: kind, **annotations}
    )


def _by_platform(entries: t.Sequence[PlatformEntry], what: str) -> t.List[PlatformEntry]:
    result = sorted(entries, key=lambda entry: entry[0])
    for (one, _first), (other, _second) in zip(result, result[1:]):
        if one.matches(other):
            raise OciError(f"two {what} for one platform", why=f"{one} and {other}")
    return result


def _unique_images(images: t.Sequence[ContainerImage]) -> t.List[ContainerImage]:
    result: t.Dict[t.Tuple[str, Platform], ContainerImage] = {}
    for image in sorted(images, key=lambda image: (image.reference, image.platform)):
        first = result.setdefault((image.reference, image.platform), image)
        if first.descriptor.digest != image.descriptor.digest:
            raise OciError(
                f"two images for {image.reference} on {image.platform}",
                why=f"{first.descriptor.digest} and {image.descriptor.digest}",
                fix="Pin the name to one of them in the lock.",
            )
    return list(result.values())


def _malformed(index: Index, why: str) -> OciError:
    return OciError(f"{index.digest} is not a sound cluster image", why=why, fix="Build or pull it again.")
