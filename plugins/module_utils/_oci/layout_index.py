# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names in a layout: those that users gave, and those of the container images inside their cluster images.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import is_cluster_image, split
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_walk import (
    joined_platforms,
    wanted_platforms,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    ANNOTATION_KIND,
    ANNOTATION_PLATFORM,
    ANNOTATION_REF,
    INDEX_TYPES,
    KIND_CLUSTER_IMAGE,
    KIND_CONTAINER_IMAGE,
    UPSTREAM_INDEX_V1,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout

_NEAR = 5


def name_of(entry: Descriptor) -> t.Optional[str]:
    """The name that an entry of index.json gives."""
    return entry.annotations.get(ANNOTATION_REF)


def is_derived(entry: Descriptor) -> bool:
    """Whether the name comes from a cluster image and not from a user."""
    return entry.annotations.get(ANNOTATION_KIND) == KIND_CONTAINER_IMAGE


def with_derived(layout: Layout, own: t.Sequence[Descriptor]) -> t.List[Descriptor]:
    """The users' entries, then those of the container images.

    Where names meet, a user's wins, then that of the cluster image named last.
    """
    derived: t.Dict[str, Descriptor] = {}
    for entry in own:
        if entry.annotations.get(ANNOTATION_KIND) == KIND_CLUSTER_IMAGE:
            derived.update(container_images(layout, entry))
    for entry in own:
        derived.pop(name_of(entry) or "", None)
    return [*own, *(derived[name] for name in sorted(derived))]


def lookup(layout: Layout, names: t.Mapping[str, Descriptor], reference: Reference) -> t.Optional[Descriptor]:
    """What the reference means: the name itself, else its digest under any name of the same repository."""
    found = names.get(str(reference))
    if found is not None or reference.digest is None:
        return found
    same = [entry for name, entry in names.items() if _is_under(name, reference.name)]
    for entry in same:
        if entry.digest == reference.digest:
            return entry
    for entry in same:
        child = _child(layout, entry, reference.digest)
        if child is not None:
            return child
    return None


def absent(names: t.Iterable[str], reference: Reference, where: str) -> OciError:
    """The error for a name that is not there, with those that look like it."""
    wanted = str(reference)
    near = difflib.get_close_matches(wanted, list(names), _NEAR)
    return OciError(
        f"image {wanted} is not in the store",
        where=where,
        why=f"there is {', '.join(near)}" if near else "nothing there has a name like it",
        fix="Pull, load or build it first, or correct the name.",
    )


def named_entry(
    layout: Layout,
    name: str,
    descriptor: Descriptor,
    platforms: t.Sequence[Platform] = (),
    before: t.Optional[Descriptor] = None,
) -> Descriptor:
    """The entry that names an image; a cluster image is marked so, and with its platforms when they are not all.

    Those are the ones given, else the descriptor's own, with those of the entry before if that was the same image.
    """
    annotations = {ANNOTATION_REF: name}
    document = layout.read_document(descriptor) if descriptor.media_type in INDEX_TYPES else None
    if isinstance(document, Index) and is_cluster_image(document):
        annotations[ANNOTATION_KIND] = KIND_CLUSTER_IMAGE
        several = [platforms or wanted_platforms(descriptor)]
        if before is not None and before.digest == descriptor.digest:
            several.append(wanted_platforms(before))
        joined = joined_platforms(document, *several)
        if joined:
            annotations[ANNOTATION_PLATFORM] = joined
    return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size, annotations=annotations)


def _is_under(name: str, repository: str) -> bool:
    return name.startswith(repository) and name[len(repository) : len(repository) + 1] in (":", "@")


def _child(layout: Layout, entry: Descriptor, digest: Digest) -> t.Optional[Descriptor]:
    if entry.media_type not in INDEX_TYPES:
        return None
    for child in layout.read_document(entry).children:
        if child.digest == digest and layout.has(digest, child.size):
            return child
    return None


def container_images(layout: Layout, entry: Descriptor) -> t.Dict[str, Descriptor]:
    """What a cluster image's container images stand for by their names: the upstream's index, else the manifest."""
    index = layout.read_document(entry)
    if not isinstance(index, Index) or not is_cluster_image(index):
        return {}
    _rootfs, locks, images = split(index)
    upstream = _upstream_indexes(layout, locks.values())
    result: t.Dict[str, Descriptor] = {}
    for image in images:
        if layout.has(image.descriptor.digest):
            name = str(Reference.parse(image.reference))
            target = upstream.get(image.descriptor.digest, image.descriptor)
            result.setdefault(name, derived_entry(name, target))
    return result


def derived_entry(name: str, target: Descriptor) -> Descriptor:
    """The entry that names a container image."""
    return Descriptor(
        target.media_type,
        target.digest,
        target.size,
        annotations={ANNOTATION_KIND: KIND_CONTAINER_IMAGE, ANNOTATION_REF: name},
    )


def _upstream_indexes(layout: Layout, locks: t.Iterable[Descriptor]) -> t.Dict[Digest, Descriptor]:
    """By a container image's manifest, the upstream's index that names it."""
    result: t.Dict[Digest, Descriptor] = {}
    documents = sorted({item for lock in locks for item in _documents(layout, lock)}, key=lambda item: item.digest)
    for document in documents:
        for child in layout.read_document(document).children:
            result.setdefault(child.digest, document)
    return result


def _documents(layout: Layout, lock: Descriptor) -> t.List[Descriptor]:
    if not layout.has(lock.digest):
        return []
    manifest = layout.read_document(lock)
    if not isinstance(manifest, Manifest):
        raise OciError(f"lock {lock.digest} is not a manifest", where=layout.path)
    layers = [item for item in manifest.layers[1:] if item.media_type == UPSTREAM_INDEX_V1]
    return [layout.read_document(item.digest).descriptor() for item in layers if layout.has(item.digest, item.size)]
