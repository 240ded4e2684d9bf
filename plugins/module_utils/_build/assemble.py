# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents of a cluster image: rootfs config and manifest, lock manifest.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.base import Base
from ansible_collections.sealer.cluster.plugins.module_utils._build.evaluate import Plan
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Layer
from ansible_collections.sealer.cluster.plugins.module_utils._build.lock import Lock
from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Pool
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    EMPTY,
    EMPTY_CONTENT,
    LAYER_TAR_GZIP,
    LOCK_V1,
    OCI_CONFIG,
    OCI_MANIFEST,
    UPSTREAM_INDEX_V1,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Platform, canonical_json


def rootfs(
    pool: Pool, base: Base, plan: Plan, layers: t.Sequence[t.Optional[Layer]], platform: Platform, epoch: int
) -> Descriptor:
    """The rootfs manifest. `layers` has one entry a step, None for a step without files."""
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
    history = [
        {"created": created, "created_by": step.text, **({} if layer else {"empty_layer": True})}
        for step, layer in zip(plan.steps, layers)
    ]
    made = [layer for layer in layers if layer]
    config = {
        **platform.to_json(),
        "created": created,
        "config": {"Env": [f"{key}={value}" for key, value in plan.env.items()], "Labels": plan.all_labels()},
        "rootfs": {"type": "layers", "diff_ids": base.diff_ids + [str(layer.diff_id) for layer in made]},
        "history": base.history + history,
    }
    descriptors = base.layers + [Descriptor(LAYER_TAR_GZIP, layer.digest, layer.size) for layer in made]
    return _manifest(pool, {}, _put(pool, OCI_CONFIG, canonical_json(config)), descriptors)


def lock(pool: Pool, content: Lock, documents: t.Iterable[Descriptor]) -> Descriptor:
    """The lock manifest; `documents` are the indexes that names stand for, byte for byte."""
    layers = {one.digest: Descriptor(UPSTREAM_INDEX_V1, one.digest, one.size) for one in documents}
    text = canonical_json(json.loads(content.dump()))
    return _manifest(
        pool,
        {"artifactType": LOCK_V1},
        _put(pool, EMPTY, EMPTY_CONTENT),
        [_put(pool, LOCK_V1, text)] + [layers[digest] for digest in sorted(layers)],
    )


def _manifest(pool: Pool, extra: t.Mapping[str, str], config: Descriptor, layers: t.Sequence[Descriptor]) -> Descriptor:
    document = {
        **extra,
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return _put(pool, OCI_MANIFEST, canonical_json(document))


def _put(pool: Pool, media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type, pool.put(data), len(data))
