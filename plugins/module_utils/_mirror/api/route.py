# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request's path, query and Host ask for.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, quote

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import DEFAULT_NAME
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import DOCKER_HUB, Reference

MANIFESTS = "manifests"
BLOBS = "blobs"
UPLOADS = "uploads"
TAGS = "tags"
REFERRERS = "referrers"
CATALOG = "_catalog"
NAMESPACE = "ns"

Query = t.Mapping[str, t.Sequence[str]]

_CONTENT = re.compile(
    rf"/v2/(?P<name>.+)/(?:(?P<kind>{MANIFESTS}|{BLOBS}|{REFERRERS})/(?P<wanted>[^/]+)"
    rf"|{BLOBS}/{UPLOADS}/(?P<upload>[^/]*)|{TAGS}/list)"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DOCKER_HUB_ALIASES = frozenset({"index.docker.io", "registry-1.docker.io"})
_ANY_TAG = "any"
_MOST_FIELDS = 128
_REMEMBERED = 4096
_LONGEST_REMEMBERED = 1024


@dataclass(frozen=True)
class Site:
    """The names that requests reach this mirror by: its own, and those of upstreams in whose place it stands."""

    name: str = DEFAULT_NAME
    own_names: t.FrozenSet[str] = frozenset({DEFAULT_NAME})
    upstreams: t.FrozenSet[str] = frozenset()

    def is_own(self, registry: str) -> bool:
        """Whether the registry is this mirror's own, by any port."""
        return registry in self.own_names or _without_port(registry) in self.own_names

    def upstream_at(self, host: str) -> str:
        """The upstream that a client means which reaches us under this name; empty when it is none."""
        names = (_canonical(candidate) for candidate in (host, _without_port(host)))
        return next((name for name in names if name in self.upstreams), "")


@dataclass(frozen=True)
class Target:
    """What is asked for.

    ``registry`` is the one that the client named, or the mirror's own name: where the client named one of the mirror's
    (then ``own`` alone is true) or none at all (then ``named`` is false, too). ``path`` is the repository as it stands
    in the request, for what leads back here.
    """

    kind: str
    registry: str
    repository: str
    tag: t.Optional[str] = None
    digest: t.Optional[Digest] = None
    upload: str = ""
    own: bool = False
    named: bool = True
    path: str = ""
    query: Query = field(default_factory=dict, compare=False, repr=False)

    @functools.cached_property
    def reference(self) -> Reference:
        """The full name in the registry that is meant first; of a repository alone, with any tag."""
        tag = _ANY_TAG if self.tag is None and self.digest is None else self.tag
        return Reference(self.registry, self.repository, tag, self.digest)

    @functools.cached_property
    def elsewhere(self) -> t.Optional[Reference]:
        """The full name at Docker Hub, where no registry was named."""
        if self.named:
            return None
        here = self.reference
        return Reference(DOCKER_HUB, _at(DOCKER_HUB, self.repository), here.tag, here.digest)

    def url(self, rest: str, **fields: str) -> str:
        """A path and query that mean something of the same repository, for headers."""
        if NAMESPACE in self.query:
            fields = {**fields, NAMESPACE: self.one(NAMESPACE)}
        told = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
        return quote(f"/v2/{self.path}/{rest}", safe="/:") + (f"?{told}" if told else "")

    def one(self, name: str) -> str:
        """A field of the query; empty when it is not there. Refused (400) when it says several things."""
        return _one(self.query, name)


class Router:
    """Reads requests, and remembers the last ones it read."""

    def __init__(self, site: t.Optional[Site] = None) -> None:
        self.site = site or Site()
        self._remember = functools.lru_cache(_REMEMBERED)(self._read)

    def target(self, path: str, query: str = "", host: str = "") -> t.Optional[Target]:
        """What is asked for; None when there is nothing at such a path. Raises Refused for invalid names.

        The registry is the one in the query (``?ns=quay.io``, as containerd sends it), else the upstream whose name the
        client reaches us by, else the path's first component where that can only be a registry (``/v2/quay.io/…``).
        """
        if len(path) + len(query) + len(host) > _LONGEST_REMEMBERED:
            return self._read(path, query, host)
        return self._remember(path, query, host)

    def mountable(self, name: str) -> t.Tuple[bool, Reference]:
        """Which repository a client means by a name in the query, and whether it is one of ours."""
        registry, repository, own, _named = self._split(name, "", "")
        return own, _reference(registry, repository, _ANY_TAG, None)

    def _read(self, path: str, query: str, host: str) -> t.Optional[Target]:
        if path == f"/v2/{CATALOG}":
            fields = _fields(query)
            registry = _canonical(_one(fields, NAMESPACE)) or self.site.upstream_at(host)
            own = self.site.is_own(registry)
            return Target(CATALOG, self.site.name if own else registry, "", own=own, named=bool(registry), query=fields)
        found = _CONTENT.fullmatch(path)
        if found is None:
            return None
        fields = _fields(query)
        name, kind, wanted, upload = found.group("name", "kind", "wanted", "upload")
        if kind == BLOBS and wanted == UPLOADS:
            kind, upload = None, ""
        registry, repository, own, named = self._split(name, _one(fields, NAMESPACE), host)
        tag, digest = _wanted(kind, wanted)
        target = Target(
            kind or (TAGS if upload is None else UPLOADS),
            registry,
            repository,
            tag,
            digest,
            upload or "",
            own,
            named,
            name,
            fields,
        )
        _reference(registry, repository, tag or _ANY_TAG, digest)
        return target

    def _split(self, name: str, namespace: str, host: str) -> t.Tuple[str, str, bool, bool]:
        """The registry and the repository, whether they are our own, and whether a registry was named."""
        registry = _canonical(namespace) or self.site.upstream_at(host)
        repository, named = name, True
        if not registry:
            whole = _parsed(f"{name}:{_ANY_TAG}")
            first = name.partition("/")[0]
            if whole.registry != DOCKER_HUB or _canonical(first) == DOCKER_HUB:
                registry, repository = _canonical(whole.registry), whole.repository
            else:
                registry, named = self.site.name, self.site.is_own(host)
        if self.site.is_own(registry):
            return self.site.name, repository, True, named
        return registry, _at(registry, repository), False, named


def _wanted(kind: t.Optional[str], wanted: t.Optional[str]) -> t.Tuple[t.Optional[str], t.Optional[Digest]]:
    """The tag or the digest in a path."""
    if not kind or not wanted:
        return None, None
    if ":" in wanted or kind != MANIFESTS:
        return None, parse_digest(wanted)
    if _TAG.fullmatch(wanted) is None:
        raise Refused(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", "this cannot be a tag")
    return wanted, None


def is_tag(text: str) -> bool:
    """Whether this can be a tag."""
    return _TAG.fullmatch(text) is not None


def parse_digest(text: str) -> Digest:
    """The digest that a client names; Refused (400) for anything else."""
    try:
        return Digest.parse(text)
    except OciError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", error.what, detail=error.why) from error


def _fields(query: str) -> t.Dict[str, t.List[str]]:
    try:
        return parse_qs(query, max_num_fields=_MOST_FIELDS) if query else {}
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "NAME_INVALID", "the query cannot be read", detail=str(error)) from error


def _one(fields: Query, name: str) -> str:
    found = fields.get(name, ())
    if len(set(found)) > 1:
        raise Refused(HTTPStatus.BAD_REQUEST, "NAME_INVALID", f"the query says several things as {name!r}")
    return found[0] if found else ""


def _parsed(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except OciError as error:
        raise _invalid(error) from error


def _reference(registry: str, repository: str, tag: t.Optional[str], digest: t.Optional[Digest]) -> Reference:
    try:
        return Reference(registry, repository, tag, digest)
    except OciError as error:
        raise _invalid(error) from error


def _invalid(error: OciError) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "NAME_INVALID", error.what, detail=error.why)


def _canonical(registry: str) -> str:
    return DOCKER_HUB if registry in _DOCKER_HUB_ALIASES else registry


def _at(registry: str, repository: str) -> str:
    """The repository as its registry calls it."""
    return f"library/{repository}" if registry == DOCKER_HUB and "/" not in repository else repository


def _without_port(registry: str) -> str:
    host, colon, port = registry.rpartition(":")
    return host if colon and port.isascii() and port.isdigit() else registry
