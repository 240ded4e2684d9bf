# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base image: where it is found, and what a build takes over from it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._build.description import LABEL, Description
from ansible_collections.sealer.cluster.plugins.module_utils._build.evaluate import Inherited
from ansible_collections.sealer.cluster.plugins.module_utils._build.lock import Lock
from ansible_collections.sealer.cluster.plugins.module_utils._build.sources import NEVER, Sources
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import (
    ContainerImage,
    is_cluster_image,
    split,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import ANNOTATION_PLATFORM
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import printable
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference


@dataclass(frozen=True)
class Base:
    """What a base image brings for one platform; all empty for scratch."""

    reference: str = ""
    digest: str = ""
    layers: t.List[Descriptor] = field(default_factory=list)
    diff_ids: t.List[str] = field(default_factory=list)
    history: t.List[t.Any] = field(default_factory=list)
    inherited: Inherited = field(default_factory=Inherited)
    images: t.List[ContainerImage] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)
    documents: t.List[Descriptor] = field(default_factory=list)


def load(sources: Sources, reference: Reference, platform: Platform) -> Base:
    """Find the base image, fetch it where that is needed, and read it."""
    try:
        return _read(sources, _locate(sources, reference, platform), reference, platform)
    except OciError as error:
        raise BuildError(
            f"base image {reference} cannot be had", where=error.where, why=describe(error), fix=error.fix
        ) from error


def _locate(sources: Sources, reference: Reference, platform: Platform) -> Index:
    pinned = sources.lock.base_digest(str(reference))
    if sources.frozen and pinned is None:
        raise BuildError(
            f"base image {reference} is not in the lock",
            why="frozen is set",
            fix="Build once without frozen, and keep the lock that it writes",
        )
    if not sources.asks_first:
        found = _in_store(sources, reference, platform, pinned)
        if found:
            return found
    if sources.pull == NEVER:
        raise BuildError(
            f"base image {reference} is not in the store for {platform}",
            why="pull is never" + (f", and the lock pins {pinned}" if pinned else ""),
            fix="Build, load or pull it first",
        )
    asked = reference if sources.asks_first or not pinned else reference.with_digest(Digest.parse(pinned))
    if sources.pool.write and sources.pool.layout:
        descriptor = sources.registry.pull_cluster_image(sources.pool.layout, asked, platform)
        return _cluster_image(sources.pool.document(descriptor), reference)
    return _remember(sources, asked, platform)


def _in_store(sources: Sources, reference: Reference, platform: Platform, pinned: t.Optional[str]) -> t.Optional[Index]:
    """By the lock alone when frozen; else by its name here, then by the lock."""
    pool = sources.pool
    digests: t.List[Digest] = []
    named = pool.named(reference)
    if reference.digest:
        digests.append(reference.digest)
    elif named and not sources.frozen:
        digests.append(named.digest)
    if pinned:
        digests.append(Digest.parse(pinned))
    for digest in digests:
        if not pool.has(digest):
            continue
        index = _cluster_image(pool.document(digest), reference)
        if pool.is_whole(index.descriptor(annotations={ANNOTATION_PLATFORM: str(platform)})):
            return index
    return None


def _remember(sources: Sources, reference: Reference, platform: Platform) -> Index:
    """Check mode: fetch the few documents that tell what the base is, and none of its layers."""
    pool, registry = sources.pool, sources.registry
    index = _cluster_image(registry.document(reference), reference)
    pool.remember(index.raw)
    rootfs, locks, _images = split(index)
    for entries in (rootfs, locks):
        entry = _for_platform(entries, platform, str(reference))
        manifest = registry.document(reference.with_digest(entry.digest))
        pool.remember(manifest.raw)
        if isinstance(manifest, Manifest):
            wanted = manifest.config if entries is rootfs else manifest.layers[0]
            pool.remember(registry.blob(reference, wanted))
    return index


def _read(sources: Sources, index: Index, reference: Reference, platform: Platform) -> Base:
    pool, name = sources.pool, str(reference)
    rootfs, locks, images = split(index)
    manifest = pool.document(_for_platform(rootfs, platform, name))
    lock = pool.document(_for_platform(locks, platform, name))
    if not isinstance(manifest, Manifest) or not isinstance(lock, Manifest) or not lock.layers:
        raise _unsound(name, "its rootfs or its lock is no manifest")
    try:
        config = load_object(pool.read(manifest.config.digest), "its config")
        settings = config.get("config") or {}
        labels = {str(key): str(value) for key, value in (settings.get("Labels") or {}).items()}
        env = dict(one.split("=", 1) for one in settings.get("Env") or [])
        diff_ids = [str(Digest.parse(one)) for one in config["rootfs"]["diff_ids"]]
        locked = Lock.parse(pool.read(lock.layers[0].digest).decode("utf-8"), f"lock of {name}")
    except (OciError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unsound(name, printable(repr(error))) from error
    if len(diff_ids) != len(manifest.layers):
        raise _unsound(name, f"it has {len(manifest.layers)} layers, but {len(diff_ids)} diff ids")
    return Base(
        reference=name,
        digest=str(index.digest),
        layers=list(manifest.layers),
        diff_ids=diff_ids,
        history=list(config.get("history") or []),
        inherited=Inherited(env, labels, Description.parse(labels.get(LABEL, "null"), name)),
        images=[one for one in images if one.platform.matches(platform)],
        lock=locked,
        documents=list(lock.layers[1:]),
    )


def _cluster_image(document: t.Any, reference: Reference) -> Index:
    if not isinstance(document, Index) or not is_cluster_image(document):
        raise BuildError(
            f"{reference} is not a cluster image",
            why="FROM builds on images made by sealer.cluster.image_build, or on scratch",
            fix="Container images are named in manifests or in the option images",
        )
    return document


def _for_platform(entries: t.Mapping[Platform, Descriptor], platform: Platform, name: str) -> Descriptor:
    for own, entry in entries.items():
        if own.matches(platform):
            return entry
    made_for = ", ".join(str(one) for one in sorted(entries)) or "no platform"
    raise BuildError(f"base image {name} is not made for {platform}", why=f"it has {made_for}", fix="Change platforms")


def _unsound(name: str, why: str) -> BuildError:
    return BuildError(f"{name} is no sound cluster image", why=why, fix="Build or pull it again")


def describe(error: SealerError) -> str:
    """What happened and why, to stand as the reason of another error."""
    return ": ".join(part for part in (error.what, error.why) if part)
