# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remember which layer a set of files gave, so that it is not packed again.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Layer
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import replace_file

DIRECTORY = "cache"


class LayerCache:
    """One small file a layer below `<store>/cache/layers`; whether the blob is still there, the caller checks."""

    def __init__(self, store: str) -> None:
        self._directory = os.path.join(store, DIRECTORY, "layers")

    def get(self, key: str) -> t.Optional[Layer]:
        """What a key gave. A file that cannot be understood counts as none: the layer is packed again."""
        try:
            with open(os.path.join(self._directory, key), encoding="utf-8") as handle:
                value = json.load(handle)
            return Layer(Digest.parse(value["digest"]), int(value["size"]), Digest.parse(value["diffID"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OciError):
            return None

    def put(self, key: str, layer: Layer) -> None:
        """Remember what a key gave.

        What is known already stays untouched: a kill while it is written again would leave a part of it that no
        later build, which finds the whole of it, writes over.
        """
        if self.get(key) == layer:
            return
        value = {"digest": str(layer.digest), "size": layer.size, "diffID": str(layer.diff_id)}
        try:
            os.makedirs(self._directory, exist_ok=True)
            replace_file(os.path.join(self._directory, key), json.dumps(value).encode())
        except OSError as error:
            raise BuildError(
                "cannot write the layer cache", where=self._directory, why=error.strerror or str(error)
            ) from error

    def scratch_file(self) -> t.IO[bytes]:
        """An unnamed file on the store's file system, to pack a layer into."""
        try:
            os.makedirs(self._directory, exist_ok=True)
            return tempfile.TemporaryFile(dir=self._directory)
        except OSError as error:
            raise BuildError("cannot pack a layer", where=self._directory, why=error.strerror or str(error)) from error
