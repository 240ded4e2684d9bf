# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find every container image: pinned by the lock, in the store, or in a registry.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ansible_collections.sealer.cluster.plugins.module_utils._build.lock import LockedImage
from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Document
from ansible_collections.sealer.cluster.plugins.module_utils._build.sources import NEVER, Sources, choose
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import is_cluster_image
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

STORE = "store"


@dataclass(frozen=True)
class Wanted:
    """A container image that is asked for on a platform, and by whom."""

    reference: Reference
    platform: Platform
    why: t.Tuple[str, ...]


@dataclass(frozen=True)
class Resolved:
    """What it is: `document` the name stands for, `manifest` runs on the platform."""

    wanted: Wanted
    document: Descriptor
    manifest: Descriptor
    size: int
    source: str
    reused: bool

    def locked(self) -> LockedImage:
        return LockedImage(
            reference=str(self.wanted.reference),
            digest=str(self.document.digest),
            manifest=str(self.manifest.digest),
            media_type=self.manifest.media_type,
            platform=str(self.wanted.platform),
            size=self.size,
            source=self.source,
            why=self.wanted.why,
        )


def resolve_all(sources: Sources, wanted: t.Sequence[Wanted], parallel: int, progress: Progress) -> t.List[Resolved]:
    """All container images, in the order asked. What cannot be had is told all at once.

    `parallel` transfers are spread over images and over the layers of each.
    """
    progress.total(0, len(wanted))
    workers = max(1, min(len(wanted), parallel // 2))
    sources = replace(sources, parallel=max(1, parallel // workers))

    def attempt(one: Wanted) -> t.Union[Resolved, SealerError]:
        try:
            result = _resolve(sources, one)
        except SealerError as error:
            return error
        progress.item(str(one.reference))
        return result

    with ThreadPoolExecutor(max_workers=workers) as executor:
        results = list(executor.map(attempt, wanted))
    failed = [(one, result) for one, result in zip(wanted, results) if isinstance(result, SealerError)]
    if failed:
        raise _missing(failed)
    return [result for result in results if isinstance(result, Resolved)]


def _missing(failed: t.Sequence[t.Tuple[Wanted, SealerError]]) -> BuildError:
    lines = [f"{one.reference} for {one.platform} (asked by {'; '.join(one.why)}): {error}" for one, error in failed]
    if len(lines) == 1:
        return BuildError(f"container image {lines[0]}")
    told = "\n".join(f"  {line}" for line in lines)
    return BuildError(f"{len(lines)} container images cannot be had\n{told}")


def _resolve(sources: Sources, wanted: Wanted) -> Resolved:
    """The lock decides; but what somebody made in the store and calls so is what it is now, as with a base image."""
    pin = sources.lock.image(str(wanted.reference), wanted.platform)
    if sources.frozen and pin is None:
        raise BuildError(
            "it is not in the lock", why="frozen is set", fix="Build once without frozen, and keep the lock"
        )
    if sources.asks_first:
        return _from_registry(sources, wanted, wanted.reference)
    if pin and (sources.frozen or pin.source != STORE or not sources.pool.is_given(wanted.reference)):
        digest = Digest.parse(pin.digest)
        return _from_store(sources, wanted, digest, pin.source) or _fetch(sources, wanted, digest, pin)
    named = sources.pool.named(wanted.reference)
    digest_here = wanted.reference.digest or (named.digest if named else None)
    source = STORE if sources.pool.is_given(wanted.reference) else wanted.reference.registry
    found = _from_store(sources, wanted, digest_here, source) if digest_here else None
    return found or _fetch(sources, wanted, None, None)


def _fetch(sources: Sources, wanted: Wanted, digest: t.Optional[Digest], pin: t.Optional[LockedImage]) -> Resolved:
    if sources.pull == NEVER:
        raise BuildError(
            "it is not in the store for this platform",
            why="pull is never" + (f", and the lock pins {digest}" if digest else ""),
            fix="Pull or load it first, or allow pulling",
        )
    asked = wanted.reference.with_digest(digest) if digest else wanted.reference
    try:
        found = _from_registry(sources, wanted, asked)
    except SealerError as error:
        if pin and pin.source == STORE:
            raise BuildError(
                f"the lock pins {digest}, which is not in the store",
                why=str(error),
                fix="Put that image back into the store, or delete its entry in the lock",
            ) from error
        raise
    return found


def _from_store(sources: Sources, wanted: Wanted, digest: Digest, source: str) -> t.Optional[Resolved]:
    """The image by the digest its name stands for; None when it is not here as a whole, for this platform."""
    pool = sources.pool
    if not pool.has(digest):
        return None
    document = pool.document(digest)
    if isinstance(document, Index):
        if is_cluster_image(document):
            raise BuildError("it is a cluster image, no container image")
        manifest = choose(document, wanted.platform, str(wanted.reference))
    else:
        manifest = document.descriptor()
    if not pool.is_whole(manifest) or not _runs_here(sources, document, wanted.platform):
        return None
    return _resolved(sources, wanted, document, manifest, source, reused=True)


def _from_registry(sources: Sources, wanted: Wanted, asked: Reference) -> Resolved:
    pool = sources.pool
    if pool.write and pool.layout:
        document = pool.document(
            sources.registry.pull_container_image(pool.layout, asked, wanted.platform, sources.parallel)
        )
    else:
        document = sources.registry.document(asked)
        pool.remember(document.raw)
    if isinstance(document, Index):
        if is_cluster_image(document):
            raise BuildError("it is a cluster image, no container image")
        manifest = choose(document, wanted.platform, str(wanted.reference))
        if not pool.has(manifest.digest):
            pool.remember(sources.registry.document(asked.with_digest(manifest.digest)).raw)
    else:
        manifest = document.descriptor()
        if not _runs_here(sources, document, wanted.platform):
            raise BuildError(f"it is not made for {wanted.platform}", why="its one manifest is for another platform")
    return _resolved(sources, wanted, document, manifest, wanted.reference.registry, reused=False)


def _runs_here(sources: Sources, document: Document, platform: Platform) -> bool:
    """Whether an image without an index says in its config that it is for this platform. Unread, it is believed."""
    if not isinstance(document, Manifest) or not sources.pool.has(document.config.digest):
        return True
    try:
        config = load_object(sources.pool.read(document.config.digest), "it")
        os, architecture, variant = (str(config.get(key) or "") for key in ("os", "architecture", "variant"))
    except OciError as error:
        raise BuildError("its config cannot be read", why=str(error)) from error
    return not architecture or Platform(os, architecture, variant).matches(platform)


def _resolved(
    sources: Sources, wanted: Wanted, document: Document, manifest: Descriptor, source: str, *, reused: bool
) -> Resolved:
    content = sources.pool.document(manifest)
    if not isinstance(content, Manifest):
        raise BuildError("it is an index of indexes", fix="Name the inner one by its digest")
    size = len(content.raw) + content.config.size + sum(layer.size for layer in content.layers)
    return Resolved(wanted, document.descriptor(), content.descriptor(), size, source, reused)
