# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole images between registries and the store: byte for byte, in parallel, no byte twice.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import threading
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import Document, RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import platform_of
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch, check
from ansible_collections.sealer.cluster.plugins.module_utils._oci.image_push import PushResult, push
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import OCI_CONFIG, is_foreign
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Index,
    Manifest,
    Platform,
    parse_document,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress, Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.workers import in_parallel

__all__ = ["PullResult", "PulledImage", "PushResult", "Stats", "pull", "pull_image", "pull_images", "push"]

_TRIES = 3
_DEEPEST = 4
_CONFIG_TYPES = frozenset({OCI_CONFIG, "application/vnd.docker.container.image.v1+json"})


@dataclass(frozen=True)
class Stats:
    """What it took. Reused bytes were in the store already."""

    bytes_downloaded: int = 0
    bytes_reused: int = 0
    requests: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class PullResult:
    """The image that is now in the store under its name."""

    descriptor: Descriptor
    stats: Stats


@dataclass(frozen=True)
class PulledImage:
    """A container image for one platform, in the store without a name; ``index`` is the document that listed it."""

    reference: Reference
    manifest: Descriptor
    index: t.Optional[Descriptor] = None


def pull(
    client: RegistryClient,
    layout: Layout,
    reference: Reference,
    platforms: t.Optional[t.Sequence[Platform]] = None,
    parallel: int = 8,
    progress: t.Optional[Progress] = None,
    *,
    named: t.Optional[Reference] = None,
) -> PullResult:
    """Bring an image into the store and name it there, for the given platforms or for all that it has.

    Of an index, all of the document's bytes come, whatever the platforms. What is in the store is not fetched again.
    Its name in the store is the one it came by, unless another is given.
    """
    work = _Work(client, layout, parallel, progress or NullProgress())
    with layout.session():
        top = work.top(reference)
        documents = work.family(reference, top, platforms or ())
        work.fetch([(reference, document) for document in documents if isinstance(document, Manifest)])
        if isinstance(top, Manifest):
            for platform in platforms or ():
                work.require_platform(reference, top, platform)
        for document in reversed(documents):
            work.store(document)
        layout.tag(named or reference, top.descriptor(), platforms or ())
    return PullResult(top.descriptor(), work.stats())


def pull_image(
    client: RegistryClient,
    layout: Layout,
    reference: Reference,
    platform: Platform,
    parallel: int = 8,
    progress: t.Optional[Progress] = None,
) -> PulledImage:
    """Bring a container image for one platform into the store. See pull_images."""
    return pull_images(client, layout, [(reference, platform)], parallel, progress)[0]


def pull_images(
    client: RegistryClient,
    layout: Layout,
    wanted: t.Sequence[t.Tuple[Reference, Platform]],
    parallel: int = 8,
    progress: t.Optional[Progress] = None,
) -> t.List[PulledImage]:
    """Bring container images into the store, in parallel across images and layers; the results in the order asked.

    They get no name: hold the layout's session until something that has one names them.
    """
    work = _Work(client, layout, parallel, progress or NullProgress())
    with layout.session():
        found = in_parallel(lambda one: work.resolve(*one), list(wanted), parallel, work.cancel)
        work.fetch([(reference, manifest) for (reference, _platform), (_index, manifest) in zip(wanted, found)])
        results = []
        for (reference, platform), (index, manifest) in zip(wanted, found):
            if index is None:
                work.require_platform(reference, manifest, platform)
            work.store(manifest)
            if index is not None:
                work.store(index)
            results.append(PulledImage(reference, manifest.descriptor(), index.descriptor() if index else None))
    return results


class _Work:
    """One pull: what it goes through, and what it counts."""

    def __init__(self, client: RegistryClient, layout: Layout, parallel: int, progress: Progress) -> None:
        self._client = client
        self._layout = layout
        self._parallel = parallel
        self._progress = progress
        self._reused = 0
        self._before = (client.bytes_downloaded, client.requests, time.monotonic())
        self.cancel = threading.Event()

    def stats(self) -> Stats:
        """What it took so far."""
        downloaded, requests, began = self._before
        return Stats(
            self._client.bytes_downloaded - downloaded,
            self._reused,
            self._client.requests - requests,
            time.monotonic() - began,
        )

    def top(self, reference: Reference) -> Document:
        """What the reference means; from the store when it is pinned and there."""
        if reference.digest is not None and self._layout.has(reference.digest):
            return self._layout.read_document(reference.digest)
        return self._client.get_manifest(reference)

    def family(self, reference: Reference, top: Document, platforms: t.Sequence[Platform]) -> t.List[Document]:
        """The document and all documents below it, for these platforms, parents first."""
        found: t.List[Document] = [top]
        level = chosen(reference, top, platforms) if isinstance(top, Index) else []
        for _depth in range(_DEEPEST):
            seen = {document.digest for document in found}
            fresh = list({child.digest: child for child in level if child.digest not in seen}.values())
            if not fresh:
                return found
            below = in_parallel(lambda child: self._document(reference, child), fresh, self._parallel, self.cancel)
            found += below
            level = [child for document in below if isinstance(document, Index) for child in document.manifests]
        raise OciError("its indexes are nested too deeply", where=str(reference), why=f"more than {_DEEPEST} levels")

    def resolve(self, reference: Reference, platform: Platform) -> t.Tuple[t.Optional[Index], Manifest]:
        """The index that the reference means, if it is one, and the manifest for the platform."""
        top = self.top(reference)
        if isinstance(top, Manifest):
            return None, top
        entries = chosen(reference, top, [platform])
        entries = [entry for entry in entries if platform_of(entry) is not None]
        exact = [entry for entry in entries if platform_of(entry) == platform]
        manifest = self._document(reference, (exact or entries)[0])
        if not isinstance(manifest, Manifest):
            raise OciError("there is an index inside its index", where=str(reference), fix="Name an image inside it.")
        return top, manifest

    def fetch(self, manifests: t.Sequence[t.Tuple[Reference, Manifest]]) -> None:
        """Bring in all blobs that these name and that are not there: the largest first."""
        blobs: t.Dict[Digest, t.Tuple[Reference, Descriptor]] = {}
        for reference, manifest in manifests:
            for child in manifest.children:
                if not is_foreign(child.media_type):
                    blobs.setdefault(child.digest, (reference, child))
        missing = [one for one in blobs.values() if not self._layout.has(one[1].digest, one[1].size)]
        missing.sort(key=lambda one: -one[1].size)
        size = sum(descriptor.size for _reference, descriptor in missing)
        self._reused += sum(descriptor.size for _reference, descriptor in blobs.values()) - size
        self._progress.total(size, len(missing))
        in_parallel(lambda one: self._blob(*one), missing, self._parallel, self.cancel)

    def store(self, document: Document) -> None:
        """Put a document's own bytes into the store."""
        with self._layout.writer(document.digest, len(document.raw)) as writer:
            if not writer.done:
                writer.restart()
                writer.write(document.raw)
                writer.commit()

    def require_platform(self, reference: Reference, manifest: Manifest, platform: Platform) -> None:
        """Raise unless the image, whose config is in the store, is made for the platform, or does not tell."""
        if manifest.config.media_type not in _CONFIG_TYPES:
            return
        config = load_object(self._layout.read_blob(manifest.config.digest), f"image config {manifest.config.digest}")
        system, architecture = config.get("os"), config.get("architecture")
        if not isinstance(system, str) or not isinstance(architecture, str) or not system or not architecture:
            return
        variant = config.get("variant")
        own = Platform(system, architecture, variant if isinstance(variant, str) else "")
        if not own.matches(platform):
            raise _not_for(reference, [platform], [own])

    def _document(self, reference: Reference, child: Descriptor) -> Document:
        if self._layout.has(child.digest, child.size):
            return self._layout.read_document(child)
        document = self._client.get_manifest(reference.with_digest(child.digest))
        where = str(reference.with_digest(child.digest))
        check(child.digest, child.size, child.digest.hex, len(document.raw), where=where)
        return parse_document(document.raw, child.media_type)

    def _blob(self, reference: Reference, descriptor: Descriptor) -> None:
        for left in reversed(range(_TRIES)):
            with self._layout.writer(descriptor.digest, descriptor.size) as writer:
                if writer.done:
                    self._progress.add(descriptor.size)
                    break
                try:
                    self._client.fetch_blob(reference, descriptor, writer, self._progress, cancel=self.cancel)
                    break
                except DigestMismatch:
                    if not left:
                        raise
        self._progress.item(str(descriptor.digest))


def chosen(reference: Reference, index: Index, platforms: t.Sequence[Platform]) -> t.List[Descriptor]:
    """The entries for these platforms, and those for any; all when none is asked; an error when one has no entry."""
    if not platforms:
        return index.manifests
    own = [(entry, platform_of(entry)) for entry in index.manifests]
    lacking = [one for one in platforms if not any(has is not None and has.matches(one) for _entry, has in own)]
    if lacking:
        raise _not_for(reference, lacking, [has for _entry, has in own if has is not None])
    return [entry for entry, has in own if has is None or any(has.matches(one) for one in platforms)]


def _not_for(reference: Reference, lacking: t.Sequence[Platform], own: t.Sequence[Platform]) -> OciError:
    there = ", ".join(sorted({str(platform) for platform in own if platform.os != "unknown"})) or "no platform"
    return OciError(
        f"the image is not made for {', '.join(map(str, lacking))}",
        where=str(reference),
        why=f"it is made for {there}",
        fix="Ask for one of these, or name another image.",
    )
