# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The blobs a build reads and makes: in the store, or, where nothing may be written, in memory over it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.cache import LayerCache, ListingCache
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import (
    Entry,
    Layer,
    layer_key,
    write_layer,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_index import is_derived
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Index,
    Manifest,
    parse_document,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

Document = t.Union[Manifest, Index]


class Pool:
    """Blobs and names. `layout` is None where there is no store yet; `write` is False in check mode."""

    def __init__(self, layout: t.Optional[Layout], *, write: bool) -> None:
        self.layout = layout
        self.write = write
        self._cache = LayerCache(layout.path) if layout else None
        self._listings = ListingCache(layout.path) if layout else None
        self._memory: t.Dict[Digest, bytes] = {}
        self._names = layout.names() if layout else {}

    def named(self, reference: Reference) -> t.Optional[Descriptor]:
        """What the store calls so."""
        return self.layout.find(reference) if self.layout else None

    def is_given(self, reference: Reference) -> bool:
        """Whether somebody gave the name, rather than a cluster image bringing it along."""
        entry = self._names.get(str(reference))
        return entry is not None and not is_derived(entry)

    def has(self, digest: Digest, size: t.Optional[int] = None) -> bool:
        return digest in self._memory or (self.layout is not None and self.layout.has(digest, size))

    def is_whole(self, descriptor: Descriptor) -> bool:
        """Whether an image is in the store with all it needs."""
        return self.layout is not None and self.layout.has(descriptor.digest) and not self.layout.missing(descriptor)

    def read(self, digest: Digest) -> bytes:
        if digest in self._memory or self.layout is None:
            return self._memory[digest]
        return self.layout.read_blob(digest)

    def open(self, digest: Digest) -> t.Optional[t.BinaryIO]:
        """A blob of the store, to be read; None where the store does not have it."""
        return self.layout.open_blob(digest) if self.layout and self.layout.has(digest) else None

    def document(self, which: t.Union[Descriptor, Digest]) -> Document:
        if isinstance(which, Digest):
            return parse_document(self.read(which))
        return parse_document(self.read(which.digest), which.media_type)

    def remember(self, data: bytes) -> Digest:
        """Keep bytes for this build alone."""
        digest = Digest.of(data)
        self._memory[digest] = data
        return digest

    def put(self, data: bytes) -> Digest:
        """Keep bytes: in the store when writing."""
        if self.write and self.layout is not None:
            return self.layout.put_bytes(data)
        return self.remember(data)

    def layer(self, entries: t.Sequence[Entry], epoch: int) -> t.Tuple[Layer, bool]:
        """The layer with these entries, and whether it was there already; packed only when it has to be."""
        key = layer_key(entries, epoch)
        known = self._cache.get(key) if self._cache else None
        if known and (not self.write or self.has(known.digest, known.size)):
            return known, True
        if not self.write or self.layout is None or self._cache is None:
            return write_layer(entries, epoch, len), False
        with self._cache.scratch_file() as packed:
            layer = write_layer(entries, epoch, packed.write)
            packed.seek(0)
            self._take(self.layout, layer, packed)
        self._cache.put(key, layer)
        return layer, False

    def listing(self, digest: Digest) -> t.Optional[t.List[Entry]]:
        """The entries of a layer, where they are known already."""
        return self._listings.get(digest) if self._listings else None

    def put_listing(self, digest: Digest, entries: t.Sequence[Entry]) -> None:
        """Keep the entries of a layer when writing."""
        if self.write and self._listings:
            self._listings.put(digest, entries)

    @staticmethod
    def _take(layout: Layout, layer: Layer, packed: t.IO[bytes]) -> None:
        with layout.writer(layer.digest, layer.size) as writer:
            if writer.done:
                return
            writer.restart()
            for block in iter(lambda: packed.read(CHUNK), b""):
                writer.write(block)
            writer.commit()
