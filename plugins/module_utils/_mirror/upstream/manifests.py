# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests that are pulled through: kept, checked again when their time is over, served stale while nobody answers.

Private to the collection: may change at any time.

What is fetched is fetched once for all who want it: threads share a flight, processes a lock. Where there is a copy, a
client waits for no more than REVALIDATION_SECONDS, and only where there is a thread for that; the flight goes on.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
import typing as t
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import UPSTREAM
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Document, Found
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import MANIFEST, Counts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.asking import Asking
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.failures import again
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.flights import Flights, Remembered
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import (
    PEER,
    Fetched,
    Link,
    Listing,
    Unchanged,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.tags import TagRecord, Tags
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.upstreams import Upstreams
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import locked, make_directories
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_blob import Busy
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PULLED, PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import parse_document
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

REVALIDATION_SECONDS = 1.0
MISS_SECONDS = 90.0

_REST_SECONDS = 5.0
_LONGEST_REST = 300.0
_REMEMBERED = 4096
_OWN_NEGATIVE_TTL = 1.0

_Negative = t.Optional[Refused]


class Manifests:
    """Manifests of others' registries. Threads may share it."""

    def __init__(
        self,
        store: Store,
        upstreams: Upstreams,
        records: PulledRecords,
        counts: Counts,
        log: logging.Logger,
        *,
        negative_ttl: float = 15.0,
        clock: t.Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._upstreams = upstreams
        self._records = records
        self._counts = counts
        self._log = log
        self._negative_ttl = negative_ttl
        self._clock = clock
        self._tags = Tags(store.path)
        self._asking = Asking(counts, log)
        self._flights: Flights[t.Optional[Found]] = Flights("manifest")
        self._negative: Remembered[_Negative] = Remembered(_REMEMBERED)
        self._resting: Remembered[None] = Remembered(_REMEMBERED)

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        """The manifest; None when nobody has it. Raises Refused with what an upstream told, or what hinders asking."""
        links = self._upstreams.links(asked)
        if asked.reference.digest is None:
            return self._tagged(asked, links)
        document = self._store.document_in(asked.repository, asked.reference.digest)
        if document is not None:
            return Found(document, here=True)
        return self._missing(asked, links, lambda: self._fetch(asked, links)) if links else None

    def listing(self, asked: Asked, path: str, query: t.Sequence[t.Tuple[str, str]]) -> t.Optional[Listing]:
        """What the upstream tells of a repository at ``tags/list`` or ``referrers/<digest>``; None when it has none.

        Listings are not kept. Whoever asks makes the answer's own link to the next page out of ``next_query``.
        """
        links = [link for link in self._upstreams.links(asked) if link.kind != PEER]
        if links:
            asked.blocking.enter(UPSTREAM, asked.reference.registry)
        return self._asking.first(asked, links, lambda link: link.listing(asked.reference, path, query))

    def sweep(self) -> int:
        """Forget tags whose manifests are gone; answers how many."""
        return self._tags.sweep(self._store.layout().has)

    def _tagged(self, asked: Asked, links: t.Sequence[Link]) -> t.Optional[Found]:
        record = self._tags.get(asked.reference)
        document = self._stored(record)
        if record is None or document is None:
            return self._missing(asked, links, lambda: self._look_up(asked, links)) if links else None
        self._records.touch(record.digest)
        age = record.age(self._clock())
        if age is not None and age < self._upstreams.tag_ttl(asked):
            return Found(document, age=int(age), here=True)
        stale = Found(document, stale=True, age=None if age is None else int(age), here=True)
        if not links:
            return stale
        return self._revalidated(asked, links, stale)

    def _stored(self, record: t.Optional[TagRecord]) -> t.Optional[Document]:
        """What a tag meant, when it is here; a copy that is damaged is none."""
        if record is None:
            return None
        try:
            return self._store.document(record.digest, record.media_type)
        except DigestMismatch as error:
            self._log.error("a manifest is fetched again: %s", error)
            return None

    def _missing(
        self, asked: Asked, links: t.Sequence[Link], fetch: t.Callable[[], t.Optional[Found]]
    ) -> t.Optional[Found]:
        """What is not here, from elsewhere; that it is nowhere is remembered for a while."""
        key = _key(asked)
        known = self._negative.get(key)
        if known is not None:
            if known[0] is not None:
                raise again(known[0])
            return None
        registry = asked.reference.registry
        asked.blocking.enter(UPSTREAM, registry)
        if self._flights.crowded_by(f"{registry}/"):
            raise Refused(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "UNAVAILABLE",
                "the mirror asks for too much at once already",
                headers=[("Retry-After", "5")],
            )
        flight, shared = self._flights.join(key, fetch)
        if shared:
            self._counts.coalesced(registry)
        if not flight.wait(MISS_SECONDS):
            raise Refused(
                HTTPStatus.GATEWAY_TIMEOUT,
                "UNAVAILABLE",
                f"{links[0].name} takes too long to answer",
                detail=str(asked.reference),
            )
        return flight.result()

    def _revalidated(self, asked: Asked, links: t.Sequence[Link], stale: Found) -> t.Optional[Found]:
        """What the tag means now; what it meant, marked stale, when nobody answers soon or too many wait already."""
        key, registry = _key(asked), asked.reference.registry
        hopeless = self._flights.crowded_by(f"{registry}/") or all(link.is_resting for link in links)
        if not hopeless and self._resting.get(key) is None and asked.blocking.enter_if_free(UPSTREAM, registry):
            flight, _shared = self._flights.join(key, lambda: self._look_up(asked, links))
            if flight.wait(REVALIDATION_SECONDS):
                try:
                    return flight.result()
                except Refused as error:
                    self._log.warning("%s is served stale: %s", asked.reference, error)
            else:
                self._log.warning("%s is served stale: its upstream takes too long", asked.reference)
        self._counts.stale(registry)
        return stale

    def _look_up(self, asked: Asked, links: t.Sequence[Link]) -> t.Optional[Found]:
        """Ask what a tag means now, unless another process just did."""
        with self._process_lock(_key(asked)):
            record = self._tags.get(asked.reference)
            document = self._stored(record)
            if record is not None and document is not None:
                age = record.age(self._clock())
                if age is not None and age < min(REVALIDATION_SECONDS, self._upstreams.tag_ttl(asked)):
                    return Found(document, age=int(age))
            known = record if document is not None else None

            def ask(link: Link) -> Found:
                return self._ask_tag(asked.reference, link, known, document)

            try:
                found = self._negated(asked, links, ask)
            except Refused as error:
                rest = dict(error.headers).get("Retry-After", "0")
                self._resting.put(_key(asked), None, min(_LONGEST_REST, max(_REST_SECONDS, float(rest))))
                raise
            if found is None:
                self._tags.forget(asked.reference)
            return found

    def _ask_tag(
        self, reference: Reference, link: Link, known: t.Optional[TagRecord], document: t.Optional[Document]
    ) -> Found:
        began = time.monotonic()
        etag = known.etag if known is not None and known.origin == link.url else ""
        answer = link.manifest(reference, etag, known.digest if known is not None else None)
        if isinstance(answer, Fetched):
            document = self._checked(reference, link, answer)
            self._counts.fetched(link.name, MANIFEST, len(answer.raw), time.monotonic() - began)
            self._keep(reference, document.digest, document, link)
            etag = answer.etag
        elif known is None or document is None:
            raise OciError("the manifest is said to be unchanged, but none is here", where=str(reference))
        return self._noted(reference, document, answer, etag, link, known)

    def _noted(
        self,
        reference: Reference,
        document: Document,
        answer: t.Union[Fetched, Unchanged],
        etag: str,
        link: Link,
        known: t.Optional[TagRecord],
    ) -> Found:
        """The answer, with what the tag means written down. One that another mirror calls stale is asked for again."""
        checked = self._clock() - answer.age if not answer.stale else 0.0
        if answer.stale and known is not None and known.digest == document.digest:
            checked = known.checked
        record = TagRecord(document.digest, document.media_type, len(document.raw), etag, checked, link.url)
        with self._tolerating(reference):
            self._tags.put(reference, record)
        return Found(document, answer.stale, answer.age, here=isinstance(answer, Unchanged))

    def _fetch(self, asked: Asked, links: t.Sequence[Link]) -> t.Optional[Found]:
        """Fetch what a digest names, unless another process just did."""
        reference, digest = asked.reference, asked.reference.digest
        if digest is None:
            raise OciError("a digest is needed", where=str(reference))
        pinned = digest

        def ask(link: Link) -> Found:
            began = time.monotonic()
            answer = link.manifest(reference)
            if not isinstance(answer, Fetched):
                raise OciError("there is no manifest in the answer", where=str(reference))
            document = self._checked(reference, link, answer)
            self._counts.fetched(link.name, MANIFEST, len(answer.raw), time.monotonic() - began)
            self._keep(reference, pinned, document, link)
            return Found(document)

        with self._process_lock(_key(asked)):
            document = self._store.document_in(asked.repository, pinned)
            return Found(document) if document is not None else self._negated(asked, links, ask)

    def _negated(self, asked: Asked, links: t.Sequence[Link], ask: t.Callable[[Link], Found]) -> t.Optional[Found]:
        """The first answer; that all said no is remembered, for a moment where others may push it any time."""
        ttl = min(_OWN_NEGATIVE_TTL, self._negative_ttl) if asked.own else self._negative_ttl
        try:
            found = self._asking.first(asked, links, ask)
        except Refused as error:
            if error.code == "DENIED":
                self._negative.put(_key(asked), error, ttl)
            raise
        if found is None:
            self._negative.put(_key(asked), None, ttl)
        else:
            self._negative.drop(_key(asked))
        return found

    def _checked(self, reference: Reference, link: Link, answer: Fetched) -> Document:
        """The document, when it is what the digest says, its own or the one that the answer came with."""
        promised = reference.digest or answer.digest
        found = Digest.of(answer.raw, promised.algorithm) if promised is not None else None
        if found != promised:
            raise DigestMismatch(
                f"content does not match {promised}", where=f"{link.name}: {reference}", why=f"its digest is {found}"
            )
        return parse_document(answer.raw, answer.media_type)

    def _keep(self, reference: Reference, digest: Digest, document: Document, link: Link) -> None:
        """Store the manifest; where that cannot be, on a full disk for instance, it is served all the same."""
        with self._tolerating(reference):
            layout = self._store.layout()
            self._records.mark(digest, len(document.raw), link.name)
            with contextlib.suppress(Busy), layout.pulling_writer(digest, again=True) as writer:
                writer.restart()
                writer.write(document.raw)
                writer.commit()

    @contextlib.contextmanager
    def _tolerating(self, reference: Reference) -> t.Iterator[None]:
        try:
            yield
        except OciError as error:
            self._log.error("%s cannot be kept: %s", reference, error)

    @contextlib.contextmanager
    def _process_lock(self, key: str) -> t.Iterator[None]:
        """Keep other processes from the same work. Without a lock, the work is done more often, that is all."""
        directory = os.path.join(self._store.path, PULLED, "locks")
        with contextlib.ExitStack() as stack:
            try:
                make_directories(directory)
                name = hashlib.sha256(key.encode()).hexdigest()[:3]
                stack.enter_context(locked(os.path.join(directory, name), exclusive=True))
            except OSError as error:
                self._log.warning("cannot lock %s: %s", directory, error)
            yield


def _key(asked: Asked) -> str:
    return str(asked.reference)
