# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write an OCI image layout with container images of one platform: make_store.py DIRECTORY ARCHITECTURE NAME..."""

from __future__ import annotations

import hashlib
import json
import pathlib
import sys

OCI = "application/vnd.oci.image."


def main(directory: str, architecture: str, *names: str) -> None:
    root = pathlib.Path(directory)
    blobs = root / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(kind: str, value: object) -> dict[str, object]:
        data = json.dumps(value).encode()
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": f"{OCI}{kind}.v1+json", "digest": f"sha256:{digest}", "size": len(data)}

    entries = []
    for name in names:
        platform = {"os": "linux", "architecture": architecture}
        rootfs = {"type": "layers", "diff_ids": []}
        config = put("config", {**platform, "rootfs": rootfs, "config": {"Labels": {"name": name}}})
        manifest = {"schemaVersion": 2, "mediaType": f"{OCI}manifest.v1+json", "config": config, "layers": []}
        entries.append({**put("manifest", manifest), "annotations": {"org.opencontainers.image.ref.name": name}})
    index = {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": entries}
    (root / "index.json").write_text(json.dumps(index))
    (root / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


if __name__ == "__main__":
    main(*sys.argv[1:])
