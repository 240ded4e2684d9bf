# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror as a WSGI application: the reading side of the OCI distribution API over any sources.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import logging
import typing as t
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.answers import (
    FileChunks,
    Headers,
    Refused,
    Reply,
    byte_range,
    etag,
    json_reply,
    matches,
    refusal,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.route import MANIFESTS, Target, parse_target
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.sources import Blob, Document, Source
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest

REFERENCE_KEY = "sealer.reference"
API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
_METHODS = ("GET", "HEAD")
_IMMUTABLE = ("Cache-Control", "public, max-age=31536000, immutable")
_REVALIDATE = ("Cache-Control", "no-cache")

Environ = t.Dict[str, t.Any]


class StartResponse(t.Protocol):
    """The server's side of WSGI."""

    def __call__(self, status: str, headers: Headers, /) -> t.Any: ...


class Application:
    """Answers from the first source that has what is asked for."""

    def __init__(self, sources: t.Sequence[Source], log: logging.Logger) -> None:
        self._sources = sources
        self._log = log

    def __call__(self, environ: Environ, start_response: StartResponse) -> t.Iterable[bytes]:
        try:
            reply = self._answer(environ)
        except Refused as refused:
            reply = refusal(refused)
        except (SealerError, OSError) as error:
            self._log.error("cannot serve %r: %s", environ.get("PATH_INFO", ""), error)
            reply = refusal(Refused(HTTPStatus.SERVICE_UNAVAILABLE, "UNKNOWN", "the mirror cannot read its content"))
        start_response(reply.status_line, [API_VERSION, *reply.headers])
        if environ["REQUEST_METHOD"] == "HEAD":
            reply.close()
            return ()
        return reply.body

    def _answer(self, environ: Environ) -> Reply:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        if method not in _METHODS:
            allow = ("Allow", ", ".join(_METHODS))
            raise Refused(
                HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", f"the mirror cannot do {method}", headers=[allow]
            )
        if path in ("/v2/", "/v2"):
            return json_reply(HTTPStatus.OK, {})
        if path == "/healthz":
            return self._health()
        target = parse_target(path, environ.get("QUERY_STRING", ""))
        if target is None:
            raise Refused(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "there is nothing at this path")
        environ[REFERENCE_KEY] = str(target.reference)
        return self._manifest(target, environ) if target.kind == MANIFESTS else self._blob(target, environ)

    def _health(self) -> Reply:
        try:
            sources = [source.status() for source in self._sources]
        except (SealerError, OSError) as error:
            self._log.error("not healthy: %s", error)
            return json_reply(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "failing", "why": "content cannot be read"})
        return json_reply(HTTPStatus.OK, {"status": "ok", "sources": sources})

    def _manifest(self, target: Target, environ: Environ) -> Reply:
        for source in self._sources:
            document = source.manifest(target.reference)
            if document is not None:
                return _document_reply(document, environ, pinned=target.reference.digest is not None)
        raise _unknown(target, "MANIFEST_UNKNOWN", "manifest")

    def _blob(self, target: Target, environ: Environ) -> Reply:
        for source in self._sources:
            blob = source.blob(target.reference)
            if blob is not None:
                return _blob_reply(blob, environ)
        raise _unknown(target, "BLOB_UNKNOWN", "blob")


def _unknown(target: Target, code: str, kind: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, code, f"{kind} unknown to this mirror", detail=str(target.reference))


def _document_reply(document: Document, environ: Environ, pinned: bool) -> Reply:
    headers = _identity(document.digest)
    headers.append(_IMMUTABLE if pinned else _REVALIDATE)
    if _is_known(environ, document.digest):
        return Reply(HTTPStatus.NOT_MODIFIED, headers)
    headers += [("Content-Type", document.media_type), ("Content-Length", str(len(document.raw)))]
    return Reply(HTTPStatus.OK, headers, (document.raw,))


def _blob_reply(blob: Blob, environ: Environ) -> Reply:
    try:
        if _is_known(environ, blob.digest):
            blob.stream.close()
            return Reply(HTTPStatus.NOT_MODIFIED, [*_identity(blob.digest), _IMMUTABLE])
        part = _wanted_range(environ, blob)
    except BaseException:
        blob.stream.close()
        raise
    start, length = part or (0, blob.size)
    headers = [
        *_identity(blob.digest),
        _IMMUTABLE,
        ("Accept-Ranges", "bytes"),
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(length)),
    ]
    status = HTTPStatus.OK
    if part is not None:
        status = HTTPStatus.PARTIAL_CONTENT
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{blob.size}"))
    return Reply(status, headers, FileChunks(blob.stream, start, length))


def _identity(digest: Digest) -> Headers:
    return [("Docker-Content-Digest", str(digest)), ("ETag", etag(digest))]


def _is_known(environ: Environ, digest: Digest) -> bool:
    condition = environ.get("HTTP_IF_NONE_MATCH")
    return condition is not None and matches(condition, etag(digest))


def _wanted_range(environ: Environ, blob: Blob) -> t.Optional[t.Tuple[int, int]]:
    header = environ.get("HTTP_RANGE")
    if header is None or environ["REQUEST_METHOD"] != "GET":
        return None
    tag = etag(blob.digest)
    return byte_range(header, blob.size) if environ.get("HTTP_IF_RANGE", tag) == tag else None
