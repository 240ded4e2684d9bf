# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the mirror counts, summed over its processes and told in Prometheus' text format.

Private to the collection: may change at any time.

The main process calls ``prepare`` before it makes workers, and each process that counts calls ``open_counts`` once.
What was counted by processes that are gone is added up whenever somebody asks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
import traceback
import typing as t

PROMETHEUS_IMPORT_ERROR: t.Optional[str] = None

try:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
    from prometheus_client.mmap_dict import MmapedDict
    from prometheus_client.multiprocess import MultiProcessCollector
except ImportError:
    PROMETHEUS_IMPORT_ERROR = traceback.format_exc()

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# where served content came from
STORE = "store"
UPSTREAM = "upstream"
# kinds of content
MANIFEST = "manifest"
BLOB = "blob"

_PREFIX = "sealer_mirror"
_DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_OURS_VARIABLE = "SEALER_MIRROR_METRICS"
_LOCK = ".lock"
_GONE = "gone"
_MOST_LABELS = 256
_OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_REQUEST_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300)
_FETCH_SECONDS = (0.025, 0.1, 0.5, 2.5, 10, 60, 300, 1800)


class Counts(t.Protocol):
    """What is told to the metrics. Cheap, never blocks; safe for many threads."""

    def served(self, registry: str, kind: str, source: str, size: int) -> None:
        """An answer with content: source is STORE (it was here) or UPSTREAM (fetched because of it)."""

    def fetched(self, upstream: str, kind: str, size: int, seconds: float) -> None:
        """A fetch that ended well; upstream is the link's name."""

    def failed(self, upstream: str, why: str) -> None:
        """A fetch that did not; why is one of a small fixed set of words (timeout, status-503, digest)."""

    def coalesced(self, registry: str) -> None:
        """A request for a blob that was already being fetched."""

    def stale(self, registry: str) -> None:
        """A tag answered from here though its time is over, because the upstream is away."""

    def evicted(self, size: int) -> None:
        """A blob dropped to make room."""

    def scrubbed(self, bad: bool) -> None:
        """A blob hashed again."""

    def cached(self, blobs: int, size: int) -> None:
        """How much there is now of what was pulled through; whoever has counted it tells it."""

    def request(self, method: str, status: str, seconds: float) -> None:
        """A request answered, with any status."""

    def text(self, gauges: t.Optional[t.Mapping[str, float]] = None) -> bytes:
        """All of it over all processes, for ``/metrics``; gauges (name without prefix: value) are told beside it."""


class NoCounts:
    """Counts nothing: metrics are off, or their library is not there."""

    def served(self, registry: str, kind: str, source: str, size: int) -> None: ...
    def fetched(self, upstream: str, kind: str, size: int, seconds: float) -> None: ...
    def failed(self, upstream: str, why: str) -> None: ...
    def coalesced(self, registry: str) -> None: ...
    def stale(self, registry: str) -> None: ...
    def evicted(self, size: int) -> None: ...
    def scrubbed(self, bad: bool) -> None: ...
    def cached(self, blobs: int, size: int) -> None: ...
    def request(self, method: str, status: str, seconds: float) -> None: ...

    def text(self, gauges: t.Optional[t.Mapping[str, float]] = None) -> bytes:
        """The gauges alone."""
        return _gauge_lines(gauges or {})


class _Family:
    """One metric and its children by their labels' values, of which there may be only so many.

    Clients choose some of the values (the registry they name), so that without a bound they could fill the memory.
    """

    def __init__(self, metric: t.Any, labels: t.Sequence[str]) -> None:
        self._metric = metric
        self._children: t.Dict[t.Tuple[str, ...], t.Any] = {} if labels else {(): metric}
        self._lock = threading.Lock()

    def of(self, *labels: str) -> t.Any:
        return self._children.get(labels) or self._new(labels)

    def _new(self, labels: t.Tuple[str, ...]) -> t.Any:
        with self._lock:
            if labels not in self._children and len(self._children) >= _MOST_LABELS:
                labels = (_OTHER,) * len(labels)
            return self._children.setdefault(labels, self._metric.labels(*labels))


class PrometheusCounts:
    """Counts in files that all processes of the mirror share; one instance a process."""

    def __init__(self, directory: str, store: str = "") -> None:
        self._directory = directory
        self._store = store
        # The library looks at its variable when it is imported, which is before the directory is known.
        os.environ[_DIRECTORY_VARIABLE] = directory
        values.ValueClass = values.MultiProcessValue()
        # A file that is empty as yet cannot be read.
        with _held(directory, fcntl.LOCK_EX):
            self._make_families()
            self._requests.of("GET", "200")

    def _make_families(self) -> None:
        source = ["registry", "kind", "source"]
        self._served = _counter("served", "Answers with content", source)
        self._served_bytes = _counter("served_bytes", "Bytes of answers with content", source)
        self._fetched = _histogram("fetch_seconds", "Time of fetches", ["upstream", "kind"], _FETCH_SECONDS)
        self._fetched_bytes = _counter("fetched_bytes", "Bytes fetched", ["upstream", "kind"])
        self._failed = _counter("failed_fetches", "Fetches that failed", ["upstream", "why"])
        self._coalesced = _counter("coalesced", "Requests for a blob that was on its way already", ["registry"])
        self._stale = _counter("stale", "Tags answered after their time, the upstream being away", ["registry"])
        self._evicted = _counter("evicted", "Blobs dropped to make room")
        self._evicted_bytes = _counter("evicted_bytes", "Bytes of blobs dropped to make room")
        self._scrubbed = _counter("scrubbed", "Blobs hashed again", ["result"])
        self._requests = _histogram(
            "request_seconds", "Time until requests were answered", ["method", "status"], _REQUEST_SECONDS
        )
        self._cached = _gauge("cached_blobs", "Blobs that were pulled through and are here")
        self._cached_bytes = _gauge("cached_bytes", "Bytes of blobs that were pulled through and are here")

    def served(self, registry: str, kind: str, source: str, size: int) -> None:
        """An answer with content."""
        self._served.of(registry, kind, source).inc()
        self._served_bytes.of(registry, kind, source).inc(size)

    def fetched(self, upstream: str, kind: str, size: int, seconds: float) -> None:
        """A fetch that ended well."""
        self._fetched.of(upstream, kind).observe(seconds)
        self._fetched_bytes.of(upstream, kind).inc(size)

    def failed(self, upstream: str, why: str) -> None:
        """A fetch that did not."""
        self._failed.of(upstream, why).inc()

    def coalesced(self, registry: str) -> None:
        """A request for a blob that was already being fetched."""
        self._coalesced.of(registry).inc()

    def stale(self, registry: str) -> None:
        """A tag answered though its time is over."""
        self._stale.of(registry).inc()

    def evicted(self, size: int) -> None:
        """A blob dropped to make room."""
        self._evicted.of().inc()
        self._evicted_bytes.of().inc(size)

    def scrubbed(self, bad: bool) -> None:
        """A blob hashed again."""
        self._scrubbed.of("bad" if bad else "good").inc()

    def cached(self, blobs: int, size: int) -> None:
        """How much there is now of what was pulled through."""
        self._cached.of().set(blobs)
        self._cached_bytes.of().set(size)

    def request(self, method: str, status: str, seconds: float) -> None:
        """A request answered."""
        self._requests.of(method if method in _METHODS else _OTHER, status).observe(seconds)

    def text(self, gauges: t.Optional[t.Mapping[str, float]] = None) -> bytes:
        """All of it over all processes."""
        forget_gone(self._directory)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, self._directory)
        with _held(self._directory, fcntl.LOCK_SH):
            counted = generate_latest(registry)
        return counted + _gauge_lines({**self._disk(), **(gauges or {})})

    def _disk(self) -> t.Dict[str, float]:
        try:
            found = os.statvfs(self._store)
        except OSError:
            return {}
        return {"disk_bytes": found.f_blocks * found.f_frsize, "disk_free_bytes": found.f_bavail * found.f_frsize}


def prepare() -> str:
    """Where this mirror's processes count: a directory that is its own, also when it becomes a new program in place."""
    directory = os.environ.get(_OURS_VARIABLE, "")
    if not os.path.isdir(directory):
        directory = tempfile.mkdtemp(prefix="metrics-", dir=os.environ.get("RUNTIME_DIRECTORY") or None)
        os.environ[_OURS_VARIABLE] = directory
    return directory


def discard(directory: str) -> None:
    """Remove what was counted; for the main process, at its end."""
    if directory:
        shutil.rmtree(directory, ignore_errors=True)


def open_counts(directory: str, store: str = "") -> Counts:
    """What this process counts with; with an empty directory, or without the library, it does not count."""
    return PrometheusCounts(directory, store) if directory and PROMETHEUS_IMPORT_ERROR is None else NoCounts()


def forget_gone(directory: str) -> None:
    """Add what processes that are gone have counted to the sum of all such, and remove their files."""
    if not any(map(_is_gone, _files(directory))):
        return
    with _held(directory, fcntl.LOCK_EX):
        for name in filter(_is_gone, _files(directory)):
            path = os.path.join(directory, name)
            _add(path, os.path.join(directory, f"{name.rpartition('_')[0]}_{_GONE}.db"))
            os.unlink(path)


def _files(directory: str) -> t.List[str]:
    return [name for name in os.listdir(directory) if name.endswith(".db")]


def _is_gone(name: str) -> bool:
    """Whether the process that counts in this file, whose number is in its name, is no more."""
    number = name[:-3].rpartition("_")[2]
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _add(source: str, target: str) -> None:
    """Counters are added; of a gauge the value that was set last is kept."""
    is_gauge = os.path.basename(source).startswith("gauge_")
    total = MmapedDict(target)
    try:
        for key, value, timestamp, _position in MmapedDict.read_all_values_from_file(source):
            before, set_at = total.read_value(key)
            if not is_gauge:
                total.write_value(key, before + value, timestamp)
            elif timestamp >= set_at:
                total.write_value(key, value, timestamp)
    finally:
        total.close()


def _counter(name: str, told: str, labels: t.Sequence[str] = ()) -> _Family:
    return _Family(Counter(f"{_PREFIX}_{name}", told, labels, registry=None), labels)


def _histogram(name: str, told: str, labels: t.Sequence[str], buckets: t.Sequence[float]) -> _Family:
    return _Family(Histogram(f"{_PREFIX}_{name}", told, labels, buckets=buckets, registry=None), labels)


def _gauge(name: str, told: str) -> _Family:
    return _Family(Gauge(f"{_PREFIX}_{name}", told, registry=None, multiprocess_mode="mostrecent"), ())


def _gauge_lines(gauges: t.Mapping[str, float]) -> bytes:
    lines = [f"# TYPE {_PREFIX}_{name} gauge\n{_PREFIX}_{name} {value}\n" for name, value in sorted(gauges.items())]
    return "".join(lines).encode("ascii")


@contextlib.contextmanager
def _held(directory: str, how: int) -> t.Iterator[None]:
    """The directory's lock: many may read, or one moves counts from file to file."""
    handle = os.open(os.path.join(directory, _LOCK), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
