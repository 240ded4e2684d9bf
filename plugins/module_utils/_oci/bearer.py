# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a registry wants to be shown who asks: challenges, and the tokens got for them.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import threading
import time
import typing as t
from collections import OrderedDict
from dataclasses import dataclass, field
from urllib.parse import urlencode

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import Credentials, Login
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import redact_url
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

__all__ = ["Authorizer", "Challenge", "TokenRequest", "parse_challenges", "pull_scope", "push_scope"]

_SCHEME = re.compile(r"[, ]*([A-Za-z][A-Za-z0-9-]*)(?=[\s,]|$)\s*")
_TOKEN68 = re.compile(r"[A-Za-z0-9._~+/-]+=*\s*(?:,|$)")
_PARAMETER = re.compile(r'([A-Za-z_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,\s*|$)')
_SHORTEST_LIFE = 60.0
_MOST_REPOSITORIES = 1024
_CLIENT_ID = "sealer.cluster"


@dataclass(frozen=True)
class Challenge:
    """One way to authenticate that a registry offers; ``scheme`` is in lower case."""

    scheme: str
    parameters: t.Mapping[str, str]


@dataclass(frozen=True)
class TokenRequest:
    """A request to a token server: GET, or POST when there is a form."""

    url: Url
    authorization: str = ""
    form: str = ""


@dataclass(frozen=True)
class _Token:
    value: str
    scopes: t.FrozenSet[str]
    good_until: float


def pull_scope(repository: str) -> str:
    """The scope that allows to read a repository."""
    return f"repository:{repository}:pull"


def push_scope(repository: str) -> str:
    """The scope that allows to read and write a repository."""
    return f"repository:{repository}:pull,push"


def parse_challenges(headers: t.Iterable[str]) -> t.List[Challenge]:
    """The challenges in the values of WWW-Authenticate headers; what cannot be read is left out."""
    found: t.List[Challenge] = []
    for header in headers:
        text = header.strip()
        scheme = _SCHEME.match(text)
        while scheme is not None:
            position = scheme.end()
            parameters: t.Dict[str, str] = {}
            parameter = _PARAMETER.match(text, position)
            opaque = None if parameter is not None else _TOKEN68.match(text, position)
            position = opaque.end() if opaque is not None else position
            while parameter is not None:
                name, quoted, bare = parameter.groups()
                parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
                position = parameter.end()
                parameter = _PARAMETER.match(text, position)
            found.append(Challenge(scheme.group(1).lower(), parameters))
            scheme = _SCHEME.match(text, position)
    return found


@dataclass
class _Repository:
    """The token for one repository, and the scopes that were ever wanted there."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    token: t.Optional[_Token] = None
    scopes: t.Set[str] = field(default_factory=set)


class Authorizer:
    """Authorization headers for one registry. Safe for many threads; a token is fetched once for all who wait."""

    def __init__(
        self,
        registry: str,
        credentials: Credentials,
        fetch: t.Callable[[TokenRequest], bytes],
        *,
        plain_realm: bool = False,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._credentials = credentials
        self._fetch = fetch
        self._plain_realm = plain_realm
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: t.Optional[Challenge] = None
        self._repositories: OrderedDict[str, _Repository] = OrderedDict()

    def header(self, repository: str, scopes: t.Sequence[str]) -> t.Optional[str]:
        """The Authorization header to send; None before the registry has asked for one, or when there is no login."""
        challenge = self._challenge
        if challenge is None:
            return None
        if challenge.scheme == "basic":
            login = self._credentials.login(self._registry, repository)
            return login.basic if login is not None and login.username else None
        known = self._known(repository)
        with known.lock:
            token = known.token
            known.scopes.update(scopes)
            if token is None or not token.scopes.issuperset(known.scopes) or self._clock() >= token.good_until:
                try:
                    token = known.token = self._new_token(challenge, repository, frozenset(known.scopes))
                except RegistryError:
                    # The registry may name another token server by now: it is asked again.
                    if self._challenge is challenge:
                        self._challenge = None
                    raise
            return f"Bearer {token.value}"

    def challenged(self, repository: str, headers: t.Iterable[str], used: t.Optional[str]) -> bool:
        """Takes in what a 401 said; whether the request is worth repeating with a new header.

        ``used`` is the Authorization header of the request that was refused.
        """
        offered = {challenge.scheme: challenge for challenge in parse_challenges(headers)}
        challenge = offered.get("bearer") or offered.get("basic")
        if challenge is None:
            return False
        known = self._known(repository)
        with known.lock:
            self._challenge = challenge
            if known.token is not None and used == f"Bearer {known.token.value}":
                known.token = None
        return not (challenge.scheme == "basic" and (used or "").startswith("Basic "))

    def _known(self, repository: str) -> _Repository:
        """What is known of a repository; of those not used for longest, it is forgotten."""
        with self._lock:
            known = self._repositories.setdefault(repository, _Repository())
            self._repositories.move_to_end(repository)
            if len(self._repositories) > _MOST_REPOSITORIES:
                self._repositories.popitem(last=False)
            return known

    def _new_token(self, challenge: Challenge, repository: str, scopes: t.FrozenSet[str]) -> _Token:
        realm = self._checked_realm(challenge.parameters.get("realm", ""))
        request = _token_request(
            realm, challenge.parameters.get("service", ""), scopes, self._credentials.login(self._registry, repository)
        )
        asked = self._clock()
        value, life = _read_token(self._fetch(request), realm)
        return _Token(value, scopes, asked + life * 0.9)

    def _checked_realm(self, realm: str) -> Url:
        try:
            url = Url.parse(realm)
            why = (
                ""
                if url.scheme == "https" or self._plain_realm
                else f"{redact_url(realm)!r} and it is not an https address"
            )
        except OciError as error:
            why = f"an {error.what}: {error.why}"
        if why:
            raise RegistryError(
                "will not ask its token server",
                where=self._registry,
                why=f"the registry names {why}",
                fix="Correct the registry's settings, or set `insecure` for it if passwords may travel in clear.",
            )
        return url


def _token_request(realm: Url, service: str, scopes: t.FrozenSet[str], login: t.Optional[Login]) -> TokenRequest:
    ordered = sorted(_merged(scopes))
    if login is not None and login.identity_token:
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": _CLIENT_ID,
            "scope": " ".join(ordered),
            "refresh_token": login.identity_token,
        }
        return TokenRequest(realm, form=urlencode(form))
    query = [("service", service)] if service else []
    query += [("scope", scope) for scope in ordered]
    return TokenRequest(realm.with_query(query), authorization=login.basic if login is not None else "")


def _merged(scopes: t.Iterable[str]) -> t.List[str]:
    """Scopes with the actions on one resource put together: token servers answer to the last of several only."""
    actions: t.Dict[str, t.Set[str]] = {}
    for scope in scopes:
        resource, _colon, wanted = scope.rpartition(":")
        actions.setdefault(resource, set()).update(wanted.split(","))
    return [f"{resource}:{','.join(sorted(wanted))}" for resource, wanted in actions.items()]


def _read_token(body: bytes, realm: Url) -> t.Tuple[str, float]:
    try:
        document = load_object(body, "the answer")
    except OciError:
        document = {}
    token, life = document.get("token") or document.get("access_token"), document.get("expires_in")
    if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
        raise RegistryError(
            "the token server's answer cannot be read",
            where=redact_url(str(realm)),
            why="there is no token in it",
            fix="Check that the registry's `realm` is a token server.",
        )
    number = life if isinstance(life, (int, float)) and not isinstance(life, bool) else 0.0
    return token, max(_SHORTEST_LIFE, float(number))
