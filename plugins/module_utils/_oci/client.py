# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry client: manifests and blobs of repositories, from their mirrors first.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import functools
import threading
import time
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import Credentials, RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.bearer import pull_scope, push_scope
from ansible_collections.sealer.cluster.plugins.module_utils._oci.blob_download import Download, Writer
from ansible_collections.sealer.cluster.plugins.module_utils._oci.blob_upload import Upload
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch, check
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import Cancelled, RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.headers import number
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import DOCUMENT_TYPES
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Index,
    Manifest,
    parse_document,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress, Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.retry import RetryPolicy, retrying
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Call, Transport

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout

__all__ = ["ACCEPTED", "Document", "RegistryClient"]

Document = t.Union[Manifest, Index]
_Result = t.TypeVar("_Result")

ACCEPTED = tuple(sorted(DOCUMENT_TYPES))
_MANIFEST_LIMIT = 16 * 1024 * 1024
_MIRROR_ATTEMPTS = 2
_MIRROR_REST = 30.0


@dataclass(frozen=True)
class _Source:
    registry: str
    repository: str
    upstream: bool


class RegistryClient:
    """Speaks to any number of registries. Safe for many threads.

    A mirror that cannot be reached is left alone for half a minute, and a source of wrong bytes for those bytes too.
    """

    def __init__(
        self,
        settings: t.Sequence[RegistrySettings] = (),
        authfile: t.Optional[str] = None,
        *,
        parallel: int = 8,
        policy: t.Optional[RetryPolicy] = None,
        connect_timeout: float = 15.0,
        read_timeout: float = 60.0,
    ) -> None:
        hosts = [one.host for one in settings]
        twice = sorted({host for host in hosts if hosts.count(host) > 1})
        if twice:
            raise OciError("a registry is listed twice", where=f"registries: {twice[0]}", fix="Put both into one.")
        self._policy = policy or RetryPolicy()
        self._transport = Transport(
            settings,
            credentials=Credentials(settings, authfile),
            parallel=parallel,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )
        self._lock = threading.Lock()
        self._avoided: t.Dict[t.Tuple[_Source, t.Optional[Digest]], float] = {}
        self._bytes_downloaded = 0

    @property
    def requests(self) -> int:
        """How many HTTP requests were sent."""
        return self._transport.requests

    @property
    def bytes_downloaded(self) -> int:
        """How many bytes of manifests and blobs have come."""
        return self._bytes_downloaded

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def ping(self, registry: str) -> None:
        """Raise RegistryError unless there is a registry that lets us in."""
        call = Call(registry, "GET", "/v2/", what="cannot reach the registry", where=registry)
        retrying(lambda: self._transport.send(call).close(), self._policy)

    def get_manifest(self, reference: Reference, accept: t.Sequence[str] = ACCEPTED) -> Document:
        """The manifest or index that the reference means, checked against its digest."""

        def get(source: _Source) -> Document:
            call = self._manifest_call("GET", source, reference, accept)
            with self._transport.send(call) as response:
                raw = response.read_all(_MANIFEST_LIMIT)
                self._count(len(raw))
            promised = reference.digest or _digest_of(response.headers.get("Docker-Content-Digest", ""))
            if promised is not None:
                found = Digest.of(raw, promised.algorithm)
                check(promised, None, found.hex, len(raw), where=f"{source.registry}: {reference}")
            return parse_document(raw, response.headers.get("Content-Type"))

        return self._from_sources(reference, get)

    def head_manifest(self, reference: Reference, *, mirrors: bool = True) -> t.Optional[Descriptor]:
        """What the reference means there, without its content; None when the registry has no such image."""

        def head(source: _Source) -> t.Optional[Descriptor]:
            call = self._manifest_call("HEAD", source, reference, ACCEPTED, writing=not mirrors)
            with self._transport.send(call) as response:
                digest = reference.digest or _digest_of(response.headers.get("Docker-Content-Digest", ""))
                media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
                size = number(response.headers.get("Content-Length"))
            if digest is None or media_type not in DOCUMENT_TYPES or size is None:
                return None
            return Descriptor(media_type, digest, size)

        try:
            found = self._from_sources(reference, head, mirrors=mirrors)
            return found or self.get_manifest(reference).descriptor()
        except RegistryError as error:
            if error.not_found:
                return None
            raise

    def fetch_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        writer: Writer,
        progress: t.Optional[Progress] = None,
        *,
        cancel: t.Optional[threading.Event] = None,
    ) -> None:
        """Bring a blob of the reference's repository into the writer and commit it.

        Goes on from ``writer.offset``. Raises DigestMismatch when the bytes are wrong: then a new writer may be tried,
        which will not be given those of the same mirror again.
        """
        download = Download(self._transport, descriptor, writer, progress or NullProgress(), self._count, cancel)

        def fetch(source: _Source) -> None:
            try:
                download.run(source.registry, source.repository, self._policy_for(source))
            except DigestMismatch as error:
                if download.came_from(source.registry, source.repository):
                    self._avoid(source, descriptor.digest)
                raise DigestMismatch(
                    error.what,
                    where=f"{source.registry}/{source.repository}",
                    why=error.why,
                    fix="The registry, or something on the way to it, changed the content.",
                ) from error

        self._from_sources(reference, fetch, blob=descriptor.digest)

    def has_blob(self, reference: Reference, descriptor: Descriptor) -> bool:
        """Whether the registry itself has the blob in the reference's repository."""
        call = Call(
            reference.registry,
            "HEAD",
            f"/v2/{reference.repository}/blobs/{descriptor.digest}",
            what="cannot ask for a blob",
            where=f"{reference.name}@{descriptor.digest}",
            repository=reference.repository,
            scopes=(pull_scope(reference.repository),),
            expected=frozenset({200, 404}),
        )

        def ask() -> bool:
            with self._transport.send(call) as response:
                return response.status == 200

        return retrying(ask, self._policy)

    def push_blob(
        self,
        reference: Reference,
        descriptor: Descriptor,
        layout: Layout,
        mount_from: t.Sequence[str] = (),
        progress: t.Optional[Progress] = None,
        *,
        cancel: t.Optional[threading.Event] = None,
    ) -> str:
        """Bring a blob of the layout into the reference's repository; answers blob_upload.PRESENT, MOUNTED or PUSHED.

        ``mount_from`` names repositories of the same registry that may have the blob.
        """
        upload = Upload(
            self._transport,
            reference.registry,
            reference.repository,
            descriptor,
            layout,
            progress or NullProgress(),
            cancel,
        )
        return upload.run(mount_from, self._policy)

    def put_manifest(self, reference: Reference, document: Document) -> None:
        """Put the document's own bytes there, under the reference's digest if it has one, else its tag."""
        source = _Source(reference.registry, reference.repository, upstream=True)
        call = replace(
            self._manifest_call("PUT", source, reference, (), writing=True),
            headers={"Content-Type": document.media_type},
            body=lambda: document.raw,
            expected=frozenset({200, 201, 202}),
        )

        def put() -> None:
            with self._transport.send(call) as response:
                found = _digest_of(response.headers.get("Docker-Content-Digest", ""))
            if found is not None and found.algorithm == document.digest.algorithm and found != document.digest:
                raise RegistryError(
                    call.what, where=call.where, why=f"the registry changed {document.digest} into {found}"
                )

        retrying(put, self._policy)

    def _manifest_call(
        self, method: str, source: _Source, reference: Reference, accept: t.Sequence[str], *, writing: bool = False
    ) -> Call:
        named = reference.digest or reference.tag
        return Call(
            source.registry,
            method,
            f"/v2/{source.repository}/manifests/{named}",
            what="cannot put the manifest" if method == "PUT" else "cannot get the manifest",
            where=str(reference),
            repository=source.repository,
            scopes=(push_scope(source.repository) if writing else pull_scope(source.repository),),
            headers={"Accept": ", ".join(accept)} if accept else {},
        )

    def _from_sources(
        self,
        reference: Reference,
        action: t.Callable[[_Source], _Result],
        *,
        mirrors: bool = True,
        blob: t.Optional[Digest] = None,
    ) -> _Result:
        """The action's result from the first source that gives one: mirrors in their order, then the registry itself.

        For a blob, the action retries by itself, and wrong bytes end it: what they went into cannot be used again.
        """
        failures: t.List[str] = []
        for source in self._sources(reference) if mirrors else self._sources(reference)[-1:]:
            if not source.upstream and (self._is_avoided(source, blob) or self._is_avoided(source, None)):
                continue
            try:
                if blob is not None:
                    return action(source)
                return retrying(functools.partial(action, source), self._policy_for(source))
            except Cancelled:
                raise
            except OciError as error:
                if source.upstream or (blob is not None and isinstance(error, DigestMismatch)):
                    error.why = "; ".join([error.why, *failures])
                    raise
                if isinstance(error, RegistryError) and (error.temporary or error.status is None):
                    self._avoid(source, None)
                failures.append(f"before that, mirror {source.registry}: {error.why or error.what}")
        raise OciError("there is no source", where=str(reference))

    def _sources(self, reference: Reference) -> t.List[_Source]:
        sources = []
        for mirror in self._transport.settings_of(reference.registry).mirrors:
            host, _slash, prefix = mirror.partition("/")
            repository = "/".join(part for part in (prefix.strip("/"), reference.repository) if part)
            sources.append(_Source(host, repository, upstream=False))
        return [*sources, _Source(reference.registry, reference.repository, upstream=True)]

    def _policy_for(self, source: _Source) -> RetryPolicy:
        if source.upstream:
            return self._policy
        return replace(self._policy, attempts=min(_MIRROR_ATTEMPTS, self._policy.attempts))

    def _avoid(self, source: _Source, blob: t.Optional[Digest]) -> None:
        now = time.monotonic()
        with self._lock:
            self._avoided = {key: until for key, until in self._avoided.items() if until > now}
            self._avoided[(source, blob)] = now + _MIRROR_REST

    def _is_avoided(self, source: _Source, blob: t.Optional[Digest]) -> bool:
        with self._lock:
            return self._avoided.get((source, blob), 0.0) > time.monotonic()

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes_downloaded += size


def _digest_of(header: str) -> t.Optional[Digest]:
    try:
        return Digest.parse(header.strip())
    except OciError:
        return None
