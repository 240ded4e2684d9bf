# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Content discovery: the catalog, the tags of a repository and the referrers of a manifest.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import bisect
import typing as t
from http import HTTPStatus
from urllib.parse import parse_qsl, quote

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import (
    Headers,
    Refused,
    Reply,
    json_reply,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.referrers import Referrers, filtered
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.route import REFERRERS, TAGS, Target
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Source
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import JsonObject, load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import OCI_INDEX
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

REFERRERS_PAGE = 1000

_MOST_DIGITS = 18


class Listing(t.Protocol):
    """An upstream's answer: its JSON, and the query of its next page if there is one."""

    @property
    def raw(self) -> bytes: ...

    @property
    def next_query(self) -> str: ...


class Lister(t.Protocol):
    """A source that can ask upstreams to list what they have."""

    def listing(self, asked: Asked, path: str, query: t.Sequence[t.Tuple[str, str]]) -> t.Optional[Listing]:
        """What the upstream tells at this path of a repository, None when it has none."""


class Discovery:
    """Lists what there is. Upstreams are asked about their repositories; where they are away, what is here counts."""

    def __init__(self, store: Store, sources: t.Sequence[Source], lister: t.Optional[Lister] = None) -> None:
        self._store = store
        self._lister = lister
        self._referrers = Referrers(store, sources)

    def catalog(self, target: Target) -> Reply:
        """The repositories: of the registry that was named, or all, those of others with their registry before them."""
        ours = f"{self._store.name}/"
        names = {
            name[len(ours) :] if name.startswith(ours) else name
            for name in self._store.names().repositories()
            if not target.named or name.startswith(f"{target.registry}/")
        }
        if target.own or not target.named:
            names.update(self._store.own().repositories())
        elif target.named:
            names = {name[len(target.registry) + 1 :] for name in names}
        page, more = _page(target, sorted(names))
        fields = {"n": target.one("n"), "last": page[-1]} if more else {}
        if fields and "ns" in target.query:
            fields["ns"] = target.one("ns")
        return json_reply(HTTPStatus.OK, {"repositories": page}, _next("/v2/_catalog", fields))

    def tags(self, target: Target, asked: t.Sequence[Asked]) -> Reply:
        """The tags of the repository."""
        refusal: t.Optional[Refused] = None
        for one in asked:
            try:
                listing = self._ask(one, f"{TAGS}/list", _told(target, ("n", "last")))
            except Refused as refused:
                listing = None
                if target.named or refused.status != HTTPStatus.FORBIDDEN:
                    refusal = refused
            if listing is not None:
                found = _strings(_object(listing.raw).get("tags"))
                fields = dict(parse_qsl(listing.next_query))
                return self._tags_reply(target, found, fields)
            known = self._known_tags(one)
            if known is not None:
                page, more = _page(target, known)
                return self._tags_reply(target, page, {"n": target.one("n"), "last": page[-1]} if more else {})
        what = "there is no such repository"
        raise refusal or Refused(HTTPStatus.NOT_FOUND, "NAME_UNKNOWN", what, detail=str(target.reference.name))

    def referrers(self, target: Target, subject: Digest, asked: t.Sequence[Asked]) -> Reply:
        """What refers to the manifest, in an index."""
        kind, last = target.one("artifactType"), target.one("last")
        found: t.Dict[str, t.Any] = {}
        fields: t.Dict[str, str] = {}
        for one in asked:
            told, fields = self._told_referrers(one, subject, target)
            found = {str(entry.get("digest")): entry for entry in told}
            if found or self._knows(one):
                break
        if not fields:
            digests = sorted(digest for digest in found if digest > last)
            if len(digests) > REFERRERS_PAGE:
                fields = {"last": digests[REFERRERS_PAGE - 1], **({"artifactType": kind} if kind else {})}
            found = {digest: found[digest] for digest in digests[:REFERRERS_PAGE]}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": filtered(found.values(), kind)}
        headers = _next(target.url(f"{REFERRERS}/{subject}"), fields)
        if kind:
            headers.append(("OCI-Filters-Applied", "artifactType"))
        return json_reply(HTTPStatus.OK, index, headers, OCI_INDEX)

    def _told_referrers(
        self, asked: Asked, subject: Digest, target: Target
    ) -> t.Tuple[t.List[t.Dict[str, t.Any]], t.Dict[str, str]]:
        """What an upstream tells, with the query of its next page; else what is known here."""
        try:
            listing = self._ask(asked, f"{REFERRERS}/{subject}", _told(target, None))
        except Refused as refused:
            known = self._referrers.known(asked, subject, cached_only=True)
            if not known and refused.status != HTTPStatus.FORBIDDEN:
                raise
            return known, {}
        if listing is None:
            return self._referrers.known(asked, subject, cached_only=asked.own), {}
        manifests = _object(listing.raw).get("manifests")
        entries = [entry for entry in manifests if isinstance(entry, dict)] if isinstance(manifests, list) else []
        return entries, dict(parse_qsl(listing.next_query))

    def _tags_reply(self, target: Target, tags: t.Sequence[str], fields: t.Mapping[str, str]) -> Reply:
        value = {"name": target.path, "tags": list(tags)}
        return json_reply(HTTPStatus.OK, value, _next(target.url(f"{TAGS}/list"), fields))

    def _known_tags(self, asked: Asked) -> t.Optional[t.List[str]]:
        tags = self._store.names().tags(asked.reference.name)
        return tags if tags is not None or not self._knows(asked) else []

    def is_known(self, reference: Reference) -> bool:
        """Whether there is such a repository of our own."""
        return self._store.own().has(reference.repository) or bool(self._store.names().tags(reference.name))

    def _knows(self, asked: Asked) -> bool:
        return asked.own and self.is_known(asked.reference)

    def _ask(self, asked: Asked, path: str, query: t.Sequence[t.Tuple[str, str]]) -> t.Optional[Listing]:
        if self._lister is None or asked.own or asked.cached_only:
            return None
        return self._lister.listing(asked, path, query)


def _told(target: Target, names: t.Optional[t.Sequence[str]]) -> t.List[t.Tuple[str, str]]:
    """The fields of the query that are the upstream's business, all but the registry's name without ``names``."""
    told = [name for name in target.query if name != "ns"] if names is None else names
    return [(name, target.one(name)) for name in told if target.one(name)]


def _page(target: Target, items: t.Sequence[str]) -> t.Tuple[t.List[str], bool]:
    """The items after ``last``, as many as ``n``; and whether there are more."""
    number, last = target.one("n"), target.one("last")
    start = bisect.bisect_right(items, last) if last else 0
    if not number:
        return list(items[start:]), False
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise Refused(HTTPStatus.BAD_REQUEST, "UNSUPPORTED", "the query's n is not a number of items")
    end = start + int(number)
    return list(items[start:end]), start < end < len(items)


def _next(path: str, fields: t.Mapping[str, str]) -> Headers:
    """The link to the next page, if there is one."""
    if not fields:
        return []
    told = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in fields.items() if value)
    return [("Link", f'<{path}{"&" if "?" in path else "?"}{told}>; rel="next"')]


def _object(raw: bytes) -> JsonObject:
    try:
        return load_object(raw, "the listing")
    except OciError:
        return {}


def _strings(value: t.Any) -> t.List[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
