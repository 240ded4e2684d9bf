# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the processes of the concurrency and kill tests do to a store. Run as: layout_worker.py STORE SEED COUNT."""

from __future__ import annotations

import hashlib
import random
import sys

from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, canonical_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

STEP = 64 * 1024


def content(number: int) -> bytes:
    return hashlib.shake_256(b"%d" % number).digest(STEP * (1 + number % 4) + number)


def put_layer(layout: Layout, number: int) -> Descriptor:
    """Write one layer in small steps, taking up what an earlier run left."""
    data = content(number)
    digest = Digest.of(data)
    with layout.writer(digest, len(data)) as writer:
        if not writer.done:
            for start in range(writer.offset, len(data), STEP):
                writer.write(data[start : start + STEP])
            writer.commit()
    return Descriptor(media.LAYER_TAR, digest, len(data))


def put_image(layout: Layout, number: int) -> Descriptor:
    """An image whose layers it shares with its neighbours."""
    config = canonical_json({"number": number})
    document = {
        "schemaVersion": 2,
        "mediaType": media.OCI_MANIFEST,
        "config": Descriptor(media.OCI_CONFIG, layout.put_bytes(config), len(config)).to_json(),
        "layers": [put_layer(layout, number + step).to_json() for step in range(3)],
    }
    raw = canonical_json(document)
    return Descriptor(media.OCI_MANIFEST, layout.put_bytes(raw), len(raw))


def reference(number: int) -> Reference:
    return Reference.parse(f"quay.io/t/image:{number}")


def work(path: str, seed: int, count: int) -> None:
    """Name the first ``count`` images in this seed's order, and in between rename, remove names and prune."""
    layout = Layout.open(path, create=True)
    chance = random.Random(seed)
    for number in chance.sample(range(count), count):
        with layout.session():
            layout.tag(reference(number), put_image(layout, number))
        extra = Reference.parse(f"quay.io/t/extra-{seed}:{number % 2}")
        with layout.session():
            layout.tag(extra, put_image(layout, number))
        layout.untag(extra)
        if chance.random() < 0.3:
            layout.prune()


if __name__ == "__main__":
    print("working", flush=True)
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
