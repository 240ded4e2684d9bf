# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scrubs, and who keeps a store in order."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import pathlib
import threading
import time

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.assembly import assemble
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping import housekeeping
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.housekeeping import Chore
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.scrub import Scrub
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.pulling import (
    FakeLink,
    Turn,
    pull,
    service,
    settle,
)
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise, put_manifest

NAME = Reference.parse("quay.io/t/app:1")
LOG = logging.getLogger("test")
DAY = 86400.0
PATIENCE = 20.0


@dataclasses.dataclass
class Told(NoCounts):
    """Remembers what it is told."""

    good: int = 0
    bad: int = 0

    def scrubbed(self, bad: bool) -> None:
        self.bad += bad
        self.good += not bad


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


def scrub_of(layout: Layout, told: Told, days: float = 30) -> Scrub:
    return Scrub(layout, PulledRecords(layout), told, LOG, days)


def put_pulled(layout: Layout, data: bytes) -> Digest:
    digest = Digest.of(data)
    with layout.pulling_writer(digest) as writer:
        writer.write(data)
        PulledRecords(layout).mark(digest, len(data), "up")
        writer.commit()
    return digest


def damage(layout: Layout, digest: Digest) -> None:
    path = pathlib.Path(layout.blob_path(digest))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_broken_blob_that_was_pulled_through_is_dropped_and_fetched_again(layout: Layout) -> None:
    told, data = Told(), noise("x", 5000)
    digest, other = put_pulled(layout, data), put_pulled(layout, b"other")
    damage(layout, digest)
    assert sum(scrub_of(layout, told).go_on()) >= 5000
    assert (told.good, told.bad) == (1, 1)
    assert not layout.has(digest) and not PulledRecords(layout).has(digest) and layout.has(other)
    assert pull(service(layout, FakeLink(Turn(data))), data) == data


def test_a_broken_blob_of_an_image_is_put_aside_told_and_fetched_again(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    told = Told()
    manifest, layer = put_manifest(layout, "linux/amd64", {"f": noise("x", 5000)})
    layout.tag(NAME, manifest)
    data = layout.read_blob(layer)
    damage(layout, layer)
    list(scrub_of(layout, told).go_on())
    assert told.bad == 1 and str(layer) in caplog.text
    assert not layout.has(layer)
    aside = pathlib.Path(layout.path, "blobs/sha256", f".{layer.hex}.broken")
    assert aside.exists()
    fetches = service(layout, FakeLink(Turn(data)))
    assert pull(fetches, data) == data
    settle(fetches)
    assert layout.verify() == []
    assert [one.digest for one in layout.prune()] == [layer]
    assert not aside.exists() and layout.has(layer)


def test_a_broken_blob_that_is_pulled_and_named_is_not_forgotten(layout: Layout) -> None:
    manifest, layer = put_manifest(layout, "linux/amd64", {"f": b"x"})
    PulledRecords(layout).mark(layer, 1, "up")
    layout.tag(NAME, manifest)
    damage(layout, layer)
    list(scrub_of(layout, Told()).go_on())
    assert not layout.has(layer) and PulledRecords(layout).has(layer)


def test_a_scrub_goes_on_where_it_was(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.scrub._SAVE_SECONDS", 0.0
    )
    for number in range(10):
        put_pulled(layout, b"%d" % number)
    told = Told()
    scrub = scrub_of(layout, told)
    assert not scrub.is_due()
    for _piece in scrub.go_on():
        if told.good == 4:
            break
    assert scrub_of(layout, told).is_due()
    list(scrub_of(layout, told).go_on())
    assert told.good in (10, 11)
    assert not scrub_of(layout, told).is_due()


@pytest.mark.parametrize(
    ("state", "days", "due"),
    [
        ("", 30, False),
        ("{", 30, False),
        ({"began": -31 * DAY}, 30, True),
        ({"began": -29 * DAY}, 30, False),
        ({"began": -31 * DAY}, 0, False),
        ({"began": 400 * DAY}, 30, True),
        ({"began": -DAY, "after": "sha256:0"}, 30, True),
        ({"began": "x"}, 30, False),
    ],
)
def test_when_a_scrub_is_due(layout: Layout, state: object, days: float, due: bool) -> None:
    if isinstance(state, dict) and isinstance(state["began"], float):
        state = {**state, "began": time.time() + state["began"]}
    path = pathlib.Path(layout.path, "pulled/scrub.json")
    path.parent.mkdir()
    path.write_text(state if isinstance(state, str) else json.dumps(state))
    assert scrub_of(layout, Told(), days).is_due() == due


def test_one_of_several_keeps_order_and_another_when_it_ends(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "ELECTION_SECONDS", 0.01)
    done = [threading.Event(), threading.Event()]
    config = Config(store=layout.path, listen=[])
    keepers = [
        housekeeping.start(config, layout, PulledRecords(layout), NoCounts(), LOG, [Chore("it", 3600.0, event.set)])
        for event in done
    ]
    try:
        end = time.monotonic() + PATIENCE
        while not any(event.is_set() for event in done) and time.monotonic() < end:
            done[0].wait(0.01)
        first = 0 if done[0].is_set() else 1
        assert done[first].is_set() and not done[1 - first].is_set()
        keepers[first].stop()
        assert done[1 - first].wait(PATIENCE)
    finally:
        for keeper in keepers:
            keeper.stop()


def test_a_chore_that_fails_keeps_nobody_from_the_others(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "_IDLE_SECONDS", 0.01)
    done = threading.Event()

    def fail() -> None:
        raise OSError(5, "Input/output error")

    keeper = housekeeping.start(
        Config(store=layout.path, listen=[]),
        layout,
        PulledRecords(layout),
        NoCounts(),
        LOG,
        [Chore("breaking", 0.0, fail), Chore("working", 0.0, done.set)],
    )
    try:
        for _time in range(3):
            assert done.wait(PATIENCE)
            done.clear()
    finally:
        keeper.stop()
    assert "breaking" in caplog.text


def test_a_store_that_cannot_be_written_is_served_without_housekeeping(
    layout: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    os.symlink("nowhere/at/all", os.path.join(layout.path, "pulled"))
    keeper = housekeeping.start(Config(store=layout.path, listen=[]), layout, PulledRecords(layout), NoCounts(), LOG)
    keeper._thread.join(PATIENCE)
    assert not keeper._thread.is_alive()
    assert "not kept in order" in caplog.text


@pytest.mark.parametrize("policy", ["off", "any"])
def test_every_mirror_keeps_its_store_in_order(
    layout: Layout, tmp_path: pathlib.Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that serves content of cluster images only: that has to be scrubbed, too."""
    monkeypatch.setattr(housekeeping, "_IDLE_SECONDS", 0.01)
    digest = layout.put_bytes(b"content")
    damage(layout, digest)
    path = pathlib.Path(layout.path, "pulled/scrub.json")
    path.parent.mkdir()
    path.write_text(json.dumps({"began": 0.0}))
    if policy == "off":
        path.unlink()
        path.parent.rmdir()
    config = Config.parse({"store": layout.path, "listen": ["127.0.0.1:0"], "pull_through": policy})
    application = assemble(config, LOG)
    try:
        if policy == "off":
            end = time.monotonic() + PATIENCE
            while not path.exists():
                assert time.monotonic() < end
                time.sleep(0.01)
            tmp_path.joinpath("state").write_text(json.dumps({"began": 0.0}))
            tmp_path.joinpath("state").replace(path)
        end = time.monotonic() + PATIENCE
        while layout.has(digest):
            assert time.monotonic() < end
            time.sleep(0.01)
    finally:
        application.close()


@pytest.mark.parametrize("policy", ["off", "any"])
def test_a_mirror_begins_with_an_empty_directory(tmp_path: pathlib.Path, policy: str) -> None:
    config = Config.parse({"store": str(tmp_path), "listen": ["127.0.0.1:0"], "pull_through": policy})
    assemble(config, LOG).close()
    assert Layout.open(str(tmp_path)).names() == {}


def test_what_is_no_store_is_left_alone(tmp_path: pathlib.Path) -> None:
    tmp_path.joinpath("other").write_text("kept")
    config = Config.parse({"store": str(tmp_path), "listen": ["127.0.0.1:0"], "pull_through": "off"})
    assemble(config, LOG).close()
    assert os.listdir(tmp_path) == ["other"]
