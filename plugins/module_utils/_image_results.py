# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How modules tell images: the shape of the result C(image).

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import (
    ClusterImage,
    is_cluster_image,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_index import is_derived
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_walk import joined_platforms, wanted_platforms
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    INDEX_TYPES,
    KIND_CLUSTER_IMAGE,
    KIND_CONTAINER_IMAGE,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

ImageResult = t.Dict[str, t.Any]
LABEL_RUNTIME = "io.sealer.runtime"


def image_result(layout: Layout, name: str, descriptor: Descriptor) -> ImageResult:
    """An image in a store, as modules return it."""
    document = layout.read_document(descriptor)
    if is_cluster_image(document):
        return _cluster_image(layout, name, descriptor)
    platforms = [child.platform for child in document.children if child.platform and layout.has(child.digest)]
    return {
        **_common(name, descriptor, sorted(set(platforms))),
        "kind": KIND_CONTAINER_IMAGE,
        "size": total_size(layout, descriptor),
        "labels": {},
        "runtime": None,
        "rootfs": {},
        "description": {},
        "container_images": [],
    }


def _cluster_image(layout: Layout, name: str, descriptor: Descriptor) -> ImageResult:
    image = ClusterImage.read(layout, descriptor)
    here = wanted_platforms(descriptor) or image.platforms

    def is_here(platform: Platform) -> bool:
        return any(platform.matches(one) for one in here)

    labels = image.labels
    return {
        **_common(name, descriptor, [platform for platform in image.platforms if is_here(platform)]),
        "kind": KIND_CLUSTER_IMAGE,
        "size": image.size,
        "labels": labels,
        "runtime": labels.get(LABEL_RUNTIME),
        "rootfs": {
            str(platform): {
                "digest": str(entry.digest),
                "size": entry.size,
                "total_size": total_size(layout, entry),
            }
            for platform, entry in image.rootfs.items()
            if is_here(platform)
        },
        "description": image.description,
        "container_images": [
            {
                "reference": each.reference,
                "digest": str(each.descriptor.digest),
                "platform": str(each.platform),
                "size": total_size(layout, each.descriptor),
            }
            for each in image.container_images
            if is_here(each.platform)
        ],
    }


def _common(name: str, descriptor: Descriptor, platforms: t.Sequence[Platform]) -> ImageResult:
    return {"name": name, "digest": str(descriptor.digest), "platforms": [str(platform) for platform in platforms]}


def total_size(layout: Layout, descriptor: Descriptor) -> int:
    """Bytes of the blob and of all it needs, each counted once."""
    return sum(blob.size for blob in layout.reachable(descriptor))


def list_images(layout: Layout) -> t.List[ImageResult]:
    """All images that somebody named, in the order of their names; not those that are part of a cluster image."""
    named = ((name, entry) for name, entry in layout.names().items() if not is_derived(entry))
    return [image_result(layout, name, entry) for name, entry in sorted(named, key=lambda pair: pair[0])]


def name_state(entry: t.Optional[Descriptor]) -> t.Optional[t.Dict[str, t.Any]]:
    """What a user's name stands for, for differences; a name that comes from a cluster image is none of the user's."""
    if entry is None or is_derived(entry):
        return None
    return {"digest": str(entry.digest), "platforms": [str(platform) for platform in wanted_platforms(entry)]}


def name_state_after(
    layout: t.Optional[Layout], name: Reference, descriptor: Descriptor, platforms: t.Sequence[Platform] = ()
) -> t.Dict[str, t.Any]:
    """What a name will stand for, as far as it can be told while the image may not be in the store yet."""
    own = sorted(platforms) or wanted_platforms(descriptor)
    index = _index(layout, descriptor)
    if layout is not None and index is not None:
        several = [own]
        before = layout.names().get(str(name))
        if before is not None and before.digest == descriptor.digest:
            several.append(wanted_platforms(before))
        joined = joined_platforms(index, *several) if is_cluster_image(index) else ""
        own = [Platform.parse(text) for text in joined.split(",") if text]
    return {"digest": str(descriptor.digest), "platforms": [str(platform) for platform in own]}


def whole_state(
    layout: t.Optional[Layout], reference: Reference, asked: t.Optional[t.Sequence[Platform]] = None
) -> t.Optional[t.Dict[str, t.Any]]:
    """What a user's name stands for, and whether all of it is there.

    Of an ordinary index, that is what is here of it already, and with `asked` all that it has for these platforms, or
    for any when there is none.
    """
    entry = layout.names().get(str(reference)) if layout else None
    state = name_state(entry)
    if layout is None or entry is None or state is None:
        return None
    return {**state, "whole": not layout.missing(entry) and (asked is None or _has_asked(layout, entry, asked))}


def _has_asked(layout: Layout, entry: Descriptor, asked: t.Sequence[Platform]) -> bool:
    index = _index(layout, entry)
    if index is None or is_cluster_image(index):
        return True
    return all(
        layout.has(child.digest, child.size)
        for child in index.children
        if not asked or (child.platform and any(child.platform.matches(platform) for platform in asked))
    )


def _index(layout: t.Optional[Layout], descriptor: Descriptor) -> t.Optional[Index]:
    if layout is None or descriptor.media_type not in INDEX_TYPES or not layout.has(descriptor.digest):
        return None
    document = layout.read_document(descriptor)
    return document if isinstance(document, Index) else None
