# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking a mirror or another registry from a host, which has the standard library alone.

Private to the collection: may change at any time.

Logins are shown where they belong: to the registry itself when it asks for one, or to the token server that it names.
Neither proxies nor files of the host's user are used.
"""

from __future__ import annotations

import http.client
import ssl
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import Credentials, Login
from ansible_collections.sealer.cluster.plugins.module_utils._oci.bearer import Authorizer, TokenRequest, pull_scope
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import (
    TEMPORARY_STATUS,
    RegistryError,
    broken_connection,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import redact_url
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

__all__ = ["Answer", "Registry"]

_CONNECT_SECONDS = 15
_READ_SECONDS = 60
_TOKEN_LIMIT = 1024 * 1024
_REDIRECTS = 5
_REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})
_FIXES = {
    401: "Check user and password",
    403: "Let this user pull there",
    404: "Check that this is the address of a registry, and that it has the image",
}
_AGENT = "sealer.cluster"
_Headers = t.Mapping[str, str]


class Answer(t.Protocol):
    """What a server answered; the body is still to be read."""

    status: int

    @property
    def headers(self) -> t.Any:
        """Its headers, as email.message.Message has them."""

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes of the body."""

    def close(self) -> None:
        """End the connection."""


def _request(url: Url, headers: _Headers, context: t.Optional[ssl.SSLContext]) -> Answer:
    """A request of its own connection; without a context there is no TLS."""
    connection = (
        http.client.HTTPConnection(url.host, url.port, timeout=_CONNECT_SECONDS)
        if context is None
        else http.client.HTTPSConnection(url.host, url.port, timeout=_CONNECT_SECONDS, context=context)
    )
    try:
        connection.connect()
        connection.sock.settimeout(_READ_SECONDS)
        connection.request("GET", url.target, headers={**headers, "Connection": "close", "User-Agent": _AGENT})
        return connection.getresponse()
    except BaseException:
        connection.close()
        raise


class Registry:
    """One server with blobs and manifests.

    ``ca_path`` and ``ca_certificate`` (PEM) name the authorities to trust for it, those of the host unless given.
    Where it sends us to, the host's are trusted as well.
    """

    def __init__(
        self,
        url: str,
        *,
        username: t.Optional[str] = None,
        password: t.Optional[str] = None,
        ca_path: t.Optional[str] = None,
        ca_certificate: t.Optional[str] = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._origin = _read(self.url)
        self.host = self._origin.netloc
        self._plain = self._origin.scheme == "http"
        self._has_login = bool(username)
        self._ca_path, self._ca_certificate = ca_path, ca_certificate
        self._contexts: t.Dict[bool, ssl.SSLContext] = {}
        logins = {self.host: Login(username, password or "")} if username else {}
        self._authorizer = Authorizer(self.host, Credentials.only(logins), self._token, plain_realm=self._plain)

    def get(self, target: str, repository: str = "", headers: t.Optional[_Headers] = None) -> Answer:
        """The answer for a path below /v2/, whatever its status. One attempt, but for logging in."""
        scopes = [pull_scope(repository)] if repository else []
        url = _read(f"{self.url}/v2/{target}")
        shown = self._authorizer.header(repository, scopes)
        answer, own = self._follow(url, headers or {}, shown)
        for _login in range(2):
            offers = answer.headers.get_all("WWW-Authenticate") or []
            if answer.status != 401 or not own or not self._authorizer.challenged(repository, offers, shown):
                break
            shown = self._authorizer.header(repository, scopes)
            if shown is None:
                break
            answer.close()
            answer, own = self._follow(url, headers or {}, shown)
        return answer

    def check(self) -> None:
        """Raise RegistryError unless a registry answers here, and lets the user in where there is one."""
        answer = self.get("") if self._has_login else self._follow(_read(f"{self.url}/v2/"), {}, None)[0]
        answer.close()
        if answer.status != 200 and (self._has_login or answer.status != 401):
            raise self.refusal(f"{self.url}/v2/", answer.status)

    def refusal(self, url: str, status: int, what: str = "the registry refuses") -> RegistryError:
        """The error for an answer that was not hoped for."""
        return RegistryError(
            what,
            where=self.host,
            why=f"{redact_url(url)} answers {status}",
            fix=_FIXES.get(status, ""),
            status=status,
            temporary=status in TEMPORARY_STATUS,
        )

    def _follow(self, url: Url, headers: _Headers, authorization: t.Optional[str]) -> t.Tuple[Answer, bool]:
        """What is found after redirects, and whether the registry answered alone."""
        own = True
        for _hop in range(_REDIRECTS + 1):
            own = own and url.has_origin_of(self._origin)
            shown = {"Authorization": authorization} if own and authorization else {}
            answer = self._send(url, {**headers, **shown})
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECT_STATUS or not location:
                return answer, own
            answer.close()
            url = self._goal(url, location)
        raise RegistryError("the registry does not answer", where=self.host, why=f"more than {_REDIRECTS} redirects")

    def _goal(self, url: Url, location: str) -> Url:
        """Where a redirect leads."""
        try:
            return url.join(location)
        except OciError as error:
            raise self._wrong_way(f"{error.what}: {error.why}") from error

    def _wrong_way(self, why: str) -> RegistryError:
        what, fix = "will not go where the registry sends this host", "Correct the registry's settings"
        return RegistryError(what, where=self.host, why=why, fix=fix)

    def _send(self, url: Url, headers: _Headers) -> Answer:
        if url.scheme == "http" and not self._plain:
            raise self._wrong_way(f"{redact_url(str(url))} is not https")
        try:
            return _request(url, headers, self._context(url) if url.scheme == "https" else None)
        except (OSError, http.client.HTTPException) as error:
            raise broken_connection("the registry does not answer", self.host, "GET", str(url), error) from error

    def _token(self, request: TokenRequest) -> bytes:
        """The body of a token server's answer. Redirects are not followed: the request carries a password."""
        headers = {"Accept": "application/json"}
        if request.authorization:
            headers["Authorization"] = request.authorization
        answer = self._send(request.url, headers)
        try:
            if answer.status != 200:
                raise self.refusal(str(request.url), answer.status, "cannot log in")
            return read_all(answer, _TOKEN_LIMIT, "a token server's answer")
        finally:
            answer.close()

    def _context(self, url: Url) -> ssl.SSLContext:
        own = url.has_origin_of(self._origin)
        if own not in self._contexts:
            path, text = self._ca_path or None, self._ca_certificate or None
            try:
                context = ssl.create_default_context(cafile=path, cadata=text) if own else ssl.create_default_context()
                if not own and (path or text):
                    context.load_verify_locations(cafile=path, cadata=text)
            except (OSError, ValueError) as error:
                raise ClusterError(
                    "the certificate authorities to trust cannot be read",
                    where=self._ca_path or self.host,
                    why=str(error),
                    fix="Give them in PEM form",
                ) from error
            self._contexts[own] = context
        return self._contexts[own]


def read_all(stream: t.Any, limit: int, what: str) -> bytes:
    """All that comes, when that is no more than so many bytes."""
    found = b""
    while len(found) <= limit:
        data = stream.read(limit + 1 - len(found))
        if not data:
            return found
        found += data
    raise ClusterError(f"{what} is bigger than {limit} bytes")


def _read(text: str) -> Url:
    """The URL of a registry."""
    try:
        return Url.parse(text)
    except OciError as error:
        raise RegistryError(
            f"{redact_url(text)!r} is not the URL of a registry", why=error.why, fix="Write it as https://HOST:PORT"
        ) from error
