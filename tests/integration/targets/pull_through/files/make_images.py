# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts an image for two platforms into a layout: make_images.py LAYOUT SAYS NAME"""

from __future__ import annotations

import json
import sys

from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.sample_image import PLATFORMS, noise, put_manifest

SIZE = 1 << 20


def main() -> None:
    path, says, name = sys.argv[1:]
    layout = Layout.open(path, create=True)
    entries = []
    for platform in PLATFORMS:
        text = f"{says} {platform}"
        made, _layer = put_manifest(layout, platform, {"whoami": text.encode(), "noise": noise(text, SIZE)})
        operating_system, _slash, architecture = platform.partition("/")
        entries.append(
            {
                "mediaType": made.media_type,
                "digest": str(made.digest),
                "size": made.size,
                "platform": {"os": operating_system, "architecture": architecture},
            }
        )
    raw = json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": entries}, indent=2).encode()
    index = Descriptor(media.OCI_INDEX, layout.put_bytes(raw), len(raw))
    layout.tag(Reference.parse(name), index)
    print(index.digest)


if __name__ == "__main__":
    main()
