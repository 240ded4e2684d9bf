# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a store remembers of blobs that were pulled through: one record each, and a note on each that is still coming.

Private to the collection: may change at any time.

Beside the layout's own directories stands ``pulled/``: ``blobs/<algorithm>/<hex>`` are the records, whose time of
change is when the blob was used last; ``coming/<algorithm>/<hex>`` are the notes, which only the one who holds the
blob's partial file writes.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    make_directories,
    open_partial,
    os_errors,
    partial_path,
    replace_file,
)

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout

PULLED = "pulled"
TOUCH_SECONDS = 60.0
YOUNG_SECONDS = 600.0
NOTE_SECONDS = 3600.0

_REMEMBERED = 65536
_NOTE_LIMIT = 64 * 1024


def record_path(store: str, digest: Digest) -> str:
    """Where the record of a pulled-through blob stands, or would."""
    return os.path.join(store, PULLED, "blobs", digest.algorithm, digest.hex)


def parse_digest(algorithm: str, hexadecimal: str) -> t.Optional[Digest]:
    """The digest of a file's name; None for other files."""
    try:
        return Digest(algorithm, hexadecimal)
    except OciError:
        return None


@dataclass(frozen=True)
class Pulled:
    """A record: what was pulled through, how large it is, where it came from, and when it was used last."""

    digest: Digest
    size: int
    origin: str
    used: float


class PulledRecords:
    """The records of one store. Threads may share them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._touched: t.Dict[Digest, float] = {}

    def mark(self, digest: Digest, size: int, origin: str) -> None:
        """Record a blob that is about to be shown."""
        _write(self._path(digest), {"size": size, "from": origin})

    def touch(self, digest: Digest) -> None:
        """The blob is used now; cheap enough to be said with every request."""
        now = time.monotonic()
        with self._lock:
            last = self._touched.get(digest)
            if last is not None and now - last < TOUCH_SECONDS:
                return
            if len(self._touched) >= _REMEMBERED:
                self._touched.clear()
            self._touched[digest] = now
        with contextlib.suppress(FileNotFoundError, PermissionError):
            os.utime(self._path(digest))

    def set_used(self, digest: Digest, when: float) -> None:
        """Correct when the blob was used last."""
        with contextlib.suppress(FileNotFoundError, PermissionError):
            os.utime(self._path(digest), (when, when))

    def drop_hollow(self) -> None:
        """Forget blobs that are not there, and are not about to be."""
        for digest, path in _walk(self._layout, "blobs"):
            if not self._layout.has(digest) and age(path) >= NOTE_SECONDS:
                self.forget(digest)

    def has(self, digest: Digest) -> bool:
        """Whether the blob was pulled through."""
        return os.path.exists(self._path(digest))

    def entries(self) -> t.List[Pulled]:
        """All records, also of blobs that are not there."""
        return [found for digest, path in _walk(self._layout, "blobs") for found in self._entry(digest, path)]

    def forget(self, digest: Digest) -> None:
        """Take the record away."""
        with os_errors("cannot forget a pulled blob", self._layout.path):
            _unlink(self._path(digest))
        with self._lock:
            self._touched.pop(digest, None)

    def evict(self, entry: Pulled) -> t.Optional[int]:
        """Take the blob and its record away; answers how large it was.

        None, and both stay, where somebody writes or adopts the blob just now, or used it since the record was read.
        """
        path = self._layout.blob_path(entry.digest)
        partial = partial_path(path)
        with os_errors("cannot drop a pulled blob", path):
            try:
                handle = open_partial(partial, wait=False)
            except BlockingIOError:
                return None
            try:
                if os.stat(self._path(entry.digest)).st_mtime > entry.used:
                    return None
                size = os.stat(path).st_size
                os.unlink(path)
                self.forget(entry.digest)
                return size
            except FileNotFoundError:
                return None
            finally:
                os.unlink(partial)
                os.close(handle)

    def _path(self, digest: Digest) -> str:
        return record_path(self._layout.path, digest)

    def _entry(self, digest: Digest, path: str) -> t.Iterator[Pulled]:
        try:
            used = os.stat(path).st_mtime
        except FileNotFoundError:
            return
        value = _read(path)
        size, origin = value.get("size"), value.get("from")
        length = size if isinstance(size, int) and size >= 0 else 0
        yield Pulled(digest, length, origin if isinstance(origin, str) else "", used)


@dataclass(frozen=True)
class Note:
    """On a blob that is coming: its size, from where, and which places gave wrong bytes, until when to avoid them.

    Those in ``suspects`` gave a part of wrong bytes only.
    """

    size: t.Optional[int] = None
    origin: str = ""
    liars: t.Mapping[str, float] = field(default_factory=dict)
    suspects: t.Mapping[str, float] = field(default_factory=dict)


class Incoming:
    """The notes of one store."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def read(self, digest: Digest) -> t.Optional[Note]:
        """The note on this blob, None without one that can be read."""
        value = _read(self._path(digest))
        size, origin = value.get("size"), value.get("from")
        if not value or not (size is None or (isinstance(size, int) and size >= 0)) or not isinstance(origin, str):
            return None
        return Note(size, origin, _times(value.get("liars")), _times(value.get("suspects")))

    def write(self, digest: Digest, note: Note) -> None:
        """Put the note down; for the one who holds the partial file."""
        value = {"size": note.size, "from": note.origin, "liars": note.liars, "suspects": note.suspects}
        _write(self._path(digest), value, durable=False)

    def drop(self, digest: Digest) -> None:
        """Take the note away."""
        with os_errors("cannot forget a note", self._layout.path):
            _unlink(self._path(digest))

    def is_young(self, digest: Digest) -> bool:
        """Whether somebody fetched the blob so lately that another may go on with what is there."""
        return os.path.exists(self._path(digest)) and age(self._partial(digest)) < YOUNG_SECONDS

    def drop_stale(self) -> None:
        """Take away old notes on what is not coming any more."""
        for digest, path in _walk(self._layout, "coming"):
            if not os.path.exists(self._partial(digest)) and age(path) >= NOTE_SECONDS:
                self.drop(digest)

    def _path(self, digest: Digest) -> str:
        return os.path.join(self._layout.path, PULLED, "coming", digest.algorithm, digest.hex)

    def _partial(self, digest: Digest) -> str:
        return partial_path(self._layout.blob_path(digest))


def age(path: str) -> float:
    """Seconds since the file changed; endless without it. A time in the future is as far away as one in the past."""
    try:
        return abs(time.time() - os.stat(path).st_mtime)
    except FileNotFoundError:
        return float("inf")


def _walk(layout: Layout, kind: str) -> t.Iterator[t.Tuple[Digest, str]]:
    root = os.path.join(layout.path, PULLED, kind)
    for algorithm in sorted(os.listdir(root)) if os.path.isdir(root) else []:
        directory = os.path.join(root, algorithm)
        for name in sorted(os.listdir(directory)):
            digest = parse_digest(algorithm, name)
            if digest is not None:
                yield digest, os.path.join(directory, name)


def _read(path: str) -> t.Dict[str, t.Any]:
    """The object in the file; empty when there is none to be read."""
    try:
        with open(path, "rb") as stream:
            value = json.loads(stream.read(_NOTE_LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: str, value: t.Mapping[str, t.Any], *, durable: bool = True) -> None:
    with os_errors("cannot write what was pulled", path):
        make_directories(os.path.dirname(path))
        replace_file(path, json.dumps(value, sort_keys=True).encode("ascii"), durable=durable)


def _unlink(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _times(value: t.Any) -> t.Dict[str, float]:
    if not isinstance(value, dict):
        return {}
    return {name: float(when) for name, when in value.items() if isinstance(when, (int, float))}
