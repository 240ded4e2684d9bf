# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a build tells when it is done.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._build.evaluate import Plan
from ansible_collections.sealer.cluster.plugins.module_utils._build.lock import Lock, LockedImage
from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Pool
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import ContainerImage
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

RUNTIME_LABEL = "io.sealer.runtime"


@dataclass
class Parts:
    """What goes into the index."""

    rootfs: t.List[t.Tuple[Platform, Descriptor]] = field(default_factory=list)
    locks: t.List[t.Tuple[Platform, Descriptor]] = field(default_factory=list)
    images: t.List[ContainerImage] = field(default_factory=list)
    bytes_reused: int = 0


@dataclass(frozen=True)
class BuildResult:
    """JSON-plain values, named as the module returns them."""

    changed: bool
    image: t.Dict[str, t.Any]
    images: t.List[t.Dict[str, t.Any]]
    lock_file: str
    diff: t.Dict[str, t.Any]
    warnings: t.List[str]
    bytes_reused: int


def report(
    *,
    pool: Pool,
    name: Reference,
    lock_file: str,
    before: t.Optional[Descriptor],
    after: Descriptor,
    old_lock: t.Optional[Lock],
    new_lock: Lock,
    parts: Parts,
    plans: t.Sequence[t.Tuple[Platform, Plan]],
    warnings: t.List[str],
) -> BuildResult:
    """Put the result together."""
    platforms = [platform for platform, _plan in plans]
    other = new_lock.other_platforms(platforms)
    locked = [one for one in new_lock.images if one not in other]
    labels = min(plans, key=lambda one: one[0])[1].all_labels()
    same = before is not None and before.digest == after.digest
    return BuildResult(
        changed=not same or old_lock != new_lock,
        image={
            "name": str(name),
            "digest": str(after.digest),
            "size": _size(pool, after, parts, {one.manifest: one.size for one in locked}),
            "platforms": [str(platform) for platform in sorted(platforms)],
            "labels": labels,
            "runtime": labels.get(RUNTIME_LABEL),
        },
        images=[_told(one) for one in locked],
        lock_file=lock_file,
        diff={"before": _state(name, before, old_lock), "after": _state(name, after, new_lock)},
        warnings=warnings,
        bytes_reused=parts.bytes_reused,
    )


def _told(one: LockedImage) -> t.Dict[str, t.Any]:
    return {
        "reference": one.reference,
        "digest": one.digest,
        "platform": one.platform,
        "size": one.size,
        "why": list(one.why),
    }


def _state(name: Reference, descriptor: t.Optional[Descriptor], lock: t.Optional[Lock]) -> t.Dict[str, t.Any]:
    return {
        "image": {"name": str(name), "digest": str(descriptor.digest)} if descriptor else {},
        "lock": lock.lines() if lock else [],
    }


def _size(pool: Pool, index: Descriptor, parts: Parts, told: t.Mapping[str, int]) -> int:
    """Bytes of all blobs, each counted once. What is not here, in check mode, counts as the lock says."""
    sizes: t.Dict[Digest, int] = {index.digest: index.size}
    descriptors = [one for _platform, one in parts.rootfs + parts.locks] + [one.descriptor for one in parts.images]
    for descriptor in descriptors:
        sizes[descriptor.digest] = descriptor.size
        if not pool.has(descriptor.digest):
            sizes[descriptor.digest] = told.get(str(descriptor.digest), descriptor.size)
            continue
        document = pool.document(descriptor)
        if isinstance(document, Manifest):
            sizes.update((child.digest, child.size) for child in document.children)
    return sum(sizes.values())
