# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking what nothing names out of a layout, and checking what is in it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Digest, VerifyingReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import os_errors, partial_path, remove_if_free
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_index import name_of
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout


@dataclass(frozen=True)
class Pruned:
    """A blob, or the rest of a broken-off write of one, that nothing names."""

    digest: Digest
    size: int
    partial: bool = False


def prune(layout: Layout, dry_run: bool) -> t.List[Pruned]:
    """Remove what no name reaches; the caller keeps writers out."""
    kept = {blob.digest for entry in layout.entries() for blob in layout.reachable(entry)}
    result = []
    with os_errors("cannot prune the store", layout.path):
        for digest, partial in _files(layout):
            path = layout.blob_path(digest)
            if partial:
                path = partial_path(path)
            elif digest in kept:
                continue
            with contextlib.suppress(FileNotFoundError):
                size = os.stat(path).st_size
                if dry_run or remove_if_free(path):
                    result.append(Pruned(digest, size, partial))
    return result


def verify(layout: Layout) -> t.List[str]:
    """What is wrong in the layout, a line each."""
    problems = []
    for digest, partial in _files(layout):
        if not partial:
            problems += _hash_problems(layout, digest)
    try:
        entries = layout.entries()
    except OciError as error:
        return [*problems, str(error)]
    for entry in entries:
        problems += _missing(layout, entry)
    return problems


def missing(layout: Layout, top: Descriptor) -> t.List[Descriptor]:
    """What belongs to the image and is not there, or has another size."""
    return [blob for blob in layout.reachable(top) if not layout.has(blob.digest, blob.size)]


def _files(layout: Layout) -> t.List[t.Tuple[Digest, bool]]:
    result = []
    root = os.path.join(layout.path, "blobs")
    for algorithm in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        for name in sorted(os.listdir(os.path.join(root, algorithm))):
            partial = name.startswith(".") and name.endswith(".partial")
            digest = _digest(algorithm, name[1 : -len(".partial")] if partial else name)
            if digest is not None:
                result.append((digest, partial))
    return result


def _digest(algorithm: str, hexadecimal: str) -> t.Optional[Digest]:
    try:
        return Digest(algorithm, hexadecimal)
    except OciError:
        return None


def _hash_problems(layout: Layout, digest: Digest) -> t.List[str]:
    try:
        with layout.open_blob(digest) as stream, os_errors(f"cannot read blob {digest}", layout.path):
            reader = VerifyingReader(stream, digest)
            while reader.read(CHUNK):
                pass
    except OciError as error:
        return [f"{layout.blob_path(digest)}: {error}"]
    return []


def _missing(layout: Layout, entry: Descriptor) -> t.List[str]:
    name = name_of(entry) or str(entry.digest)
    try:
        return [f"{name}: blob {blob.digest} of {blob.size} bytes is missing" for blob in missing(layout, entry)]
    except OciError as error:
        return [f"{name}: {error}"]
