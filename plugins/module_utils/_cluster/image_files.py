# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Some files of an image's root file system, unpacked without the rest, and packed to be sent.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.extract import Extractor
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_source import Source
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest

_ARCHIVE = "image-files.tar"
_LINK_ROUNDS = 5


def unpack(source: Source, manifest: Digest, paths: t.Collection[str], parent: str) -> str:
    """Unpack these paths, and the files that they are links to, into a new directory below parent; returns it."""
    asked = set(paths)
    for _round in range(_LINK_ROUNDS):
        directory = tempfile.mkdtemp(prefix="image-", dir=parent)
        extractor = Extractor(directory, asked)
        for layer in source.manifest(manifest).layers:
            extractor.apply(source.blob(layer.digest, layer.size), layer.media_type, f"layer {layer.digest}")
        extractor.finish()
        missing = _goals(directory, paths) - asked
        if not missing:
            break
        asked |= missing
    return directory


def _goals(directory: str, paths: t.Collection[str]) -> t.Set[str]:
    """Where the links lead that some paths are, or hold as files of a directory, and that are not there."""
    top = os.path.realpath(directory)
    places = [os.path.join(top, path) for path in paths]
    places += [entry.path for place in places if os.path.isdir(place) for entry in os.scandir(place)]
    return {
        os.path.relpath(os.path.realpath(place), top)
        for place in places
        if os.path.islink(place) and not os.path.exists(place)
    }


def pack(directory: str, parent: str) -> str:
    """All of a directory as one file below parent; returns its path."""
    path = os.path.join(parent, _ARCHIVE)
    with tarfile.open(path, "w") as archive:
        for name in sorted(os.listdir(directory)):
            archive.add(os.path.join(directory, name), name)
    return path


def unpack_archive(path: str, parent: str) -> str:
    """What pack packed, in a new directory below parent; returns it."""
    directory = tempfile.mkdtemp(prefix="image-", dir=parent)
    extractor = Extractor(directory)
    with open(path, "rb") as stream:
        extractor.apply(stream, ".tar", path)
    extractor.finish()
    return directory
