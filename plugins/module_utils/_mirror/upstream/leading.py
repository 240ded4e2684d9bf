# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fetching one blob into the store: from one place after the other, each going on where the last one broke off.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import time
import typing as t
from dataclasses import dataclass, replace
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import BLOB, Counts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.failures import word_for
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.growing import Growing
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import Link, Stream
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import BlobWriter
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import Incoming, Note, PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

LIAR_SECONDS = 600.0
SUSPECT_SECONDS = 60.0
PIECE = 256 * 1024

_WHAT = "cannot fetch a blob"
_ROUNDS = 6
_FIRST_WAIT = 0.5
_LONGEST_WAIT = 8.0
_CHECK_ROOM = 64 * 1024 * 1024
_SPARE = 16 * 1024 * 1024
_TRIES_WITHOUT_ROOM = 8
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Place:
    """A blob under one name at one URL."""

    reference: Reference
    link: Link

    @property
    def key(self) -> str:
        """What tells it from others."""
        return f"{self.link.url} {self.reference.name}"


class Room(t.Protocol):
    """Whoever keeps the disk from filling up."""

    def make(self, size: int, spare: int = 0) -> bool:
        """Drop what was not used for longest until so much fits, and some to spare; answers whether it fits at all."""


@dataclass(frozen=True)
class Means:
    """What all fetches of a process share."""

    incoming: Incoming
    records: PulledRecords
    room: Room
    metrics: Counts
    log: logging.Logger
    pause: t.Callable[[float], None] = time.sleep


class Abandoned(OciError):
    """Nobody wants the blob any more."""


class Leader:
    """Holds the writer of one blob and fills it. What failed where is in ``failures``."""

    def __init__(
        self,
        means: Means,
        growing: Growing,
        writer: BlobWriter,
        places: t.Callable[[], t.Sequence[Place]],
        is_wanted: t.Callable[[], bool],
    ) -> None:
        self.failures: t.List[t.Tuple[Place, OciError]] = []
        self._means = means
        self._growing = growing
        self._writer = writer
        self._places = places
        self._is_wanted = is_wanted
        self._note = Note()
        self._tries: t.Dict[str, int] = {}
        self._given_up: t.Set[str] = set()
        self._last: t.Optional[Place] = None
        self._sources: t.Set[str] = {""} if writer.offset else set()
        self._began = time.monotonic()
        self._checked = 0
        self._ended = False

    def run(self) -> None:
        """Fetch what is missing and show the blob. Raises OciError or Refused when it cannot be had."""
        self._take_up()
        while not self._growing.settled and not self._is_whole():
            place = self._next()
            before = self._writer.offset
            try:
                self._fetch_from(place)
            except RegistryError as error:
                self._failed(place, error, progressed=self._writer.offset > before)
        if not self._growing.settled:
            self._finish()

    def _take_up(self) -> None:
        """Go on with what an earlier leader left."""
        digest = self._writer.digest
        note = self._means.incoming.read(digest) or Note()
        self._note = note
        if note.size is not None and self._writer.offset > note.size:
            self._begin_anew()
            note = self._note
        self._growing.attach()
        if note.size is not None:
            self._set_size(note.size)
        self._growing.grew(self._writer.offset)

    def _begin_anew(self) -> None:
        self._writer.restart()
        self._sources.clear()
        if self._growing.size is None:
            self._note = replace(self._note, size=None)
        self._growing.attach()

    def _set_size(self, size: int) -> None:
        self._writer.size = size
        self._growing.sized(size)

    def _is_whole(self) -> bool:
        return self._ended or self._writer.offset == self._growing.size

    def _next(self) -> Place:
        """The place to ask now: one that failed least, rather another than the last. Waits where all have failed."""
        now = time.time()
        avoided = {**self._note.suspects, **self._note.liars}
        honest = [place for place in self._places() if not now < avoided.get(place.link.url, 0.0) < now + 86400.0]
        left = [place for place in honest if place.key not in self._given_up]
        rounds = _ROUNDS if self._growing.size is not None else 1
        left = [place for place in left if self._tries.get(place.key, 0) < rounds]
        if not left:
            self._give_up(bool(honest))
        if not self._is_wanted():
            raise Abandoned("nobody waits for the blob any more")
        place = min(left, key=lambda one: (self._tries.get(one.key, 0), one == self._last))
        tries = self._tries.get(place.key, 0)
        if tries:
            self._means.pause(min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (tries - 1)))
        self._last = place
        return place

    def _give_up(self, honest: bool) -> t.NoReturn:
        if self._failures_disagree():
            self._means.incoming.drop(self._writer.digest)
            self._writer.discard()
        if not honest:
            raise RegistryError(_WHAT, why="all that have it gave wrong content lately", status=502)
        raise self.failures[-1][1] if self.failures else RegistryError(_WHAT, why="there is nobody to ask")

    def _failures_disagree(self) -> bool:
        return any(isinstance(error, _OtherSize) for _place, error in self.failures)

    def _failed(self, place: Place, error: RegistryError, progressed: bool) -> None:
        if not error.not_found:
            self._means.metrics.failed(place.link.name, word_for(error))
            self._means.log.warning("fetching %s at %s: %s", self._writer.digest, place.link.name, error)
        self.failures.append((place, error))
        if error.status == 416 and self._writer.offset:
            self._begin_anew()
            progressed = True
        elif not error.temporary:
            self._given_up.add(place.key)
        self._tries[place.key] = 0 if progressed else self._tries.get(place.key, 0) + 1

    def _fetch_from(self, place: Place) -> None:
        with contextlib.closing(place.link.open_blob(place.reference, self._writer.offset)) as stream:
            self._agree(place, stream)
            self._copy(place, stream, self._writer.offset - stream.start)
        self._ended = self._growing.size is None
        if not self._is_whole():
            told = f"the connection broke after {self._writer.offset} of {self._growing.size} bytes"
            raise RegistryError(_WHAT, where=place.link.name, why=told, temporary=True)

    def _agree(self, place: Place, stream: Stream) -> None:
        """Take the size from who tells it first; whoever tells another one is not asked again."""
        known = self._growing.size
        if known is None and stream.size is None:
            self._growing.unsized = True
        elif known is None and stream.size is not None:
            if stream.size < self._writer.offset:
                self._begin_anew()
            self._require_room(stream.size - self._writer.offset)
            self._note = replace(self._note, size=stream.size, origin=place.link.name)
            self._with_room(lambda: self._means.incoming.write(self._writer.digest, self._note))
            self._set_size(stream.size)
            self._growing.grew(self._writer.offset)
        elif stream.size not in (None, known):
            raise _OtherSize(_WHAT, where=place.link.name, why=f"it has {stream.size} bytes, not {known}")

    def _copy(self, place: Place, stream: Stream, skip: int) -> None:
        while not self._is_whole() or skip:
            piece = stream.read(PIECE)
            if not piece:
                return
            data = memoryview(piece)[skip:]
            skip -= len(piece) - len(data)
            if not data:
                continue
            size = self._growing.size
            self._sources.add(place.link.url)
            if size is not None and self._writer.offset + len(data) > size:
                self._blame(DigestMismatch(f"content of {self._writer.digest} is too long", where=place.link.name))
            self._write(data)
            self._growing.grew(self._writer.offset)
            if not self._is_wanted():
                raise Abandoned("nobody waits for the blob any more")
            self._look_after_room()

    def _write(self, data: memoryview) -> None:
        self._with_room(lambda: self._writer.write(data))

    def _finish(self) -> None:
        try:
            self._writer.check()
        except DigestMismatch as error:
            self._blame(error)
        size, name = self._writer.offset, self._last.link.name if self._last else self._note.origin
        self._growing.finish(size)
        try:
            self._with_room(lambda: self._means.records.mark(self._writer.digest, size, name))
            self._with_room(self._writer.commit)
        except (OciError, Refused) as error:
            self._means.log.error("cannot store %s: %s", self._writer.digest, error)
            self._writer.discard()
        self._means.incoming.drop(self._writer.digest)
        if self._last is not None:
            self._means.metrics.fetched(name, BLOB, size, time.monotonic() - self._began)

    def _blame(self, error: DigestMismatch) -> t.NoReturn:
        """Throw the bytes away, and avoid who gave them; where several did, the last of them, for less long."""
        now, last = time.time(), self._last
        if last is not None and self._sources == {last.link.url}:
            note = Note(liars={**self._note.liars, last.link.url: now + LIAR_SECONDS})
        elif last is not None:
            note = replace(self._note, size=None, suspects={last.link.url: now + SUSPECT_SECONDS})
        else:
            note = Note()
        if last is not None:
            self._means.metrics.failed(last.link.name, "digest")
            self.failures.append((last, error))
        self._means.log.error("fetched %s: %s", self._writer.digest, error)
        self._with_room(lambda: self._means.incoming.write(self._writer.digest, note))
        self._writer.discard()
        raise error

    def _look_after_room(self) -> None:
        if self._writer.offset - self._checked >= _CHECK_ROOM:
            self._checked = self._writer.offset
            size = self._growing.size
            self._require_room(0 if size is None else size - self._writer.offset)

    def _require_room(self, size: int) -> None:
        if not self._means.room.make(max(PIECE, size), _SPARE):
            raise self._full()

    def _with_room(self, action: t.Callable[[], None]) -> None:
        """Do it; where the disk is full, make room and do it again."""
        for _try in range(_TRIES_WITHOUT_ROOM):
            try:
                action()
                return
            except OciError as error:
                if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in _NO_ROOM:
                    raise
            if not self._means.room.make(PIECE, _SPARE):
                break
        raise self._full()

    def _full(self) -> Refused:
        self._writer.discard()
        with contextlib.suppress(OciError):
            self._means.incoming.drop(self._writer.digest)
        self._means.log.error("there is no room for %s", self._writer.digest)
        return Refused(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            "the mirror's disk is full",
            headers=[("Retry-After", "60")],
            detail=str(self._writer.digest),
        )


class _OtherSize(RegistryError):
    """A place that tells another size than the one before."""
