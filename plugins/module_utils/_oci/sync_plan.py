# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a store belongs into another registry.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import Document
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import is_cluster_image
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import canonical_json, load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_index import container_images
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    ANNOTATION_KIND,
    DOCUMENT_TYPES,
    KIND_CLUSTER_IMAGE,
    is_foreign,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Index,
    Manifest,
    parse_document,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

__all__ = ["KEEP", "REDUCE", "Tree", "blobs_of", "here_of", "named_images", "tree"]

REDUCE = "reduce"
KEEP = "keep"

Images = t.Dict[Reference, Descriptor]


@dataclass(frozen=True)
class Tree:
    """An image's documents by depth, the top alone first, and all its blobs."""

    levels: t.List[t.List[Document]]
    blobs: t.List[Descriptor]

    @property
    def top(self) -> Document:
        """What the name stands for."""
        return self.levels[0][0]

    @property
    def size(self) -> int:
        """Bytes of all documents and blobs."""
        documents = sum(len(document.raw) for level in self.levels for document in level)
        return documents + sum(blob.size for blob in self.blobs)


def named_images(layout: Layout, names: t.Sequence[str], whole: bool = False) -> Images:
    """The container images of these names, for a cluster image those inside it; all of the store without names.

    With ``whole``, cluster images come along themselves.
    """
    if not names:
        return {
            Reference.parse(name): entry
            for name, entry in sorted(layout.names().items())
            if whole or entry.annotations.get(ANNOTATION_KIND) != KIND_CLUSTER_IMAGE
        }
    result: Images = {}
    for name in names:
        for reference, descriptor in _images_of(layout, Reference.parse(name), whole).items():
            if result.setdefault(reference, descriptor).digest != descriptor.digest:
                raise OciError(
                    f"{reference} is two images",
                    where=layout.path,
                    why=f"{result[reference].digest}, and in {name} {descriptor.digest}",
                    fix="Name these cluster images in separate steps.",
                )
    return {reference: result[reference] for reference in sorted(result, key=str)}


def tree(layout: Layout, reference: Reference, descriptor: Descriptor, incomplete: str) -> Tree:
    """What goes over for an image.

    Of an index that names images which are not in the store, KEEP takes its own bytes, and REDUCE the only image that
    is here, or an index of those that are.
    """
    descriptor = _pinned(layout, reference, descriptor)
    top = layout.read_document(descriptor)
    if isinstance(top, Index) and incomplete == REDUCE:
        top = here_of(layout, top)
        if reference.digest is not None and top.digest != reference.digest:
            raise OciError(
                f"{reference} cannot be brought under this digest",
                why="its index names images that are not in the store, for other platforms",
                fix="Build or pull it for all its platforms, or use `incomplete: keep` for a registry that takes that.",
            )
    levels: t.List[t.List[Document]] = [[top]]
    while True:
        seen = {document.digest for level in levels for document in level}
        children = {
            child.digest: child
            for document in levels[-1]
            if isinstance(document, Index)
            for child in document.manifests
            if child.digest not in seen and layout.has(child.digest)
        }
        if not children:
            break
        levels.append([layout.read_document(child) for child in children.values()])
    documents = [document for level in levels for document in level]
    if not any(isinstance(document, Manifest) for document in documents):
        raise _nothing(layout, reference)
    return Tree(levels, blobs_of(documents))


def here_of(layout: Layout, index: Index) -> Document:
    """The index itself where all of its images are here, else what is left of it."""
    here = [child for child in index.manifests if layout.has(child.digest)]
    if len(here) == len(index.manifests) or not here:
        return index
    if len(here) == 1:
        return layout.read_document(here[0])
    document = load_object(index.raw, "image document")
    wanted = {str(child.digest) for child in here}
    document["manifests"] = [entry for entry in document["manifests"] if entry["digest"] in wanted]
    return parse_document(canonical_json(document), index.media_type)


def blobs_of(documents: t.Iterable[Document]) -> t.List[Descriptor]:
    """The blobs of all these manifests, each once."""
    found: t.Dict[Digest, Descriptor] = {}
    for document in documents:
        if isinstance(document, Manifest):
            found.update({child.digest: child for child in document.children if not is_foreign(child.media_type)})
    return list(found.values())


def _images_of(layout: Layout, reference: Reference, whole: bool) -> Images:
    entry = layout.resolve(reference)
    if not is_cluster_image(layout.read_document(entry)):
        return {reference: entry}
    inside = {Reference.parse(name): found for name, found in container_images(layout, entry).items()}
    return {**inside, reference: entry} if whole else inside


def _pinned(layout: Layout, reference: Reference, descriptor: Descriptor) -> Descriptor:
    """The manifest itself where the name pins it and the store has its index."""
    if reference.digest is None or reference.digest == descriptor.digest:
        return descriptor
    if descriptor.media_type in DOCUMENT_TYPES:
        for child in layout.read_document(descriptor).children:
            if child.digest == reference.digest and layout.has(child.digest):
                return child
    raise _nothing(layout, reference)


def _nothing(layout: Layout, reference: Reference) -> OciError:
    return OciError(f"{reference} is not whole in the store", where=layout.path, fix="Pull, load or build it again.")
