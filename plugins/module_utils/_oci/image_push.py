# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pushing whole images: blobs in parallel, children before parents, the tag last.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.blob_upload import MOUNTED, PUSHED
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import Document, RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import is_foreign
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Manifest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress, Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.workers import in_parallel

__all__ = ["PushResult", "push"]


@dataclass(frozen=True)
class PushResult:
    """What was pushed, and how many bytes went over, were mounted from other repositories, or were there already."""

    descriptor: Descriptor
    pushed: int
    mounted: int
    skipped: int


def push(
    client: RegistryClient,
    layout: Layout,
    descriptor: Descriptor,
    reference: Reference,
    parallel: int = 8,
    progress: t.Optional[Progress] = None,
) -> PushResult:
    """Bring an image of the store to a registry, byte for byte, under the reference's repository and tag.

    What the registry has already is not sent again.
    """
    if reference.digest is not None and reference.digest != descriptor.digest:
        raise OciError(f"cannot push {descriptor.digest} as {reference}", why="a digest cannot be chosen")
    work = _Push(client, layout, reference, parallel, progress or NullProgress())
    with layout.session():
        return work.run(descriptor)


class _Push:
    """One push: what it goes through, and what it counts."""

    def __init__(
        self, client: RegistryClient, layout: Layout, reference: Reference, parallel: int, progress: Progress
    ) -> None:
        self._client = client
        self._layout = layout
        self._reference = reference
        self._parallel = parallel
        self._progress = progress
        self._cancel = threading.Event()
        self._pushed = 0
        self._mounted = 0

    def run(self, descriptor: Descriptor) -> PushResult:
        """Push blobs, then documents from the deepest up, then the name."""
        top = self._layout.read_document(descriptor)
        there = self._client.head_manifest(self._reference, mirrors=False)
        named = there is not None and there.digest == top.digest
        levels = [] if named else self._levels(top)
        documents = [document for level in levels for document in level]
        blobs = _blobs(documents)
        size = sum(blob.size for blob in blobs) + sum(len(document.raw) for document in documents)
        self._progress.total(size, len(blobs) + len(documents))
        self._push_blobs(blobs)
        for level in reversed(levels):
            self._pushed += sum(in_parallel(self._put, level, self._parallel, self._cancel))
        if self._reference.tag is not None and not named:
            self._client.put_manifest(
                Reference(self._reference.registry, self._reference.repository, self._reference.tag), top
            )
        everything = sum(part.size for part in self._layout.reachable(descriptor) if self._layout.has(part.digest))
        return PushResult(top.descriptor(), self._pushed, self._mounted, everything - self._pushed - self._mounted)

    def _levels(self, top: Document) -> t.List[t.List[Document]]:
        """The documents that the registry lacks, by their depth: the top alone, its children, theirs."""
        levels: t.List[t.List[Document]] = [[top]]
        seen = {top.digest}
        while True:
            children: t.Dict[Digest, Descriptor] = {}
            for document in levels[-1]:
                if isinstance(document, Index):
                    children.update({child.digest: child for child in document.manifests if child.digest not in seen})
            if not children:
                return levels
            seen.update(children)
            found = in_parallel(self._if_lacking, list(children.values()), self._parallel, self._cancel)
            levels.append([document for document in found if document is not None])

    def _if_lacking(self, child: Descriptor) -> t.Optional[Document]:
        """The document, unless the registry has it, and so all below it."""
        reference = Reference(self._reference.registry, self._reference.repository, digest=child.digest)
        if self._client.head_manifest(reference, mirrors=False) is not None:
            return None
        if not self._layout.has(child.digest):
            raise OciError(
                "the image is not whole in the store",
                where=str(self._reference),
                why=f"neither the store nor the registry has {child.digest}",
                fix="Pull it for all its platforms, or push one platform's image.",
            )
        return self._layout.read_document(child)

    def _push_blobs(self, blobs: t.Sequence[Descriptor]) -> None:
        sources = self._mountable({blob.digest for blob in blobs})

        def push_one(blob: Descriptor) -> t.Tuple[str, int]:
            how = self._client.push_blob(
                self._reference,
                blob,
                self._layout,
                sources.get(blob.digest, ()),
                self._progress,
                cancel=self._cancel,
            )
            self._progress.item(str(blob.digest))
            return how, blob.size

        ordered = sorted(blobs, key=lambda blob: -blob.size)
        for how, size in in_parallel(push_one, ordered, self._parallel, self._cancel):
            self._pushed += size if how == PUSHED else 0
            self._mounted += size if how == MOUNTED else 0

    def _mountable(self, wanted: t.Set[Digest]) -> t.Dict[Digest, t.Tuple[str, ...]]:
        """For blobs that are part of another image of the same registry: that image's repository."""
        sources: t.Dict[Digest, t.Tuple[str, ...]] = {}
        for name, descriptor in self._layout.names().items():
            other = Reference.parse(name)
            if other.registry != self._reference.registry or other.repository == self._reference.repository:
                continue
            for part in self._layout.reachable(descriptor):
                if part.digest in wanted:
                    sources.setdefault(part.digest, (other.repository,))
        return sources

    def _put(self, document: Document) -> int:
        reference = Reference(self._reference.registry, self._reference.repository, digest=document.digest)
        self._client.put_manifest(reference, document)
        self._progress.add(len(document.raw))
        self._progress.item(str(document.digest))
        return len(document.raw)


def _blobs(documents: t.Iterable[Document]) -> t.List[Descriptor]:
    """The blobs of all these manifests, each once."""
    found: t.Dict[Digest, Descriptor] = {}
    for document in documents:
        if isinstance(document, Manifest):
            found.update({child.digest: child for child in document.children if not is_foreign(child.media_type)})
    return list(found.values())
