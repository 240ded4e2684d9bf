# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror's counts: over processes, past their end, and within bounds."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pathlib
import re
import signal
import threading
import typing as t
import urllib.request

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror import metrics
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import (
    BLOB,
    MANIFEST,
    STORE,
    UPSTREAM,
    Counts,
    NoCounts,
    PrometheusCounts,
    open_counts,
    prepare,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.running import RunningMirror
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample
from prometheus_client.parser import text_string_to_metric_families

Samples = t.Dict[t.Tuple[str, t.FrozenSet[t.Tuple[str, str]]], float]


@pytest.fixture
def directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where a mirror counts."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    monkeypatch.setenv("SEALER_MIRROR_METRICS", "")
    return prepare()


def samples(counts: Counts) -> Samples:
    """What is told, as an independent parser reads it."""
    families = text_string_to_metric_families(counts.text().decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(counts: Counts, name: str, **labels: str) -> float:
    """One of the values that are told."""
    return samples(counts)[(f"sealer_mirror_{name}", frozenset(labels.items()))]


def in_a_process(directory: str, work: t.Callable[[Counts], None]) -> int:
    """Count in another process; its id, when it is gone."""

    def run() -> None:
        work(open_counts(directory))

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    return t.cast(int, process.pid)


def count_everything(counts: Counts) -> None:
    """Tell one of each."""
    counts.served("docker.io", BLOB, STORE, 1000)
    counts.served("quay.io", MANIFEST, UPSTREAM, 10)
    counts.fetched("quay.io", MANIFEST, 10, 0.2)
    counts.failed("quay.io", "timeout")
    counts.coalesced("docker.io")
    counts.stale("docker.io")
    counts.evicted(500)
    counts.scrubbed(False)
    counts.scrubbed(True)
    counts.request("GET", "200", 0.02)


EXPECTED: t.Tuple[t.Tuple[str, t.Dict[str, str], float], ...] = (
    ("served_total", {"registry": "docker.io", "kind": "blob", "source": "store"}, 1),
    ("served_bytes_total", {"registry": "docker.io", "kind": "blob", "source": "store"}, 1000),
    ("served_bytes_total", {"registry": "quay.io", "kind": "manifest", "source": "upstream"}, 10),
    ("fetched_bytes_total", {"upstream": "quay.io", "kind": "manifest"}, 10),
    ("fetch_seconds_count", {"upstream": "quay.io", "kind": "manifest"}, 1),
    ("failed_fetches_total", {"upstream": "quay.io", "why": "timeout"}, 1),
    ("coalesced_total", {"registry": "docker.io"}, 1),
    ("stale_total", {"registry": "docker.io"}, 1),
    ("evicted_total", {}, 1),
    ("evicted_bytes_total", {}, 500),
    ("scrubbed_total", {"result": "bad"}, 1),
    ("scrubbed_total", {"result": "good"}, 1),
    ("request_seconds_count", {"method": "GET", "status": "200"}, 1),
    ("request_seconds_bucket", {"method": "GET", "status": "200", "le": "0.005"}, 0),
    ("request_seconds_bucket", {"method": "GET", "status": "200", "le": "0.025"}, 1),
)


@pytest.mark.parametrize(("name", "labels", "once"), EXPECTED)
def test_processes_are_summed(directory: str, name: str, labels: t.Dict[str, str], once: float) -> None:
    counts = open_counts(directory)
    count_everything(counts)
    in_a_process(directory, count_everything)
    assert value(counts, name, **labels) == 2 * once


def test_what_is_counted_outlives_its_process(directory: str) -> None:
    counts = open_counts(directory)
    for number in range(1, 4):
        pid = in_a_process(directory, count_everything)
        assert [name for name in os.listdir(directory) if f"_{pid}.db" in name]
        for name, labels, once in EXPECTED:
            assert value(counts, name, **labels) == number * once
        assert not [name for name in os.listdir(directory) if f"_{pid}.db" in name]
    assert [name for name in os.listdir(directory) if f"_{os.getpid()}.db" in name]


def test_sums_stay_while_processes_come_and_go_and_others_ask(directory: str) -> None:
    counts = open_counts(directory)
    told: t.List[float] = []
    for _time in range(4):
        in_a_process(directory, count_everything)
        threads = [threading.Thread(target=lambda: told.append(value(counts, "evicted_total"))) for _time in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert told == [number for number in (1, 2, 3, 4) for _time in range(4)]


def test_of_a_gauge_the_last_value_is_told(directory: str) -> None:
    counts = open_counts(directory)
    counts.cached(9, 90)
    in_a_process(directory, lambda other: other.cached(1, 10))
    in_a_process(directory, lambda other: other.cached(2, 20))
    for _time in range(2):
        assert (value(counts, "cached_blobs"), value(counts, "cached_bytes")) == (2, 20)
    counts.cached(0, 0)
    assert value(counts, "cached_bytes") == 0


def test_clients_cannot_fill_the_memory_with_names(directory: str) -> None:
    counts = open_counts(directory)
    for number in range(1000):
        counts.served(f"r{number}.example.com", BLOB, STORE, 1)
        counts.request(f"M{number}", "405", 0.001)
    found = samples(counts)
    served = {key: count for key, count in found.items() if key[0] == "sealer_mirror_served_total"}
    assert len(served) == 257
    assert sum(served.values()) == 1000
    assert value(counts, "request_seconds_count", method="other", status="405") == 1000


def test_hostile_labels_stay_one_line(directory: str) -> None:
    counts = open_counts(directory)
    name = 'a"}\nsealer_mirror_evicted_total 7\\'
    counts.failed(name, "timeout")
    assert value(counts, "failed_fetches_total", upstream=name, why="timeout") == 1
    assert value(counts, "evicted_total") == 0


def test_threads(directory: str) -> None:
    counts = open_counts(directory)

    def work() -> None:
        for _time in range(500):
            counts.request("GET", "200", 0.001)
            counts.served("docker.io", BLOB, STORE, 2)

    threads = [threading.Thread(target=work) for _time in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(counts, "request_seconds_count", method="GET", status="200") == 4000
    assert value(counts, "served_bytes_total", registry="docker.io", kind="blob", source="store") == 8000


@pytest.mark.parametrize("counting", [True, False])
def test_gauges_are_told_beside(directory: str, counting: bool) -> None:
    text = open_counts(directory if counting else "").text({"names": 3, "free_bytes": 2**40}).decode()
    told = {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}
    assert (told["sealer_mirror_names"], told["sealer_mirror_free_bytes"]) == (3, 2**40)


def test_without_directory_or_library_nothing_is_counted(monkeypatch: pytest.MonkeyPatch, directory: str) -> None:
    assert isinstance(open_counts(""), NoCounts)
    assert isinstance(open_counts(directory), PrometheusCounts)
    monkeypatch.setattr(metrics, "PROMETHEUS_IMPORT_ERROR", "no such package")
    counts = open_counts(directory)
    count_everything(counts)
    counts.cached(1, 1)
    assert counts.text() == b""


def test_both_have_all_methods() -> None:
    methods = [name for name, _function in inspect.getmembers(Counts, inspect.isfunction) if not name.startswith("_")]
    assert len(methods) == 10
    for kind in (NoCounts, PrometheusCounts):
        assert [inspect.signature(getattr(kind, name)) for name in methods] == [
            inspect.signature(getattr(Counts, name)) for name in methods
        ]


def test_directories_are_private_and_apart(
    directory: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert os.stat(directory).st_mode & 0o777 == 0o700
    assert pathlib.Path(directory).parent == tmp_path
    assert prepare() == directory, "a program that takes the place of one goes on counting"
    monkeypatch.delenv("SEALER_MIRROR_METRICS")
    assert prepare() != directory


def test_the_program_counts_in_all_processes_and_over_a_reload(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "mirror.pyz"
    program.write_bytes(build().data)
    layout = Layout.open(str(tmp_path / "store"), create=True)
    made = sample(layout, "registry.example.com/clusters/shop:1.0", size=1000)
    mirror = RunningMirror(program, tmp_path, store=layout.path, workers=2)

    def ask(path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{mirror.port}{path}", timeout=60) as answer:
            return str(answer.read().decode("latin-1"))

    def told() -> t.Dict[t.Tuple[str, t.FrozenSet[t.Tuple[str, str]]], float]:
        families = text_string_to_metric_families(ask("/metrics"))
        return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}

    blob = made.layers["linux/amd64"]
    labels = frozenset({("registry", "quay.io"), ("kind", "blob"), ("source", "store")})
    try:
        for _time in range(20):
            ask(f"/v2/x/blobs/{blob}?ns=quay.io")
        found = told()
        assert found[("sealer_mirror_served_total", labels)] == 20
        assert found[("sealer_mirror_served_bytes_total", labels)] == 20 * len(layout.read_blob(blob))
        assert found[("sealer_mirror_disk_bytes", frozenset())] > 0
        mirror.process.send_signal(signal.SIGHUP)
        assert mirror.wait_for(re.compile("Reloading: "))
        assert mirror.wait_for(re.compile("Worker exiting.*Worker exiting", re.DOTALL))
        ask(f"/v2/x/blobs/{blob}?ns=quay.io")
        assert told()[("sealer_mirror_served_total", labels)] == 21
        answered = frozenset({("method", "GET"), ("status", "200")})
        assert told()[("sealer_mirror_request_seconds_count", answered)] >= 21
    finally:
        assert mirror.close() == 0
    assert "Traceback" not in mirror.log
