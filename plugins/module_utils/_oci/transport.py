# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to registries: authorised, redirected with care, bounded, and told of in our own errors.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import datetime
import threading
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import Credentials, RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.bearer import Authorizer, TokenRequest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.dialing import Guard
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import (
    HAS_URLLIB3,
    RegistryError,
    broken_connection,
    refusal,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.headers import number
from ansible_collections.sealer.cluster.plugins.module_utils._oci.pools import Pools, TlsContexts
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import redact_url
from ansible_collections.sealer.cluster.plugins.module_utils._oci.retry import retry_after_seconds
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

if HAS_URLLIB3:
    import urllib3

__all__ = ["Call", "Parts", "RegistryError", "RegistrySettings", "Response", "Transport"]

_AGENT = "sealer.cluster"
_ERROR_BODY = 64 * 1024
_TOKEN_BODY = 1024 * 1024
_BODY_SECONDS = 120.0
_REDIRECTS = 5
_REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
_DOCKER_HUB_API = "registry-1.docker.io"


class Parts(t.Protocol):
    """A body sent part after part."""

    def __iter__(self) -> t.Iterator[bytes]: ...

    def close(self) -> None: ...


Body = t.Union[bytes, Parts]


def api_host(registry: str) -> str:
    """The host that answers for a registry; Docker Hub's is not called as its images are."""
    return _DOCKER_HUB_API if registry == "docker.io" else registry


@dataclass(frozen=True)
class Call:
    """One request to a registry.

    ``target`` is a path and perhaps a query, or a URL that the registry gave. ``body`` makes the body anew for every
    attempt. ``what`` and ``where`` tell what failed when it fails.
    """

    registry: str
    method: str
    target: t.Union[str, Url]
    what: str
    where: str = ""
    repository: str = ""
    scopes: t.Sequence[str] = ()
    query: t.Sequence[t.Tuple[str, str]] = ()
    headers: t.Mapping[str, str] = field(default_factory=dict)
    body: t.Optional[t.Callable[[], Body]] = None
    expected: t.FrozenSet[int] = frozenset({200})


class Response:
    """An answer whose body is still to be read. Has to be closed; closing before the end gives the connection up."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, url: Url, call: Call, method: str) -> None:
        self._raw = raw
        self._call = call
        self._method = method
        self.url = url
        self.status: int = raw.status
        self.headers = raw.headers

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def challenges(self) -> t.List[str]:
        """The ways to authenticate that are offered."""
        return list(self.headers.getlist("WWW-Authenticate"))

    @property
    def location(self) -> t.Optional[Url]:
        """Where the answer leads, None when it leads nowhere. Raises RegistryError for what is no sound address."""
        told = self.headers.get("Location")
        if not told:
            return None
        try:
            return self.url.join(told)
        except OciError as error:
            raise RegistryError(
                self._call.what,
                where=self._call.where,
                why=f"{redact_url(str(self.url))} sends us to an {error.what}: {error.why}",
                fix="Correct the registry's settings.",
            ) from error

    def close(self) -> None:
        """Give the connection back, or up."""
        self._raw.close()
        self._raw.release_conn()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; empty at the end. Raises RegistryError when the connection breaks."""
        try:
            return self._raw.read(size)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise broken_connection(self._call.what, self._call.where, self._method, str(self.url), error) from error

    def read_some(self, size: int) -> bytes:
        """As soon as there are any, up to ``size`` bytes; empty at the end. Raises RegistryError as ``read`` does."""
        try:
            return self._raw.read1(size)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise broken_connection(self._call.what, self._call.where, self._method, str(self.url), error) from error

    def read_all(self, limit: int) -> bytes:
        """The whole body, when that is no more than ``limit`` bytes. Raises RegistryError as ``read_up_to`` does."""
        body = self.read_up_to(limit + 1)
        if len(body) > limit:
            raise self._failed(f"answered with more than {limit} bytes")
        if len(body) < (number(self.headers.get("Content-Length")) or 0):
            raise self._failed("the connection broke", temporary=True)
        return body

    def read_up_to(self, limit: int) -> bytes:
        """The body as far as ``limit``. Raises RegistryError when the connection breaks, or drips without end."""
        parts: t.List[bytes] = []
        left = limit
        until = time.monotonic() + _BODY_SECONDS
        while left > 0:
            part = self.read_some(left)
            if not part:
                break
            if time.monotonic() > until:
                raise self._failed(f"no end of the answer in {_BODY_SECONDS:g} seconds", temporary=True)
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _failed(self, why: str, temporary: bool = False) -> RegistryError:
        request = f"{self._method} {redact_url(str(self.url))}"
        return RegistryError(self._call.what, where=self._call.where, why=f"{request}: {why}", temporary=temporary)


class Transport:
    """Sends calls. Safe for many threads. ``parallel`` is how many connections are kept a host.

    ``origins`` says for a registry, where it is known, the URL of its API; of it, scheme, host and port count.
    """

    def __init__(
        self,
        settings: t.Iterable[RegistrySettings] = (),
        *,
        credentials: t.Optional[Credentials] = None,
        parallel: int = 8,
        connect_timeout: float = 15.0,
        read_timeout: float = 60.0,
        proxy: t.Optional[str] = None,
        guard: t.Optional[Guard] = None,
        contexts: t.Optional[TlsContexts] = None,
        origins: t.Optional[t.Mapping[str, Url]] = None,
    ) -> None:
        listed = list(settings)
        self._settings = {one.host: one for one in listed}
        self._settings_at = {Url.parse(f"https://{one.host}").netloc: one for one in listed}
        self._credentials = credentials or Credentials(listed)
        self._pools = Pools(parallel, connect_timeout, read_timeout, proxy=proxy, guard=guard, contexts=contexts)
        self._lock = threading.Lock()
        self._authorizers: t.Dict[str, Authorizer] = {}
        self._origins: t.Dict[str, Url] = dict(origins or {})
        self._origin_locks: t.Dict[str, threading.Lock] = {}
        self.requests = 0

    def settings_of(self, registry: str) -> RegistrySettings:
        """What is special about a registry."""
        return self._settings.get(registry) or RegistrySettings(registry)

    def close(self) -> None:
        """Close idle connections."""
        self._pools.close()

    def send(self, call: Call) -> Response:
        """The answer, when its status is an expected one, else RegistryError. One attempt, but for logging in."""
        origin = self._origin(call)
        url = call.target if isinstance(call.target, Url) else origin.join(call.target)
        return self._send(call, origin, url.with_query(call.query), logins=2)

    def _send(self, call: Call, origin: Url, url: Url, logins: int) -> Response:
        authorizer = self._authorizer(call.registry)
        own = url.has_origin_of(origin)
        header = authorizer.header(call.repository, call.scopes) if own else None
        response = self._follow(call, origin, url, header)
        if response.status in call.expected:
            return response
        refused = self._refusal(call, response)
        if response.status != 401 or not response.url.has_origin_of(origin) or not logins:
            raise refused
        if not authorizer.challenged(call.repository, response.challenges, header):
            raise refused
        if authorizer.header(call.repository, call.scopes) is None:
            raise refused
        return self._send(call, origin, url, logins - 1)

    def _refusal(self, call: Call, response: Response) -> RegistryError:
        body = b""
        wait = retry_after_seconds(response.headers.get("Retry-After"), datetime.datetime.now(datetime.timezone.utc))
        with response, contextlib.suppress(RegistryError):
            body = response.read_up_to(_ERROR_BODY) if call.method != "HEAD" else b""
        return refusal(call.what, call.where, call.method, str(response.url), response.status, body, wait)

    def _follow(self, call: Call, origin: Url, url: Url, authorization: t.Optional[str]) -> Response:
        """The answer behind redirects. What proves who we are is shown to the registry's own origin alone."""
        own = True
        for _hop in range(_REDIRECTS + 1):
            own = own and url.has_origin_of(origin)
            headers = {"User-Agent": _AGENT, **call.headers}
            if own and authorization:
                headers["Authorization"] = authorization
            settings = self.settings_of(call.registry) if own else self._foreign_settings(call, url)
            response = self._once(call, call.method, url, headers, settings, own or settings.host != call.registry)
            if call.method not in ("GET", "HEAD") or response.status not in _REDIRECT_STATUS:
                return response
            try:
                goal = response.location
            except RegistryError:
                response.close()
                raise
            if goal is None:
                return response
            response.close()
            url = goal
        raise RegistryError(call.what, where=call.where, why=f"more than {_REDIRECTS} redirects")

    def _foreign_settings(self, call: Call, url: Url) -> RegistrySettings:
        """Settings for a host that the registry sent us to: its own, else the registry's."""
        settings = self._settings_at.get(url.netloc) or self.settings_of(call.registry)
        if url.scheme != "https" and not settings.insecure:
            raise RegistryError(
                call.what,
                where=call.where,
                why=f"the registry sends us to {redact_url(str(url))}, which is not https",
                fix="Correct the registry's settings, or set `insecure` for it.",
            )
        return settings

    def _once(
        self,
        call: Call,
        method: str,
        url: Url,
        headers: t.Mapping[str, str],
        settings: RegistrySettings,
        show_client_cert: bool,
    ) -> Response:
        with self._lock:
            self.requests += 1
        body = call.body() if call.body is not None else None
        try:
            raw = self._pools.send(method, url, headers, body, settings, show_client_cert=show_client_cert)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise broken_connection(call.what, call.where, method, str(url), error) from error
        finally:
            if body is not None and not isinstance(body, bytes):
                body.close()
        return Response(raw, url, call, method)

    def _authorizer(self, registry: str) -> Authorizer:
        with self._lock:
            if registry not in self._authorizers:
                self._authorizers[registry] = Authorizer(
                    registry,
                    self._credentials,
                    lambda request: self._token(registry, request),
                    plain_realm=self.settings_of(registry).insecure,
                )
            return self._authorizers[registry]

    def _token(self, registry: str, request: TokenRequest) -> bytes:
        """The body of a token server's answer. Its redirects are not followed: the request carries a password."""
        headers = {"User-Agent": _AGENT, "Accept": "application/json"}
        if request.authorization:
            headers["Authorization"] = request.authorization
        if request.form:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        call = Call(
            registry,
            "POST" if request.form else "GET",
            request.url,
            what="cannot log in",
            where=registry,
            body=request.form.encode if request.form else None,
        )
        settings = self._foreign_settings(call, request.url)
        own = settings.host != registry or self._settings_at.get(request.url.netloc) is settings
        response = self._once(call, call.method, request.url, headers, settings, own)
        if response.status not in call.expected:
            raise self._refusal(call, response)
        with response:
            return response.read_all(_TOKEN_BODY)

    def _origin(self, call: Call) -> Url:
        """Where the registry's API is; where `insecure` allows it, plain HTTP if there is no TLS."""
        settings = self.settings_of(call.registry)
        host = api_host(call.registry)
        if host in self._origins:
            return self._origins[host]
        if not settings.insecure:
            return Url.parse(f"https://{host}")
        with self._lock:
            lock = self._origin_locks.setdefault(host, threading.Lock())
        with lock:
            if host not in self._origins:
                self._origins[host] = self._probe(call, host, settings)
            return self._origins[host]

    def _probe(self, call: Call, host: str, settings: RegistrySettings) -> Url:
        probe = Call(call.registry, "GET", "/v2/", what=call.what, where=call.where)
        secure, plain = (Url.parse(f"{scheme}://{host}/v2/") for scheme in ("https", "http"))
        try:
            self._once(probe, "GET", secure, {"User-Agent": _AGENT}, settings, True).close()
        except RegistryError:
            self._once(probe, "GET", plain, {"User-Agent": _AGENT}, settings, True).close()
            return plain
        return secure
