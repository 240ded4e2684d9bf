# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom to ask for what is not here: what the configuration allows, in the order to try.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import hashlib
import os
import threading
import typing as t
from collections import OrderedDict
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import ANY, OFF, Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config_upstream import (
    Access,
    Neighbour,
    UpstreamSettings,
    default_urls,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.addresses import (
    AddressGuard,
    host_matches,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.globs import matches_any
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.limits import Breaker, Limits
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import (
    PARENT,
    PEER,
    UPSTREAM,
    Endpoint,
    Link,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.trees import order_of_peers
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import Credentials, Login, RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PULLED
from ansible_collections.sealer.cluster.plugins.module_utils._oci.pools import TlsContexts
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Transport
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 20.0
_NEIGHBOUR_CONNECT_SECONDS = 2.0
_NEIGHBOUR_READ_SECONDS = 45.0
_KEPT_CONNECTIONS = 16
_KEPT_STRANGERS = 64
_PEERS_ASKED = 2


class _Upstream:
    """A registry with its endpoints, which are the same limits' business."""

    def __init__(self, settings: UpstreamSettings, guard: AddressGuard, state: str, contexts: TlsContexts) -> None:
        self.settings = settings
        key = _key(settings.name) if state else ""
        limits = Limits(
            settings.name,
            settings.concurrency,
            settings.requests_per_second,
            os.path.join(state, "limits", key) if state else "",
        )
        login = settings.access.login()
        self.endpoints = [
            Endpoint(
                settings.name,
                UPSTREAM,
                url,
                _transport(url, settings.access, login, guard, contexts, proxy=settings.proxy or None),
                limits,
                _breaker(url, state),
            )
            for url in settings.urls
        ]

    def allows(self, repository: str) -> bool:
        """Whether the repository is one of those that may be asked for."""
        patterns = self.settings.repositories
        return not patterns or matches_any(repository, patterns)

    def close(self) -> None:
        """Close idle connections."""
        for endpoint in self.endpoints:
            endpoint.transport.close()


class Upstreams:
    """All there is to ask. Threads may share it.

    Secrets, authorities and certificates are read from their files when it is made, which raises SealerError where one
    cannot be used.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._state = os.path.join(config.store, PULLED)
        self._lock = threading.Lock()
        self._contexts = TlsContexts()
        self._strangers: OrderedDict[str, _Upstream] = OrderedDict()
        self._named: t.Dict[str, _Upstream] = {}
        for settings in config.upstreams if config.pull_through != OFF else ():
            guard = AddressGuard(_host_and_port(settings.urls), settings.redirect_hosts)
            self._named[settings.name.lower()] = _Upstream(settings, guard, self._state, self._contexts)
        self._parents = [self._neighbour(parent, PARENT) for parent in config.parents]
        peers = [peer for peer in config.peers if peer.url != config.self_url]
        self._peers = {peer.url: self._neighbour(peer, PEER) for peer in peers}

    def links(self, asked: Asked) -> t.List[Link]:
        """Where to ask, in the order to try; empty where there is nowhere. Raises Refused when it is not allowed.

        That is the peer whose turn it is with this content (and the next one, should that be down), unless it is this
        mirror's; the parents; then the upstream itself. For own content, it is every peer, and the parents.
        """
        if asked.cached_only or self.is_loop(asked):
            return []
        if asked.own:
            peers = [self._link(endpoint, asked, cached_only=True) for endpoint in self._peers.values()]
            return peers + [self._link(endpoint, asked) for endpoint in self._parents]
        upstream = self._upstream_of(asked)
        ahead = order_of_peers(asked.reference, [*self._peers, self._config.self_url])
        ahead = ahead[: ahead.index(self._config.self_url)][:_PEERS_ASKED]
        return [
            *(self._link(self._peers[url], asked) for url in ahead),
            *(self._link(endpoint, asked) for endpoint in self._parents),
            *(self._link(endpoint, asked) for endpoint in (upstream.endpoints if upstream else ())),
        ]

    def is_loop(self, asked: Asked) -> bool:
        """Whether the request came through this mirror before."""
        return self._config.instance in asked.via

    def tag_ttl(self, asked: Asked) -> float:
        """For how many seconds what a tag means is good without asking again; own tags are asked for every time."""
        if asked.own:
            return 0.0
        upstream = self._named.get(asked.reference.registry.lower())
        ttl = upstream.settings.tag_ttl if upstream is not None else None
        return self._config.tag_ttl if ttl is None else ttl

    def status(self) -> t.List[t.Dict[str, t.Any]]:
        """The endpoints of the configuration, and whether each is left alone now because it does not answer."""
        named = [endpoint for upstream in self._named.values() for endpoint in upstream.endpoints]
        return [
            {"name": one.name, "kind": one.kind, "url": one.url, "away": one.breaker.is_open}
            for one in [*named, *self._parents, *self._peers.values()]
        ]

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for upstream in [*self._named.values(), *self._strangers.values()]:
                upstream.close()
        for endpoint in [*self._parents, *self._peers.values()]:
            endpoint.transport.close()

    def _link(self, endpoint: Endpoint, asked: Asked, *, cached_only: bool = False) -> Link:
        return Link(endpoint, (*asked.via, self._config.instance), cached_only=cached_only)

    def _upstream_of(self, asked: Asked) -> t.Optional[_Upstream]:
        """The registry itself; None where others may be asked, but not that. Raises Refused."""
        registry, policy = asked.reference.registry.lower(), self._config.pull_through
        upstream = self._named.get(registry)
        if upstream is not None:
            if not upstream.allows(asked.reference.repository):
                raise _denied(f"the mirror does not pull this repository of {registry} through", asked)
            return upstream
        if policy == ANY and self._may_be_asked(registry):
            return self._stranger(registry)
        if policy != OFF and not self._parents:
            raise _denied(f"the mirror does not pull from {registry}", asked)
        return None

    def _may_be_asked(self, registry: str) -> bool:
        try:
            ((host, port),) = _host_and_port(default_urls(registry))
        except OciError:
            return False
        names = {(host, port), (Url.parse(f"https://{registry}").host, port)}
        if any(host_matches(*name, self._config.deny) for name in names):
            return False
        return not self._config.allow or any(host_matches(*name, self._config.allow) for name in names)

    def _stranger(self, registry: str) -> _Upstream:
        """A registry that the configuration does not name; only so many are remembered."""
        with self._lock:
            upstream = self._strangers.get(registry)
            if upstream is None:
                settings = UpstreamSettings(registry, default_urls(registry))
                upstream = self._strangers[registry] = _Upstream(settings, AddressGuard(), "", self._contexts)
            self._strangers.move_to_end(registry)
            dropped = self._strangers.popitem(last=False)[1] if len(self._strangers) > _KEPT_STRANGERS else None
        if dropped is not None:
            dropped.close()
        return upstream

    def _neighbour(self, settings: Neighbour, kind: str) -> Endpoint:
        guard = AddressGuard(_host_and_port([settings.url]))
        login = settings.access.login()
        transport = _transport(settings.url, settings.access, login, guard, self._contexts, proxy="", near=True)
        name = Url.parse(settings.url).netloc
        return Endpoint(name, kind, settings.url, transport, Limits(name), _breaker(settings.url, self._state))


def _transport(
    url: str,
    access: Access,
    login: t.Optional[Login],
    guard: AddressGuard,
    contexts: TlsContexts,
    *,
    proxy: t.Optional[str],
    near: bool = False,
) -> Transport:
    address = Url.parse(url)
    settings = RegistrySettings(
        address.netloc,
        ca_path=access.ca,
        client_cert=access.client_certificate,
        client_key=access.client_key,
        insecure=access.insecure,
    )
    if address.scheme == "https":
        contexts.of(settings, show_client_cert=True)
    return Transport(
        [settings],
        credentials=Credentials.only({address.netloc: login} if login is not None else {}),
        parallel=_KEPT_CONNECTIONS,
        connect_timeout=_NEIGHBOUR_CONNECT_SECONDS if near else _CONNECT_SECONDS,
        read_timeout=_NEIGHBOUR_READ_SECONDS if near else _READ_SECONDS,
        proxy=proxy,
        guard=guard,
        contexts=contexts,
        origins={address.netloc: address},
    )


def _breaker(url: str, state: str) -> Breaker:
    return Breaker(Url.parse(url).netloc, os.path.join(state, "away", _key(url)) if state else "")


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _host_and_port(urls: t.Sequence[str]) -> t.List[t.Tuple[str, int]]:
    return [(address.host, address.port) for address in map(Url.parse, urls)]


def _denied(what: str, asked: Asked) -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, "DENIED", what, detail=str(asked.reference))
