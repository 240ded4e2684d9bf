# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a build asks of registries, asked of the registry client.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import io
import tempfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Document
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, check
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
        with io.BytesIO() as file:
            self._fetch(reference, descriptor, file)
            return file.getvalue()

    def open_blob(self, reference: Reference, descriptor: Descriptor) -> t.BinaryIO:
        try:
            file = t.cast(t.BinaryIO, tempfile.TemporaryFile())
        except OSError as error:
            raise BuildError("cannot read a layer", where=tempfile.gettempdir(), why=str(error)) from error
        try:
            self._fetch(reference, descriptor, file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return file

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

    def _fetch(self, reference: Reference, descriptor: Descriptor, file: t.BinaryIO) -> None:
        self._client.fetch_blob(reference, descriptor, FileWriter(descriptor.digest, file), NullProgress())


class FileWriter:
    """Takes a blob into an open file."""

    def __init__(self, digest: Digest, file: t.BinaryIO) -> None:
        self.offset = 0
        self.done = False
        self._digest = digest
        self._hash = digest.hasher()
        self._file = file

    def write(self, data: t.Union[bytes, memoryview]) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.offset += len(data)

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._hash = self._digest.hasher()
        self.offset = 0

    def commit(self) -> None:
        check(self._digest, None, self._hash.hexdigest(), self.offset)
        self.done = True
