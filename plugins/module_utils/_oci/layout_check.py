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
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import is_free, os_errors, remove_if_free
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import (
    Incoming,
    PulledRecords,
    age,
    parse_digest,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_index import name_of
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import OwnContent
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout


LEFTOVER_SECONDS = 7 * 86400.0

_LEFTOVERS = (".partial", ".anew", ".broken")


@dataclass(frozen=True)
class Pruned:
    """A blob that nothing names; or what a broken-off write or a scrub left of one, which is partial."""

    digest: Digest
    size: int
    partial: bool = False


def pinned(layout: Layout) -> t.Set[Digest]:
    """What a name reaches, or a push keeps."""
    kept = {blob.digest for entry in layout.entries() for blob in layout.reachable(entry)}
    OwnContent(layout).keep(kept)
    return kept


def prune(layout: Layout, dry_run: bool) -> t.List[Pruned]:
    """Remove what no name reaches and what was not pulled through; the caller keeps sessions out."""
    kept = pinned(layout)
    records, incoming = PulledRecords(layout), Incoming(layout)
    result = []
    with os_errors("cannot prune the store", layout.path):
        for digest, path in files(layout):
            partial = os.path.basename(path) != digest.hex
            if incoming.is_young(digest) if partial else digest in kept or records.has(digest):
                continue
            with contextlib.suppress(FileNotFoundError):
                size = os.stat(path).st_size
                if is_free(path) if dry_run else remove_if_free(path):
                    result.append(Pruned(digest, size, partial))
        if not dry_run:
            incoming.drop_stale()
            OwnContent(layout).sweep()
    return result


def remove_leftovers(layout: Layout, seconds: float = LEFTOVER_SECONDS) -> None:
    """Remove what nobody went on with for so long, while others write."""
    with os_errors("cannot remove leftovers", layout.path):
        for digest, path in files(layout):
            if os.path.basename(path) != digest.hex and age(path) >= seconds:
                with contextlib.suppress(FileNotFoundError):
                    remove_if_free(path)
    Incoming(layout).drop_stale()


def verify(layout: Layout) -> t.List[str]:
    """What is wrong in the layout, a line each."""
    problems = []
    for digest, path in files(layout):
        if os.path.basename(path) == digest.hex:
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


def files(layout: Layout) -> t.List[t.Tuple[Digest, str]]:
    """The blobs, and what writers and scrubs left of some, with their paths."""
    result = []
    root = os.path.join(layout.path, "blobs")
    for algorithm in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        directory = os.path.join(root, algorithm)
        for name in sorted(os.listdir(directory)):
            stem, suffix = os.path.splitext(name)
            leftover = name.startswith(".") and suffix in _LEFTOVERS
            digest = parse_digest(algorithm, stem[1:] if leftover else name)
            if digest is not None:
                result.append((digest, os.path.join(directory, name)))
    return result


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
