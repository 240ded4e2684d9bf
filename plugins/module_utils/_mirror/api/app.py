# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror as a WSGI application: the OCI distribution API over any sources.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import functools
import logging
import typing as t
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror import metrics
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import CHALLENGE, Access
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import (
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
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import (
    ANYWHERE,
    BLOCKING_KEY,
    WRITE,
    Blocking,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.listing import Discovery
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.push import Push
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.route import (
    BLOBS,
    CATALOG,
    MANIFESTS,
    NAMESPACE,
    TAGS,
    UPLOADS,
    Router,
    Target,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Content, Found, Source
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest

REFERENCE_KEY = "sealer.reference"
AGAIN_KEY = "sealer.again"
"""What the server may ask before it gives the same answer to the same request again; counts it where it is right."""
API_VERSION = ("Docker-Distribution-Api-Version", "registry/2.0")
_READING = ("GET", "HEAD")
_IMMUTABLE = ("Cache-Control", "public, max-age=31536000, immutable")
_REVALIDATE = ("Cache-Control", "no-cache")
_STALE = ("Warning", '110 - "Response is Stale"')

Environ = t.Dict[str, t.Any]
_Answer = t.TypeVar("_Answer")


class StartResponse(t.Protocol):
    """The server's side of WSGI."""

    def __call__(self, status: str, headers: Headers, /) -> t.Any: ...


@dataclass
class Parts:
    """What the application does beside serving what its sources have; each may be absent."""

    router: Router = field(default_factory=Router)
    access: t.Optional[Access] = None
    push: t.Optional[Push] = None
    discovery: t.Optional[Discovery] = None
    counts: t.Optional[metrics.Counts] = None
    closing: t.Sequence[t.Callable[[], None]] = ()
    shares_own: bool = True
    """Whether other mirrors are asked for what is our own and not here."""


class Application:
    """Answers from the first source that has what is asked for."""

    def __init__(self, sources: t.Sequence[Source], log: logging.Logger, parts: t.Optional[Parts] = None) -> None:
        self._sources = sources
        self._log = log
        self._parts = parts or Parts()
        self._router = self._parts.router
        self._access = self._parts.access or Access("", True, log)
        self._push = self._parts.push if self._access.can_push else None
        self._counts = self._parts.counts or metrics.NoCounts()
        self._fixed: t.Mapping[str, t.Callable[[Environ], Reply]] = {
            "/v2/": self._version,
            "/v2": self._version,
            "/healthz": self._health,
            "/readyz": self._ready,
            **({"/metrics": self._metrics} if self._parts.counts is not None else {}),
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> t.Iterable[bytes]:
        try:
            reply = self._answer(environ)
        except Refused as refused:
            reply = refusal(refused)
        except (SealerError, OSError) as error:
            self._log.error("cannot serve %r: %s", environ.get("PATH_INFO", ""), error)
            reply = refusal(Refused(HTTPStatus.SERVICE_UNAVAILABLE, "UNKNOWN", "the mirror cannot use its content"))
        start_response(reply.status_line, [API_VERSION, *reply.headers])
        if environ["REQUEST_METHOD"] == "HEAD":
            reply.close()
            return ()
        return reply.body

    def close(self) -> None:
        """End what runs beside the requests."""
        for close in self._parts.closing:
            close()

    def _answer(self, environ: Environ) -> Reply:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        fixed = self._fixed.get(path)
        if fixed is not None:
            if method not in _READING:
                raise _not_allowed(method, _READING)
            return fixed(environ)
        target = self._router.target(path, environ.get("QUERY_STRING", ""), environ.get("HTTP_HOST", ""))
        if method not in _READING or (target is not None and target.kind == UPLOADS):
            return self._write(target, method, environ)
        if target is None:
            raise Refused(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "there is nothing at this path")
        user = self._access.pull(environ.get("HTTP_AUTHORIZATION"), *_asker(environ))
        # A client that pushes asks whether a blob is here already; no upstream has to know.
        pushing = method == "HEAD" and target.kind == BLOBS and user is not None and user.push and not target.named
        reply = self._read(target, environ, pushing)
        if NAMESPACE in target.query:
            reply.headers.append(("OCI-Namespace", target.one(NAMESPACE)))
        return reply

    def _read(self, target: Target, environ: Environ, pushing: bool) -> Reply:
        if target.kind == MANIFESTS:
            return self._manifest(target, environ)
        if target.kind == BLOBS:
            return self._blob(target, environ, pushing)
        discovery = self._parts.discovery
        if discovery is None:
            raise Refused(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "this mirror lists nothing")
        if target.kind == CATALOG:
            return discovery.catalog(target)
        asked = list(self._asked(target, environ))
        environ[REFERENCE_KEY] = asked[0].reference.name
        if target.kind == TAGS:
            return discovery.tags(target, asked)
        if target.digest is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", "this is no digest")
        return discovery.referrers(target, target.digest, asked)

    def _write(self, target: t.Optional[Target], method: str, environ: Environ) -> Reply:
        push = self._push
        if target is None or push is None:
            if target is not None and method in _READING:
                raise Refused(HTTPStatus.NOT_FOUND, "UNSUPPORTED", "nothing can be pushed to this mirror")
            raise _not_allowed(method, _READING)
        allowed = push.methods(target)
        if method not in allowed:
            raise _not_allowed(method, allowed if target.kind == UPLOADS else (*_READING, *allowed))
        blocking, client = _asker(environ)
        self._access.push(environ.get("HTTP_AUTHORIZATION"), blocking, client)
        blocking.enter(WRITE, client)
        if target.own:
            environ[REFERENCE_KEY] = str(target.reference) if target.kind == MANIFESTS else target.reference.name
        return push.answer(target, method, environ)

    def _version(self, environ: Environ) -> Reply:
        header = environ.get("HTTP_AUTHORIZATION")
        self._access.pull(header, *_asker(environ))
        # Some clients log in for pushes only where they are told here that they can.
        told = [CHALLENGE] if header is None and self._access.can_push else []
        return json_reply(HTTPStatus.OK, {}, told)

    def _health(self, _environ: Environ) -> Reply:
        return self._state("healthy", self._sources, lambda told: {"status": "ok", "sources": told})

    def _ready(self, _environ: Environ) -> Reply:
        """Whether the first source, the store, can serve; upstreams that are away make no mirror unready."""
        return self._state("ready", self._sources[:1], lambda _told: {"status": "ready"})

    def _state(self, word: str, sources: t.Sequence[Source], answer: t.Callable[[t.List[t.Any]], t.Any]) -> Reply:
        try:
            told = [source.status() for source in sources]
        except (SealerError, OSError) as error:
            self._log.error("not %s: %s", word, error)
            return json_reply(HTTPStatus.SERVICE_UNAVAILABLE, {"status": "failing", "why": "content cannot be read"})
        return json_reply(HTTPStatus.OK, answer(told))

    def _metrics(self, _environ: Environ) -> Reply:
        text = self._counts.text()
        headers = [("Content-Type", metrics.CONTENT_TYPE), ("Content-Length", str(len(text)))]
        return Reply(HTTPStatus.OK, headers, (text,))

    def _asked(self, target: Target, environ: Environ, here: bool = False) -> t.Iterator[Asked]:
        """What to ask the sources for, in this order. A repository of our own hides one of Docker Hub's elsewhere."""
        via, cached_only, (blocking, _client) = _via(environ), here or _only_if_cached(environ), _asker(environ)
        yield Asked(target.reference, target.own, via, cached_only, blocking)
        elsewhere = target.elsewhere
        if elsewhere is not None:
            discovery = self._parts.discovery
            hidden = discovery is not None and discovery.is_known(target.reference)
            yield Asked(elsewhere, False, via, cached_only or hidden, blocking)

    def _manifest(self, target: Target, environ: Environ) -> Reply:
        answer = self._first(target, environ, lambda source, asked: source.manifest(asked))
        if answer is None:
            raise _unknown(target, "MANIFEST_UNKNOWN", "manifest")
        asked, source, found = answer
        here = found.here or source is self._sources[0]
        count = functools.partial(
            self._count, environ["REQUEST_METHOD"], asked, metrics.MANIFEST, here, len(found.document.raw)
        )
        count()
        # nobody was asked but who says whether he would answer the same, and no user's rights played a part
        alone = asked.reference is target.reference or len(self._sources) == 1 or not self._parts.shares_own
        if found.again is not None and alone and "HTTP_AUTHORIZATION" not in environ:
            environ[AGAIN_KEY] = functools.partial(_again, found.again, count)
        return _document_reply(found, environ, pinned=asked.reference.digest is not None)

    def _blob(self, target: Target, environ: Environ, pushing: bool) -> Reply:
        answer = self._first(target, environ, lambda source, asked: source.blob(asked), pushing)
        if answer is None:
            raise _unknown(target, "BLOB_UNKNOWN", "blob")
        asked, source, content = answer
        self._count(environ["REQUEST_METHOD"], asked, metrics.BLOB, source is self._sources[0], content.size)
        return _blob_reply(content, environ)

    def _first(
        self,
        target: Target,
        environ: Environ,
        ask: t.Callable[[Source, Asked], t.Optional[_Answer]],
        here: bool = False,
    ) -> t.Optional[t.Tuple[Asked, Source, _Answer]]:
        """What the first source that has it gives.

        Docker Hub may be forbidden where the client did not name it. Peers that are away may have what is our own: then
        Docker Hub is not asked in their place, and clients that only look before they push are told that it is not
        here.
        """
        away: t.Optional[Refused] = None
        for asked in self._asked(target, environ, here):
            if away is not None:
                asked = replace(asked, cached_only=True)
            environ[REFERENCE_KEY] = str(asked.reference)
            for source in self._sources:
                try:
                    answer = ask(source, asked)
                except Refused as refused:
                    if asked.own:
                        away = refused
                    elif target.named or refused.status != HTTPStatus.FORBIDDEN:
                        raise
                    continue
                if answer is not None:
                    return asked, source, answer
        if away is not None and environ["REQUEST_METHOD"] != "HEAD":
            raise away
        return None

    def _count(self, method: str, asked: Asked, kind: str, here: bool, size: int) -> None:
        if method == "GET":
            origin = metrics.STORE if here else metrics.UPSTREAM
            self._counts.served(asked.reference.registry, kind, origin, size)


def _asker(environ: Environ) -> t.Tuple[Blocking, str]:
    """Whether the request may wait, and which client's it is."""
    return environ.get(BLOCKING_KEY, ANYWHERE), environ.get("REMOTE_ADDR", "")


def _again(holds: t.Callable[[], bool], count: t.Callable[[], None]) -> bool:
    try:
        if not holds():
            return False
    except (SealerError, OSError):
        return False  # asked anew, the source says what is wrong
    count()
    return True


def _unknown(target: Target, code: str, kind: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, code, f"{kind} unknown to this mirror", detail=str(target.reference))


def _not_allowed(method: str, allowed: t.Sequence[str]) -> Refused:
    allow = ("Allow", ", ".join(allowed))
    what = f"the mirror cannot do {method[:32]!r} here"
    return Refused(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", what, headers=[allow])


def _via(environ: Environ) -> t.Tuple[str, ...]:
    """The mirrors that the request came through: the second word of each entry of its Via header."""
    header = environ.get("HTTP_VIA")
    if not header:
        return ()
    entries = (entry.split() for entry in header.split(","))
    return tuple(words[1] for words in entries if len(words) > 1)


def _only_if_cached(environ: Environ) -> bool:
    header: str = environ.get("HTTP_CACHE_CONTROL", "")
    return bool(header) and any(part.strip().lower() == "only-if-cached" for part in header.split(","))


@functools.lru_cache(maxsize=4096)
def _document_headers(digest: Digest, media_type: str, size: int, pinned: bool) -> t.Tuple[t.Tuple[str, str], ...]:
    return (
        *_identity(digest),
        _IMMUTABLE if pinned else _REVALIDATE,
        ("Content-Type", media_type),
        ("Content-Length", str(size)),
    )


def _document_reply(found: Found, environ: Environ, pinned: bool) -> Reply:
    document = found.document
    headers = list(_document_headers(document.digest, document.media_type, len(document.raw), pinned))
    if found.stale:
        headers.append(_STALE)
    if found.age is not None:
        headers.append(("Age", str(found.age)))
    if _is_known(environ, document.digest):
        about_body = ("Content-Type", "Content-Length")
        return Reply(HTTPStatus.NOT_MODIFIED, [header for header in headers if header[0] not in about_body])
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
