# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking one URL: an upstream's, a parent's or a peer's.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import functools
import re
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.addresses import ForbiddenAddress
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.limits import Breaker, Limits
from ansible_collections.sealer.cluster.plugins.module_utils._oci.bearer import pull_scope
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import HAS_URLLIB3, RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.headers import content_range, next_page, number
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import DOCUMENT_LIMIT
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import DOCUMENT_TYPES
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Call, Response, Transport
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

if HAS_URLLIB3:
    import urllib3

UPSTREAM, PARENT, PEER = "upstream", "parent", "peer"

LISTING_LIMIT = 4 * 1024 * 1024

_ACCEPTED = ", ".join(sorted(DOCUMENT_TYPES))
_STALE = re.compile(r"\s*110\b")


@dataclass(frozen=True)
class Fetched:
    """A manifest's bytes, not checked yet.

    ``age`` is how many seconds ago another mirror checked what its tag means, ``stale`` that it could not lately.
    """

    raw: bytes = field(repr=False)
    media_type: str
    digest: t.Optional[Digest]
    etag: str = ""
    age: int = 0
    stale: bool = False


@dataclass(frozen=True)
class Unchanged:
    """The answer that a tag still means what it did."""

    age: int = 0
    stale: bool = False


@dataclass(frozen=True)
class Listing:
    """An answer to a question about a repository: its JSON, and the query of the next page, if there is one."""

    raw: bytes = field(repr=False)
    media_type: str
    next_query: str = ""
    filters: str = ""


class Stream:
    """A blob on its way. ``start`` is where its first byte belongs, ``size`` that of the whole blob, if it is told."""

    def __init__(self, response: Response, offset: int, leave: t.Callable[[], None]) -> None:
        self._response = response
        self._leave: t.Optional[t.Callable[[], None]] = leave
        self.start = 0
        self.size = number(response.headers.get("Content-Length"))
        if response.status == 206:
            found = content_range(response.headers.get("Content-Range"))
            if found is None or found[0] > offset:
                raise RegistryError(
                    "cannot fetch a blob", why="it answered with another range than asked", temporary=True
                )
            self.start, self.size = found

    def read(self, size: int) -> bytes:
        """As soon as there are any, up to that many bytes; empty at the end. Raises RegistryError when it breaks."""
        return self._response.read_some(size)

    def close(self) -> None:
        """Give the connection back, or up."""
        leave, self._leave = self._leave, None
        if leave is not None:
            try:
                self._response.close()
            finally:
                leave()


@dataclass(frozen=True)
class Endpoint:
    """A URL for as long as the mirror may ask it: its connections, its limits, and whether it answers."""

    name: str
    kind: str
    url: str
    transport: Transport
    limits: Limits
    breaker: Breaker

    @functools.cached_property
    def address(self) -> Url:
        """The URL's parts."""
        return Url.parse(self.url)

    @property
    def host(self) -> str:
        """The registry that the transport knows."""
        return self.address.netloc

    @property
    def prefix(self) -> str:
        """What goes before repositories there: a proxy project of Harbor, for instance."""
        path = self.address.path.strip("/")
        if path == "v2" or path.startswith("v2/"):
            path = path[3:]
        return f"{path}/" if path else ""


class Link:
    """An endpoint, asked for one client. Safe for many threads.

    ``via`` names the mirrors that the request came through, this one last; it is told to other mirrors only, and so is
    ``cached_only``: to answer with what is there.
    """

    def __init__(self, endpoint: Endpoint, via: t.Sequence[str] = (), *, cached_only: bool = False) -> None:
        self._endpoint = endpoint
        self._via = tuple(via)
        self._cached_only = cached_only

    @property
    def name(self) -> str:
        """What metrics and logs call it: the upstream's name, or the host of the parent or peer."""
        return self._endpoint.name

    @property
    def kind(self) -> str:
        """UPSTREAM, PARENT or PEER."""
        return self._endpoint.kind

    @property
    def url(self) -> str:
        """Where it is."""
        return self._endpoint.url

    @property
    def is_resting(self) -> bool:
        """Whether it is left alone now, because it did not answer lately."""
        return self._endpoint.breaker.is_open

    def open_blob(self, reference: Reference, offset: int = 0) -> Stream:
        """The blob from this byte on, or from an earlier one where it cannot begin there. Raises RegistryError."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        call = self._call("GET", reference, f"blobs/{reference.digest}", "cannot fetch a blob", headers)
        response, leave = self._send(_expecting(call, {200, 206} if offset else {200}))
        try:
            return Stream(response, offset, leave)
        except BaseException:
            response.close()
            leave()
            raise

    def manifest(
        self, reference: Reference, etag: str = "", known: t.Optional[Digest] = None
    ) -> t.Union[Fetched, Unchanged]:
        """The manifest, or that it still is what is ``known``. Raises RegistryError.

        What is known is asked for by HEAD, which upstreams do not count as a pull; a GET follows where it has changed.
        """
        what = str(reference.digest or reference.tag)
        if known is not None:
            unchanged = self._unchanged(reference, what, etag, known)
            if unchanged is not None:
                return unchanged
        call = self._call("GET", reference, f"manifests/{what}", "cannot get the manifest", {"Accept": _ACCEPTED})
        response, leave = self._send(call)
        try:
            with response:
                raw = response.read_all(DOCUMENT_LIMIT)
        finally:
            leave()
        headers = response.headers
        return Fetched(
            raw,
            headers.get("Content-Type", "").partition(";")[0].strip(),
            _digest(headers.get("Docker-Content-Digest")),
            headers.get("ETag", ""),
            number(headers.get("Age")) or 0,
            _is_stale(response),
        )

    def listing(self, reference: Reference, path: str, query: t.Sequence[t.Tuple[str, str]]) -> Listing:
        """What the registry tells at a path below the repository: ``tags/list`` or ``referrers/<digest>``."""
        call = self._call("GET", reference, path, "cannot list", {"Accept": "application/json, */*"}, query)
        response, leave = self._send(call)
        try:
            with response:
                raw = response.read_all(LISTING_LIMIT)
        finally:
            leave()
        return Listing(
            raw,
            response.headers.get("Content-Type", ""),
            _next_query(response.headers.get("Link", "")),
            response.headers.get("OCI-Filters-Applied", ""),
        )

    def _unchanged(self, reference: Reference, what: str, etag: str, known: Digest) -> t.Optional[Unchanged]:
        headers = {"Accept": _ACCEPTED, "If-None-Match": etag or f'"{known}"'}
        call = self._call("HEAD", reference, f"manifests/{what}", "cannot check the manifest", headers)
        response, leave = self._send(_expecting(call, {200, 304, 405, 501}))
        with response:
            leave()
        same = response.status == 200 and _digest(response.headers.get("Docker-Content-Digest")) == known
        if response.status == 304 or same:
            return Unchanged(number(response.headers.get("Age")) or 0, _is_stale(response))
        return None

    def _call(
        self,
        method: str,
        reference: Reference,
        path: str,
        what: str,
        headers: t.Mapping[str, str],
        query: t.Sequence[t.Tuple[str, str]] = (),
    ) -> Call:
        repository = f"{self._endpoint.prefix}{reference.repository}"
        pairs, told = list(query), dict(headers)
        if self.kind != UPSTREAM:
            pairs.append(("ns", reference.registry))
            told["Via"] = ", ".join(f"1.1 {instance}" for instance in self._via)
            if self._cached_only:
                told["Cache-Control"] = "only-if-cached"
        return Call(
            self._endpoint.host,
            method,
            f"/v2/{repository}/{path}",
            what=what,
            where=f"{self.name}: {reference}",
            repository=repository,
            scopes=(pull_scope(repository),),
            query=pairs,
            headers=told,
        )

    def _send(self, call: Call) -> t.Tuple[Response, t.Callable[[], None]]:
        """The answer, and what to call when the request is over."""
        endpoint = self._endpoint
        endpoint.breaker.refuse_if_open()
        with contextlib.ExitStack() as stack:
            leave = endpoint.limits.enter()
            stack.callback(leave)
            endpoint.breaker.check()
            try:
                response = _send_again_if_dropped(endpoint.transport, call)
            except RegistryError as error:
                if _is_away(error):
                    endpoint.breaker.failed()
                else:
                    endpoint.breaker.worked()
                raise
            except BaseException:
                endpoint.breaker.failed()
                raise
            endpoint.breaker.worked()
            stack.pop_all()
            return response, leave


def timed_out(error: RegistryError) -> bool:
    """Whether the other side did not answer in time."""
    cause = error.__cause__
    unmade = urllib3.exceptions.NewConnectionError
    return isinstance(cause, urllib3.exceptions.TimeoutError) and not isinstance(cause, unmade)


def _is_away(error: RegistryError) -> bool:
    """Whether nobody answered. What we refuse to do ourselves says nothing about the other side."""
    return error.status is None and not isinstance(error, ForbiddenAddress) and isinstance(error.__cause__, Exception)


def _send_again_if_dropped(transport: Transport, call: Call) -> Response:
    """Send; once more where a kept connection turns out to have been closed by the other side."""
    try:
        return transport.send(call)
    except RegistryError as error:
        if not isinstance(error.__cause__, urllib3.exceptions.ProtocolError):
            raise
    return transport.send(call)


def _expecting(call: Call, statuses: t.Iterable[int]) -> Call:
    return replace(call, expected=frozenset(statuses))


def _is_stale(response: Response) -> bool:
    return _STALE.match(response.headers.get("Warning", "")) is not None


def _next_query(link: str) -> str:
    """The query of the page that a Link header calls the next one; of its address nothing else is used."""
    return next_page(link).partition("#")[0].partition("?")[2]


def _digest(header: t.Optional[str]) -> t.Optional[Digest]:
    try:
        return Digest.parse((header or "").strip())
    except OciError:
        return None
