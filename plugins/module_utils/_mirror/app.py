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
    BlobBody,
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
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.sources import Asked, Content, Found, Source
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest

REFERENCE_KEY = "sealer.reference"
API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
_METHODS = ("GET", "HEAD")
_IMMUTABLE = ("Cache-Control", "public, max-age=31536000, immutable")
_REVALIDATE = ("Cache-Control", "no-cache")
_STALE = ("Warning", '110 - "Response is Stale"')

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
            found = source.manifest(Asked(target.reference))
            if found is not None:
                return _document_reply(found, environ, pinned=target.reference.digest is not None)
        raise _unknown(target, "MANIFEST_UNKNOWN", "manifest")

    def _blob(self, target: Target, environ: Environ) -> Reply:
        for source in self._sources:
            content = source.blob(Asked(target.reference))
            if content is not None:
                return _blob_reply(content, environ)
        raise _unknown(target, "BLOB_UNKNOWN", "blob")


def _unknown(target: Target, code: str, kind: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, code, f"{kind} unknown to this mirror", detail=str(target.reference))


def _document_reply(found: Found, environ: Environ, pinned: bool) -> Reply:
    document = found.document
    headers = _identity(document.digest)
    headers.append(_IMMUTABLE if pinned else _REVALIDATE)
    if found.stale:
        headers.append(_STALE)
    if found.age is not None:
        headers.append(("Age", str(found.age)))
    if _is_known(environ, document.digest):
        return Reply(HTTPStatus.NOT_MODIFIED, headers)
    headers += [("Content-Type", document.media_type), ("Content-Length", str(len(document.raw)))]
    return Reply(HTTPStatus.OK, headers, (document.raw,))


def _blob_reply(content: Content, environ: Environ) -> Reply:
    try:
        if _is_known(environ, content.digest):
            content.close()
            return Reply(HTTPStatus.NOT_MODIFIED, [*_identity(content.digest), _IMMUTABLE])
        part = _wanted_range(environ, content)
    except BaseException:
        content.close()
        raise
    start, length = part or (0, content.size)
    headers = [
        *_identity(content.digest),
        _IMMUTABLE,
        ("Accept-Ranges", "bytes"),
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(length)),
    ]
    status = HTTPStatus.OK
    if part is not None:
        status = HTTPStatus.PARTIAL_CONTENT
        headers.append(("Content-Range", f"bytes {start}-{start + length - 1}/{content.size}"))
    return Reply(status, headers, BlobBody(content, start, length))


def _identity(digest: Digest) -> Headers:
    return [("Docker-Content-Digest", str(digest)), ("ETag", etag(digest))]


def _is_known(environ: Environ, digest: Digest) -> bool:
    condition = environ.get("HTTP_IF_NONE_MATCH")
    return condition is not None and matches(condition, etag(digest))


def _wanted_range(environ: Environ, content: Content) -> t.Optional[t.Tuple[int, int]]:
    header = environ.get("HTTP_RANGE")
    if header is None or environ["REQUEST_METHOD"] != "GET":
        return None
    tag = etag(content.digest)
    return byte_range(header, content.size) if environ.get("HTTP_IF_RANGE", tag) == tag else None
