# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remember which layer a set of files gave, so that it is not packed again, and what layers hold.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry, Layer
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import make_directories, replace_file

DIRECTORY = "cache"
_LISTING_VERSION = 1


class _JsonFiles:
    """Small JSON files in one directory below `<store>/cache`."""

    def __init__(self, store: str, name: str) -> None:
        self.directory = os.path.join(store, DIRECTORY, name)

    def get(self, key: str) -> t.Any:
        """What was put there. A file that cannot be read counts as none."""
        try:
            with open(os.path.join(self.directory, key), encoding="utf-8") as handle:
                return json.load(handle)
        except (OSError, ValueError, RecursionError):
            return None

    def put(self, key: str, value: t.Any) -> None:
        """Remember a value.

        What is known already stays untouched: a kill while it is written again would leave a part of it that no
        later build, which finds the whole of it, writes over.
        """
        if self.get(key) == value:
            return
        try:
            make_directories(self.directory)
            replace_file(os.path.join(self.directory, key), json.dumps(value).encode())
        except OSError as error:
            raise BuildError(
                "cannot write the build's cache", where=self.directory, why=error.strerror or str(error)
            ) from error


class LayerCache:
    """One small file a layer below `<store>/cache/layers`; whether the blob is still there, the caller checks."""

    def __init__(self, store: str) -> None:
        self._files = _JsonFiles(store, "layers")

    def get(self, key: str) -> t.Optional[Layer]:
        """What a key gave. A file that cannot be understood counts as none: the layer is packed again."""
        value = self._files.get(key)
        try:
            return Layer(Digest.parse(value["digest"]), int(value["size"]), Digest.parse(value["diffID"]))
        except (ValueError, KeyError, TypeError, AttributeError, OciError):
            return None

    def put(self, key: str, layer: Layer) -> None:
        """Remember what a key gave."""
        value = {"digest": str(layer.digest), "size": layer.size, "diffID": str(layer.diff_id)}
        self._files.put(key, value)

    def scratch_file(self) -> t.IO[bytes]:
        """An unnamed file on the store's file system, to pack a layer into."""
        directory = self._files.directory
        try:
            make_directories(directory)
            return tempfile.TemporaryFile(dir=directory)
        except OSError as error:
            raise BuildError("cannot pack a layer", where=directory, why=error.strerror or str(error)) from error


class ListingCache:
    """What the layers with these digests hold, a file each below `<store>/cache/listings`."""

    def __init__(self, store: str) -> None:
        self._files = _JsonFiles(store, "listings")

    def get(self, digest: Digest) -> t.Optional[t.List[Entry]]:
        """The layer's entries. A file that cannot be understood counts as none: the layer is read again."""
        value = self._files.get(digest.hex)
        try:
            if value["version"] != _LISTING_VERSION:
                return None
            return [_entry(*one) for one in value["entries"]]
        except (ValueError, KeyError, TypeError):
            return None

    def put(self, digest: Digest, entries: t.Sequence[Entry]) -> None:
        """Remember a layer's entries."""
        facts = [[one.path, one.kind, one.mode, one.uid, one.gid, one.target, one.mtime] for one in entries]
        self._files.put(digest.hex, {"version": _LISTING_VERSION, "entries": facts})


def _entry(path: str, kind: str, mode: int, uid: int, gid: int, target: str, mtime: int) -> Entry:
    texts, numbers = (path, kind, target), (mode, uid, gid, mtime)
    if not all(isinstance(one, str) for one in texts) or not all(isinstance(one, int) for one in numbers):
        raise TypeError("an entry of another shape")
    return Entry(path, kind, mode, uid, gid, target=target, mtime=mtime)
