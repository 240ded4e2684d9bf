# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploading one blob to a registry: not at all when it is there, mounted where it can be, else streamed and resumed.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import functools
import re
import threading
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci.bearer import pull_scope, push_scope
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import Cancelled, RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.retry import RetryPolicy, retrying
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Call, Response, Transport
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout

__all__ = ["MOUNTED", "PRESENT", "PUSHED", "Upload"]

MOUNTED = "mounted"
PRESENT = "present"
PUSHED = "pushed"

_WHAT = "cannot upload a blob"
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_PART = 256 * 1024
_SESSION_LOST = frozenset({404, 410, 416})


class Upload:
    """One blob on its way from a layout into one repository."""

    def __init__(
        self,
        transport: Transport,
        registry: str,
        repository: str,
        descriptor: Descriptor,
        layout: Layout,
        progress: Progress,
        cancel: t.Optional[threading.Event],
    ) -> None:
        self._transport = transport
        self._registry = registry
        self._repository = repository
        self._descriptor = descriptor
        self._layout = layout
        self._progress = progress
        self._cancel = cancel
        self._session: t.Optional[Url] = None
        self._broke = False
        self._told = 0

    def run(self, mount_from: t.Sequence[str], policy: RetryPolicy) -> str:
        """PRESENT, MOUNTED or PUSHED. Raises RegistryError or Cancelled."""
        if retrying(self._is_there, policy, cancel=self._cancel):
            return self._finished(PRESENT)
        if any(retrying(functools.partial(self._mount, source), policy, cancel=self._cancel) for source in mount_from):
            return self._finished(MOUNTED)
        retrying(self._send, policy, cancel=self._cancel)
        return self._finished(PUSHED)

    def _finished(self, how: str) -> str:
        self._tell(self._descriptor.size)
        return how

    def _tell(self, reached: int) -> None:
        self._progress.add(reached - self._told)
        self._told = reached

    def _call(self, method: str, target: t.Union[str, Url], expected: t.Set[int], **more: t.Any) -> Response:
        call = Call(
            self._registry,
            method,
            target,
            what=_WHAT,
            where=f"{self._registry}/{self._repository}@{self._descriptor.digest}",
            repository=self._repository,
            expected=frozenset(expected),
            **{"scopes": (push_scope(self._repository),), **more},
        )
        return self._transport.send(call)

    def _is_there(self) -> bool:
        target = f"/v2/{self._repository}/blobs/{self._descriptor.digest}"
        with self._call("HEAD", target, {200, 404}) as response:
            return response.status == 200

    def _mount(self, source: str) -> bool:
        """Whether the registry took the blob over from another of its repositories; if not, it may open an upload."""
        if self._session:
            return False
        try:
            response = self._call(
                "POST",
                f"/v2/{self._repository}/blobs/uploads/",
                {201, 202},
                query=(("mount", str(self._descriptor.digest)), ("from", source)),
                scopes=(push_scope(self._repository), pull_scope(source)),
                body=lambda: b"",
            )
        except RegistryError as error:
            if error.temporary or error.status is None:
                raise
            return False
        with response:
            if response.status == 202:
                self._session = self._location(response)
            return response.status == 201

    def _send(self) -> None:
        """One attempt to get the whole blob over; the next goes on where the registry says that this one broke off."""
        offset = self._where_it_broke() if self._broke else 0
        if not self._session or offset is None:
            offset = 0
            with self._call("POST", f"/v2/{self._repository}/blobs/uploads/", {202}, body=lambda: b"") as response:
                self._session = self._location(response)
        self._tell(offset)
        self._broke = True
        digest = (("digest", str(self._descriptor.digest)),)
        try:
            if offset:
                with self._call("PATCH", self._session, {202, 204}, **self._part(offset)) as response:
                    self._session = self._location(response)
                self._call("PUT", self._session, {201, 204}, query=digest, body=lambda: b"").close()
            else:
                self._call("PUT", self._session, {201, 204}, query=digest, **self._part(0)).close()
        except RegistryError as error:
            if error.status in _SESSION_LOST:
                self._session = None
                error.temporary = True
            raise

    def _part(self, offset: int) -> t.Dict[str, t.Any]:
        size = self._descriptor.size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - offset)}
        if offset:
            headers["Content-Range"] = f"{offset}-{size - 1}"
        return {"headers": headers, "body": functools.partial(self._open, offset)}

    def _open(self, offset: int) -> _Told:
        stream = self._layout.open_blob(self._descriptor.digest)
        stream.seek(offset)
        self._tell(offset)
        return _Told(stream, self._read_on, self._cancel)

    def _read_on(self, size: int) -> None:
        self._tell(self._told + size)

    def _where_it_broke(self) -> t.Optional[int]:
        """How many bytes the registry has of the upload; None when it has none, or has forgotten it."""
        if not self._session:
            return None
        try:
            with self._call("GET", self._session, {200, 202, 204}) as response:
                found = _RANGE.fullmatch(response.headers.get("Range", "").strip())
                self._session = response.location or self._session
        except RegistryError as error:
            if error.temporary or error.status is None:
                raise
            found = None
        last = int(found.group(1)) if found else 0
        if not 0 < last < self._descriptor.size - 1:
            self._session = None
            return None
        return last + 1

    def _location(self, response: Response) -> Url:
        location = response.location
        if location is None:
            raise RegistryError(
                _WHAT,
                where=f"{self._registry}/{self._repository}",
                why="the registry accepted an upload but did not say where to send it",
            )
        return location


class _Told:
    """The rest of a file in parts, which tells how much was taken, and ends with Cancelled when work is given up."""

    def __init__(self, stream: t.BinaryIO, tell: t.Callable[[int], None], cancel: t.Optional[threading.Event]) -> None:
        self._stream = stream
        self._tell = tell
        self._cancel = cancel

    def __iter__(self) -> t.Iterator[bytes]:
        while True:
            if self._cancel is not None and self._cancel.is_set():
                raise Cancelled("stopped because another transfer failed")
            data = self._stream.read(_PART)
            if not data:
                return
            self._tell(len(data))
            yield data

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
