# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images made out of programs, files and Debian packages: the same parts give the same bytes.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import tempfile
import typing as t
from dataclasses import replace

from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, FILE, LINK
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry, Layer, write_layer
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import Image
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import sum_of
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    LAYER_TAR_GZIP,
    OCI_CONFIG,
    OCI_MANIFEST,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Manifest, canonical_json

_EPOCH = 0
_CHUNK = 1 << 20


def make_image(
    image: Image,
    arch: str,
    *,
    layout: Layout,
    directory: str,
    programs: t.Mapping[str, str],
    userland: t.Sequence[Entry],
) -> Descriptor:
    """Bring the image into the store, without a name yet.

    ``programs`` tells where each program lies, ``directory`` is where the image's own files are, and ``userland`` what
    its packages bring; that becomes a layer of its own, which images with the same packages share.
    """
    own = [Entry(path, DIRECTORY, mode) for path, mode in image.directories.items()]
    own += [Entry(path, LINK, 0o777, target=target) for path, target in image.links.items()]
    own += [_file(path, os.path.join(directory, source), 0o644) for path, source in image.files.items()]
    own += [_file(path, programs[name], 0o755) for path, name in image.programs.items()]
    linked = {entry.path: entry.target for entry in userland if entry.kind == LINK}
    own = [replace(entry, path=_through(entry.path, linked)) for entry in own]
    below = _complete(userland, {})
    above = _complete(own, {entry.path: entry for entry in below})
    layers = [_stored(entries, layout) for entries in (below, above) if entries]
    config = {
        "architecture": arch,
        "os": "linux",
        "config": image.config,
        "rootfs": {"type": "layers", "diff_ids": [str(layer.diff_id) for layer in layers]},
    }
    return _manifest(config, layers, layout)


def _file(path: str, source: str, mode: int) -> Entry:
    sha256, size = sum_of(source)
    return Entry(path, FILE, mode, source=source, size=size, sha256=sha256)


def _through(path: str, links: t.Mapping[str, str]) -> str:
    """The path behind a linked top directory, so that a file never takes the link's place."""
    first, slash, rest = path.partition("/")
    return f"{links[first]}/{rest}" if slash and first in links else path


def _complete(entries: t.Sequence[Entry], known: t.Mapping[str, Entry]) -> t.List[Entry]:
    named: t.Dict[str, Entry] = {entry.path: entry for entry in entries}
    for path in sorted(named):
        parts = path.split("/")
        for count in range(1, len(parts)):
            above = "/".join(parts[:count])
            holder = named.get(above) or known.get(above)
            if holder is None:
                named[above] = Entry(above, DIRECTORY, 0o755)
            elif holder.kind != DIRECTORY:
                raise BuildError(f"/{path} cannot be made in a container image", why=f"/{above} is a {holder.kind}")
    return [named[path] for path in sorted(named)]


def _stored(entries: t.Sequence[Entry], layout: Layout) -> Layer:
    with tempfile.TemporaryFile() as spool:
        layer = write_layer(entries, _EPOCH, spool.write)
        spool.seek(0)
        with layout.writer(layer.digest, layer.size) as writer:
            if not writer.done:
                spool.seek(writer.offset)
                for block in iter(lambda: spool.read(_CHUNK), b""):
                    writer.write(block)
                writer.commit()
    return layer


def _manifest(config: t.Mapping[str, t.Any], layers: t.Sequence[Layer], layout: Layout) -> Descriptor:
    raw = canonical_json(config)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": str(layout.put_bytes(raw)), "size": len(raw)},
        "layers": [{"mediaType": LAYER_TAR_GZIP, "digest": str(one.digest), "size": one.size} for one in layers],
    }
    manifest = Manifest.parse(canonical_json(document))
    layout.put_bytes(manifest.raw)
    return manifest.descriptor()
