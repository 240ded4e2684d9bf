# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pushing into the mirror's own namespace, and taking away what was pushed.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import errno
import typing as t
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Headers, Refused, Reply
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.pushed import PushedManifests
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.route import (
    BLOBS,
    MANIFESTS,
    UPLOADS,
    Router,
    Target,
    is_tag,
    parse_digest,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.uploads import (
    Chunk,
    Input,
    OutOfOrder,
    Uploads,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci import layout_own
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest

MANIFEST_LIMIT = 8 * 1024 * 1024
MOST_TAGS = 100

Environ = t.Dict[str, t.Any]
_Handler = t.Callable[["Push", Target, Environ], Reply]

_EMPTY = ("Content-Length", "0")


class Push:
    """Writes for clients that may. Threads may share it."""

    def __init__(self, store: Store, router: Router) -> None:
        self._store = store
        self._router = router
        self._uploads = Uploads(store)
        self._manifests = PushedManifests(store)

    @staticmethod
    def methods(target: Target) -> t.List[str]:
        """What can be done to such a target beside reading it."""
        return [method for kind, begun, method in _HANDLERS if (kind, begun) == (target.kind, bool(target.upload))]

    def answer(self, target: Target, method: str, environ: Environ) -> Reply:
        """Do it. Raises Refused, OciError, OSError."""
        if not target.own:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "DENIED",
                "content of other registries cannot be changed here",
                detail=f"{target.registry}/{target.repository}",
            )
        handler = _HANDLERS[(target.kind, bool(target.upload), method)]
        try:
            return handler(self, target, environ)
        except (OciError, OSError) as error:
            if _is_full(error):
                what = "there is no room for this in the mirror's store"
                raise Refused(HTTPStatus.INSUFFICIENT_STORAGE, "DENIED", what) from error
            raise

    def begin(self, target: Target, environ: Environ) -> Reply:
        """POST: mount a blob, take it in one request, or begin an upload."""
        mount, whole = target.one("mount"), target.one("digest")
        algorithm = target.one("digest-algorithm")
        if algorithm and algorithm not in ("sha256", "sha512"):
            raise Refused(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", f"digests of {algorithm[:32]!r} are not known here")
        if mount:
            digest = parse_digest(mount)
            if self._mount(target, digest):
                return _created(target, BLOBS, digest)
        digest_of_whole = parse_digest(whole) if whole and not mount else None
        name = self._uploads.begin(target.repository)
        if digest_of_whole is None:
            return self._progress(target, name, 0)
        try:
            self._uploads.finish(target.repository, name, digest_of_whole, _chunk(environ))
        except OutOfOrder as error:
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            raise Refused(status, "BLOB_UPLOAD_INVALID", error.what) from error
        finally:
            self._uploads.forget(target.repository, name)
        return _created(target, BLOBS, digest_of_whole)

    def go_on(self, target: Target, environ: Environ) -> Reply:
        """PATCH: the next bytes."""
        try:
            size = self._uploads.append(target.repository, target.upload, _chunk(environ))
        except OutOfOrder as error:
            raise self._out_of_order(target, error) from error
        return self._progress(target, target.upload, size)

    def finish(self, target: Target, environ: Environ) -> Reply:
        """PUT: the last bytes, if any, and the digest of all."""
        if not target.one("digest"):
            raise Refused(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", "the query lacks the digest")
        digest = parse_digest(target.one("digest"))
        try:
            self._uploads.finish(target.repository, target.upload, digest, _chunk(environ))
        except OutOfOrder as error:
            raise self._out_of_order(target, error) from error
        return _created(target, BLOBS, digest)

    def status(self, target: Target, _environ: Environ) -> Reply:
        """GET: how far it is."""
        size = self._uploads.size(target.repository, target.upload)
        headers = [header for header in _place(target, target.upload, size) if header != _EMPTY]
        return Reply(HTTPStatus.NO_CONTENT, headers)

    def cancel(self, target: Target, _environ: Environ) -> Reply:
        """DELETE: give it up."""
        self._uploads.cancel(target.repository, target.upload)
        return Reply(HTTPStatus.NO_CONTENT)

    def put_manifest(self, target: Target, environ: Environ) -> Reply:
        """PUT: a manifest by tag or by digest, the latter with any number of tags beside."""
        tags = [target.tag] if target.tag else list(target.query.get("tag", ()))
        if len(tags) > MOST_TAGS:
            raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG, "MANIFEST_INVALID", f"no more than {MOST_TAGS} tags at once")
        if not all(is_tag(tag) for tag in tags):
            raise Refused(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", "the query has what cannot be a tag")
        digest = target.digest or (parse_digest(target.one("digest")) if target.one("digest") else None)
        raw = _read_manifest(environ)
        document = self._manifests.put(target.repository, raw, environ.get("CONTENT_TYPE", ""), digest, tags)
        reply = _created(target, MANIFESTS, document.digest)
        if document.subject is not None:
            reply.headers.append(("OCI-Subject", str(document.subject.digest)))
        if not target.tag and tags:
            reply.headers.append(("OCI-Tag", ", ".join(tags)))
        return reply

    def delete_manifest(self, target: Target, _environ: Environ) -> Reply:
        """DELETE: a tag, or a manifest with all its tags."""
        if target.tag is not None:
            self._manifests.untag(target.repository, target.tag)
        elif target.digest is not None:
            self._manifests.delete(target.repository, target.digest)
        return Reply(HTTPStatus.ACCEPTED, [_EMPTY])

    def delete_blob(self, target: Target, _environ: Environ) -> Reply:
        """DELETE: a blob out of the repository."""
        digest = target.digest
        if digest is None or not self._store.own().release(target.repository, layout_own.BLOBS, digest):
            raise Refused(HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN", "the blob was not pushed here", detail=str(digest))
        return Reply(HTTPStatus.ACCEPTED, [_EMPTY])

    def _mount(self, target: Target, digest: Digest) -> bool:
        """Have the repository hold a blob that is somewhere else here, if the client may see it there."""
        origin = target.one("from")
        layout = self._store.layout()
        with layout.session():
            if origin:
                ours, reference = self._router.mountable(origin)
                seen = self._store.sees_blob(reference.repository if ours else None, digest)
            else:
                seen = layout.has(digest)
            if seen:
                self._store.own().hold(target.repository, layout_own.BLOBS, digest)
        return seen

    def _progress(self, target: Target, name: str, size: int) -> Reply:
        return Reply(HTTPStatus.ACCEPTED, _place(target, name, size))

    def _out_of_order(self, target: Target, error: OutOfOrder) -> Refused:
        headers = [header for header in _place(target, target.upload, error.size) if header != _EMPTY]
        status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        return Refused(status, "BLOB_UPLOAD_INVALID", error.what, headers=headers)


_HANDLERS: t.Mapping[t.Tuple[str, bool, str], _Handler] = {
    (UPLOADS, False, "POST"): Push.begin,
    (UPLOADS, True, "GET"): Push.status,
    (UPLOADS, True, "HEAD"): Push.status,
    (UPLOADS, True, "PATCH"): Push.go_on,
    (UPLOADS, True, "PUT"): Push.finish,
    (UPLOADS, True, "DELETE"): Push.cancel,
    (MANIFESTS, False, "PUT"): Push.put_manifest,
    (MANIFESTS, False, "DELETE"): Push.delete_manifest,
    (BLOBS, False, "DELETE"): Push.delete_blob,
}


def _chunk(environ: Environ) -> Chunk:
    return Chunk.of(environ["wsgi.input"], environ.get("HTTP_CONTENT_RANGE", ""), environ.get("CONTENT_LENGTH", ""))


def _read_manifest(environ: Environ) -> bytes:
    announced = environ.get("CONTENT_LENGTH", "")
    if announced.isascii() and announced.isdigit() and int(announced) > MANIFEST_LIMIT:
        raise _too_large()
    body: Input = environ["wsgi.input"]
    parts: t.List[bytes] = []
    size = 0
    while True:
        data = body.read(MANIFEST_LIMIT + 1 - size)
        size += len(data)
        if size > MANIFEST_LIMIT:
            raise _too_large()
        if not data:
            return b"".join(parts)
        parts.append(data)


def _place(target: Target, name: str, size: int) -> Headers:
    """Where an upload goes on; the last byte of an empty one is told as the first, as everybody does."""
    return [
        ("Location", target.url(f"blobs/uploads/{name}")),
        ("Range", f"0-{max(0, size - 1)}"),
        ("Docker-Upload-UUID", name),
        _EMPTY,
    ]


def _created(target: Target, kind: str, digest: Digest) -> Reply:
    headers = [("Location", target.url(f"{kind}/{digest}")), ("Docker-Content-Digest", str(digest)), _EMPTY]
    return Reply(HTTPStatus.CREATED, headers)


def _too_large() -> Refused:
    what = f"a manifest may have {MANIFEST_LIMIT} bytes"
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "SIZE_INVALID", what)


def _is_full(error: t.Union[OciError, OSError]) -> bool:
    cause = error if isinstance(error, OSError) else error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
