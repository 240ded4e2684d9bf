# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Downloading one blob from one registry: resumed where it broke off, checked, bounded.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import threading
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci.bearer import pull_scope
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import Cancelled, RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.headers import content_range, number
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.retry import RetryPolicy, retrying
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Call, Response, Transport

__all__ = ["Download", "Writer"]

_WHAT = "cannot fetch a blob"
_ENOUGH_TO_GO_ON = 1024 * 1024


class Writer(t.Protocol):
    """Where a blob goes: layout.BlobWriter, or what behaves like it."""

    offset: int
    done: bool

    def write(self, data: bytes, /) -> None: ...

    def restart(self) -> None: ...

    def commit(self) -> None: ...


class Download:
    """One blob on its way into one writer, from one source after the other."""

    def __init__(
        self,
        transport: Transport,
        descriptor: Descriptor,
        writer: Writer,
        progress: Progress,
        count: t.Callable[[int], None],
        cancel: t.Optional[threading.Event],
    ) -> None:
        self._transport = transport
        self._descriptor = descriptor
        self._writer = writer
        self._progress = progress
        self._count = count
        self._cancel = cancel
        self._began = 0
        self._shown = 0
        self._sources: t.Set[t.Tuple[str, str]] = set()
        if writer.offset:
            self._sources.add(("", ""))
            self._show(writer.offset)

    @property
    def digest(self) -> Digest:
        """What is fetched."""
        return self._descriptor.digest

    def came_from(self, registry: str, repository: str) -> bool:
        """Whether every byte there is came from this source."""
        return self._sources == {(registry, repository)}

    def run(self, registry: str, repository: str, policy: RetryPolicy) -> None:
        """Fetch what is missing and commit it. Raises RegistryError, DigestMismatch or Cancelled."""
        if self._writer.done:
            return
        try:
            retrying(
                lambda: self._attempt(registry, repository),
                policy,
                cancel=self._cancel,
                progressed=lambda: self._writer.offset - self._began >= _ENOUGH_TO_GO_ON,
            )
            self._writer.commit()
        except DigestMismatch:
            self._show(-self._shown)
            raise

    def _show(self, size: int) -> None:
        self._shown += size
        self._progress.add(size)

    def _attempt(self, registry: str, repository: str) -> None:
        self._began = self._writer.offset
        if self._began == self._descriptor.size:
            return
        where = f"{registry}/{repository}@{self.digest}"
        call = Call(
            registry,
            "GET",
            f"/v2/{repository}/blobs/{self.digest}",
            what=_WHAT,
            where=where,
            repository=repository,
            scopes=(pull_scope(repository),),
            headers={"Range": f"bytes={self._began}-"} if self._began else {},
            expected=frozenset({200, 206, 416}) if self._began else frozenset({200}),
        )
        with self._transport.send(call) as response:
            self._place(response, where)
            self._sources.add((registry, repository))
            self._check_length(response, where, (registry, repository))
            self._copy(response)
        if self._writer.offset < self._descriptor.size:
            told = f"the connection broke after {self._writer.offset} of {self._descriptor.size} bytes"
            raise RegistryError(_WHAT, where=where, why=told, temporary=True)

    def _place(self, response: Response, where: str) -> None:
        """Make the writer stand where the body begins."""
        if response.status == 206:
            found = content_range(response.headers.get("Content-Range"))
            if found is None or found[0] != self._writer.offset:
                self._restart()
                raise RegistryError(_WHAT, where=where, why="it answered with another range than asked", temporary=True)
        elif response.status == 416:
            self._restart()
            raise RegistryError(_WHAT, where=where, why="it has fewer bytes than are here already", temporary=True)
        else:
            self._restart()

    def _check_length(self, response: Response, where: str, source: t.Tuple[str, str]) -> None:
        """Refuse a body that cannot be the blob or its rest, before it is read."""
        length = number(response.headers.get("Content-Length"))
        promised = self._descriptor.size if length is None else self._writer.offset + length
        if promised != self._descriptor.size:
            self._writer.restart()
            self._sources = {source}
            raise DigestMismatch(
                f"content of {self.digest} has the wrong size",
                where=where,
                why=f"{promised} bytes, not {self._descriptor.size}",
            )

    def _restart(self) -> None:
        if self._writer.offset:
            self._show(-self._shown)
            self._writer.restart()
        self._began = 0
        self._sources.clear()

    def _copy(self, response: Response) -> None:
        while True:
            if self._cancel is not None and self._cancel.is_set():
                raise Cancelled("stopped because another transfer failed")
            data = response.read(CHUNK)
            if not data:
                return
            self._count(len(data))
            self._writer.write(data)
            self._show(len(data))
