# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blobs pulled through: each fetched once, over all processes and services on a store, for all who ask meanwhile.

Private to the collection: may change at any time.

Whoever holds the lock of a blob's partial file leads: it fetches, in a thread that no client's leaving ends. All others
follow: they read the file while it grows. Where the leader dies a follower leads on from what is there.
"""

from __future__ import annotations

import logging
import threading
import time
import typing as t
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import UPSTREAM
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Content
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.failures import decisive, refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.flights import Remembered
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.growing import Growing, GrowingContent
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.leading import (
    Abandoned,
    Leader,
    Means,
    Place,
    Room,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import Link
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Busy, Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import Incoming, PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import OwnContent
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

MOST_AT_ONCE = 256
FAILED_SECONDS = 5.0
ANSWER_SECONDS = 90.0
WHOLE_SECONDS = 900.0
UNWANTED_SECONDS = 600.0

_REMEMBERED = 4096
_NOTE_SECONDS = 3.0
_TRIES = 3


class Upstreams(t.Protocol):
    """Whom to ask, see upstreams.Upstreams."""

    def links(self, asked: Asked) -> t.Sequence[Link]:
        """Where to ask, in the order to try."""


class _Unbound:
    """Room without end, for a store whose bounds nobody gave."""

    def make(self, size: int, spare: int = 0) -> bool:
        """Taken for granted; a disk that is full is noticed when it is written to."""
        return size + spare >= 0


class Fetches:
    """The blobs that this process fetches or follows. Safe for many threads; made after the process was forked."""

    def __init__(
        self,
        layout: Layout,
        upstreams: Upstreams,
        records: PulledRecords,
        metrics: Counts,
        room: t.Optional[Room] = None,
        log: t.Optional[logging.Logger] = None,
    ) -> None:
        self.layout = layout
        self.log = log or logging.getLogger(__name__)
        self.means = Means(Incoming(layout), records, room or _Unbound(), metrics, self.log)
        self._upstreams = upstreams
        self._own = OwnContent(layout)
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._fetches: t.Dict[Digest, _Fetch] = {}
        self._failed: Remembered[t.Optional[OciError]] = Remembered(_REMEMBERED)

    def blob(self, asked: Asked) -> t.Optional[Content]:
        """The blob, which may still be coming; None where nobody has it. Raises Refused."""
        digest, reference = asked.reference.digest, asked.reference
        if digest is None:
            return None
        remembered = self._failed.get(str(reference))
        if remembered is not None:
            _tell(remembered[0], reference)
            return None
        links = self._upstreams.links(asked)
        if not links:
            return None
        places = [Place(reference, link) for link in links]
        if not self._is_sized(digest):
            asked.blocking.enter(UPSTREAM, reference.registry)
        for _try in range(_TRIES):
            fetch = self._join(digest, reference, places)
            try:
                if not fetch.is_sized:
                    asked.blocking.enter(UPSTREAM, reference.registry)
                fetch.await_size()
                if fetch.growing.size is not None and fetch.growing.error is None:
                    return GrowingContent(fetch.growing, fetch.growing.size, self._leaving(fetch))
            except BaseException:
                self._leave(fetch)
                raise
            self._leave(fetch)
            if not fetch.growing.spoilt:
                self._tell_why(fetch, reference)
                return None
        raise _unavailable("what was fetched was thrown away", reference)

    def is_shared(self, digest: Digest) -> bool:
        """Whether a blob that stands in the store may be told to everybody: it is not here by a push alone."""
        return self.means.records.has(digest) or not self._own.is_marked(digest)

    def begin(self, fetch: _Fetch, must: bool = False) -> None:
        """Let a thread of this process lead, or find out who does. Only so many may."""
        if not self._slots.acquire(blocking=False):
            if must:
                raise Refused(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    "TOOMANYREQUESTS",
                    "the mirror fetches too many blobs at once",
                    headers=[("Retry-After", "5")],
                )
            return
        fetch.growing.leading = True
        try:
            threading.Thread(target=self._lead, args=(fetch,), name="fetch", daemon=True).start()
        except RuntimeError:
            fetch.growing.leading = False
            self._slots.release()
            raise

    def remember(self, outcomes: t.Mapping[Reference, t.Optional[OciError]]) -> None:
        """Tell the same to those who ask in the next seconds."""
        for reference, outcome in outcomes.items():
            self._failed.put(str(reference), outcome, FAILED_SECONDS)

    def _is_sized(self, digest: Digest) -> bool:
        """Whether it is on its way here, and known how large it is: then nobody has to wait for an answer."""
        with self._lock:
            fetch = self._fetches.get(digest)
            return fetch is not None and fetch.is_sized

    def _join(self, digest: Digest, reference: Reference, places: t.Sequence[Place]) -> _Fetch:
        with self._lock:
            fetch = self._fetches.get(digest)
            if fetch is None or fetch.growing.error is not None:
                fetch = _Fetch(self, digest)
                fetch.add(places)
                fetch.readers = 1
                self.begin(fetch, must=True)
                self._fetches[digest] = fetch
            else:
                fetch.add(places)
                fetch.readers += 1
                self.means.metrics.coalesced(reference.registry)
        return fetch

    def _leave(self, fetch: _Fetch) -> None:
        with self._lock:
            fetch.readers -= 1
            fetch.left_at = time.monotonic()
            self._drop_if_done(fetch)

    def _leaving(self, fetch: _Fetch) -> t.Callable[[], None]:
        return lambda: self._leave(fetch)

    def _drop_if_done(self, fetch: _Fetch) -> None:
        if fetch.readers or fetch.growing.leading:
            return
        if self._fetches.get(fetch.digest) is fetch:
            del self._fetches[fetch.digest]
        fetch.growing.close()

    def _lead(self, fetch: _Fetch) -> None:
        try:
            is_busy = fetch.lead()
        finally:
            with self._lock:
                fetch.growing.leading = False
                self._slots.release()
                if fetch.growing.error is not None and self._fetches.get(fetch.digest) is fetch:
                    del self._fetches[fetch.digest]
                self._drop_if_done(fetch)
        if is_busy:
            fetch.learn_size()

    def _tell_why(self, fetch: _Fetch, reference: Reference) -> None:
        """Raise why there is no content, unless that is because nobody has it."""
        error, outcomes = fetch.growing.error, fetch.outcomes(fetch.growing.error)
        if isinstance(error, Refused):
            raise Refused(error.status, error.code, error.what, headers=error.headers, detail=error.detail)
        if reference not in outcomes:
            raise _unavailable("the blob cannot be fetched", reference)
        _tell(outcomes[reference], reference)


class _Fetch:
    """One blob that is coming, and those in this process who read it."""

    def __init__(self, owner: Fetches, digest: Digest) -> None:
        self.digest = digest
        self.readers = 0
        self.left_at = time.monotonic()
        self.failures: t.Sequence[t.Tuple[Place, OciError]] = ()
        self.growing = Growing(
            owner.layout, digest, lambda: owner.begin(self), may_finish=lambda: owner.is_shared(digest)
        )
        self._owner = owner
        self._places: t.Dict[str, Place] = {}

    def add(self, places: t.Sequence[Place]) -> None:
        """Places to fetch it from, after those that are known."""
        self._places = {**self._places, **{place.key: place for place in places if place.key not in self._places}}

    def outcomes(self, error: t.Optional[Exception]) -> t.Dict[Reference, t.Optional[OciError]]:
        """What to tell those who asked for it under each name, now that it failed; None where nobody has it."""
        if not isinstance(error, OciError) or isinstance(error, DigestMismatch):
            return {}
        result: t.Dict[Reference, t.Optional[OciError]] = {}
        for reference in {place.reference for place in self._places.values()}:
            own = [(place.link, failure) for place, failure in self.failures if place.reference == reference]
            result[reference] = decisive(own) if own else error
        return result

    @property
    def is_sized(self) -> bool:
        """Whether it is known how large it is, or that there will be nothing."""
        return self.growing.size is not None or self.growing.settled

    def await_size(self) -> None:
        """Wait until it is known how large it is, or that there will be nothing."""
        growing = self.growing
        if growing.wait(lambda: self.is_sized or growing.unsized, ANSWER_SECONDS):
            growing.wait(lambda: self.is_sized, WHOLE_SECONDS)
        if not self.is_sized:
            raise Refused(
                HTTPStatus.GATEWAY_TIMEOUT,
                "UNAVAILABLE",
                "the upstream does not answer in time",
                detail=str(self.digest),
            )

    def lead(self) -> bool:
        """Fetch it unless another process does; answers whether one does."""
        growing, owner = self.growing, self._owner
        leader: t.Optional[Leader] = None
        try:
            with owner.layout.pulling_writer(self.digest, again=not owner.is_shared(self.digest)) as writer:
                if writer.done:
                    growing.finish_stored()
                    return False
                leader = Leader(owner.means, growing, writer, lambda: list(self._places.values()), self._is_wanted)
                leader.run()
        except Busy:
            return True
        except Abandoned:
            owner.log.info("nobody waits for %s any more", self.digest)
        except Exception as error:
            self.failures = leader.failures if leader is not None else ()
            if not isinstance(error, SealerError):
                owner.log.exception("fetching %s", self.digest)
            owner.remember(self.outcomes(error))
            growing.fail(error, spoilt=isinstance(error, DigestMismatch))
        return False

    def learn_size(self) -> None:
        """Ask a place for the size where the one who writes does not tell it: a pull or a load, not a service."""
        growing = self.growing
        if growing.wait(lambda: growing.size is not None or growing.settled or not self.readers, _NOTE_SECONDS):
            return
        for place in self._places.values():
            try:
                stream = place.link.open_blob(place.reference, 0)
            except RegistryError as error:
                self._owner.log.warning("asking %s for the size of %s: %s", place.link.name, self.digest, error)
                continue
            stream.close()
            if stream.size is not None:
                growing.sized(stream.size)
                return

    def _is_wanted(self) -> bool:
        return self.readers > 0 or time.monotonic() - self.left_at < UNWANTED_SECONDS


def _tell(outcome: t.Optional[OciError], reference: Reference) -> None:
    if outcome is not None:
        raise refused(outcome, reference)


def _unavailable(what: str, reference: Reference) -> Refused:
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE", what, detail=str(reference))
