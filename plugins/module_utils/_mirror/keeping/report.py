# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a mirror's store: names, tags that were pulled through, and how much room it all takes.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.tags import Tags
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import is_cluster_image
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import os_errors
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    INDEX_TYPES,
    KIND_CLUSTER_IMAGE,
    KIND_CONTAINER_IMAGE,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor

Json = t.Dict[str, t.Any]

NOTHING: Json = {"blobs": 0, "bytes": 0}


def contents(store: str) -> Json:
    """The report; of a store that does not exist it is empty."""
    if not Layout.exists(store):
        empty: Json = {"names": [], "tags": [], "pulled": {**NOTHING, "origins": {}}, "store": dict(NOTHING)}
        return {"exists": False, **empty}
    layout = Layout.open(store)
    with os_errors("the store cannot be read", store):
        return {
            "exists": True,
            "names": [_named(layout, name, found) for name, found in sorted(layout.names().items())],
            "tags": _tags(store),
            "pulled": _pulled(layout),
            "store": {**_blobs(store), **_disk(store)},
        }


def pulled(layout: Layout) -> Json:
    """How much is here of what was pulled through."""
    found = _pulled(layout)
    return {"blobs": found["blobs"], "bytes": found["bytes"]}


def _named(layout: Layout, name: str, found: Descriptor) -> Json:
    kind = KIND_CONTAINER_IMAGE
    if found.media_type in INDEX_TYPES and layout.has(found.digest):
        document = layout.read_document(found)
        if is_cluster_image(document):
            kind = KIND_CLUSTER_IMAGE
    return {"name": name, "digest": str(found.digest), "kind": kind}


def _tags(store: str) -> t.List[Json]:
    entries = sorted(Tags(store).entries(), key=lambda entry: entry[0])
    return [
        {"name": name, "digest": str(record.digest), "checked": int(record.checked), "from": record.origin}
        for name, record in entries
    ]


def _pulled(layout: Layout) -> Json:
    total: Json = {**NOTHING, "origins": {}}
    for entry in PulledRecords(layout).entries():
        if layout.has(entry.digest):
            for part in (total, total["origins"].setdefault(entry.origin, dict(NOTHING))):
                part["blobs"] += 1
                part["bytes"] += entry.size
    return total


def _blobs(store: str) -> Json:
    total = dict(NOTHING)
    for directory, _directories, names in os.walk(os.path.join(store, "blobs")):
        for name in names:
            if not name.startswith("."):
                try:
                    total["bytes"] += os.stat(os.path.join(directory, name)).st_size
                except FileNotFoundError:
                    continue
                total["blobs"] += 1
    return total


def _disk(store: str) -> Json:
    found = os.statvfs(store)
    return {"disk_bytes": found.f_blocks * found.f_frsize, "disk_free_bytes": found.f_bavail * found.f_frsize}
