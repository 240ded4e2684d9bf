# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a build asks of registries, asked of the registry client.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Document
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import DOCUMENT_LIMIT, Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress, Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import pull, pull_image


class Remote:
    """Implements sources.Registry."""

    def __init__(self, client: RegistryClient, parallel: int, progress: Progress) -> None:
        self._client = client
        self._parallel = parallel
        self._progress = progress

    def document(self, reference: Reference) -> Document:
        return self._client.get_manifest(reference)

    def blob(self, reference: Reference, descriptor: Descriptor) -> bytes:
        if descriptor.size > DOCUMENT_LIMIT:
            raise BuildError(
                f"{descriptor.digest} of {reference} is too large", why=f"{descriptor.size} bytes are no document"
            )
        writer = MemoryWriter(descriptor.digest)
        self._client.fetch_blob(reference, descriptor, writer, NullProgress())
        return bytes(writer.data)

    def pull_cluster_image(self, layout: Layout, reference: Reference, platform: Platform) -> Descriptor:
        result = pull(
            self._client,
            layout,
            reference,
            platforms=[platform],
            parallel=self._parallel,
            progress=self._progress,
        )
        return result.descriptor

    def pull_container_image(
        self, layout: Layout, reference: Reference, platform: Platform, parallel: int
    ) -> Descriptor:
        result = pull_image(self._client, layout, reference, platform, parallel, self._progress)
        return result.index or result.manifest


class MemoryWriter:
    """Takes a small blob into memory."""

    def __init__(self, digest: Digest) -> None:
        self.data = bytearray()
        self.offset = 0
        self.done = False
        self._digest = digest

    def write(self, data: t.Union[bytes, memoryview]) -> None:
        self.data += data
        self.offset = len(self.data)

    def restart(self) -> None:
        self.data.clear()
        self.offset = 0

    def commit(self) -> None:
        if Digest.of(bytes(self.data), self._digest.algorithm) != self._digest:
            raise DigestMismatch(f"content does not match {self._digest}")
        self.done = True
