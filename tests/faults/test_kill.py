# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build, pull, load and delivery, killed with kill -9 at any moment: the store is whole, and the next run finishes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import typing as t
import uuid

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.archive import save
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_index import is_derived
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import push
from ansible_collections.sealer.cluster.tests.faults.slow_link import SlowLink
from ansible_collections.sealer.cluster.tests.unit.real_registry import RealRegistry
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise, put_container_image

ROUNDS = int(os.environ.get("SEALER_KILL_ROUNDS", "25"))
LAYER = 12 << 20
BANDWIDTH = 24 << 20
RUN_LIMIT = 120
WATCH = 0.002
MARK = "SEALER_KILL_MARK"
CONTAINER_IMAGE = "docker.io/library/web:1.0"


@dataclasses.dataclass(frozen=True)
class Verb:
    """One of our modules, run by Ansible as people do, and the store that it writes to."""

    module: str
    options: t.Mapping[str, object]
    store: pathlib.Path
    reference: Reference
    home: pathlib.Path
    store_option: str = "store"

    def start(self) -> Started:
        mark = uuid.uuid4().hex
        arguments = json.dumps({**self.options, self.store_option: str(self.store)})
        self.home.mkdir(exist_ok=True)
        log = self.home / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["ansible", "localhost", "--module-name", f"sealer.cluster.{self.module}", "--args", arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # What a killed module leaves in the temporary directory goes with the test's.
                env={**os.environ, "ANSIBLE_HOME": str(self.home / "ansible"), "TMPDIR": str(self.home), MARK: mark},
                start_new_session=True,
            )
        return Started(process, f"{MARK}={mark}".encode(), log)

    def layout(self) -> t.Optional[Layout]:
        return Layout.open(str(self.store)) if Layout.exists(str(self.store)) else None

    def digest(self) -> t.Optional[Digest]:
        """What the store says that the image is."""
        layout = self.layout()
        entry = layout.names().get(str(self.reference)) if layout else None
        return entry.digest if entry else None

    def finish(self) -> float:
        """Run it undisturbed; gives the seconds that it took."""
        begun = time.monotonic()
        started = self.start()
        try:
            assert started.process.wait(RUN_LIMIT) == 0, started.log.read_text()
        finally:
            started.kill()
        return time.monotonic() - begun

    def killed_when(self, reached: t.Callable[[], bool]) -> bool:
        """Run it and kill it as soon as this is so; it may have ended before."""
        started = self.start()
        while started.process.poll() is None and not reached():
            time.sleep(WATCH)
        killed = started.process.poll() is None
        started.kill()
        assert killed or started.process.returncode == 0, started.log.read_text()
        return started.process.returncode != 0


@dataclasses.dataclass(frozen=True)
class Started:
    """A running tree of processes: ansible, its worker, which has a session of its own, and the module."""

    process: subprocess.Popen[bytes]
    mark: bytes
    log: pathlib.Path

    def kill(self) -> None:
        """kill -9 to all of them, until none is left."""
        limit = time.monotonic() + RUN_LIMIT
        while any([self._kill_all(), self._kill_all()]):
            assert time.monotonic() < limit, "processes do not end"
        self.process.wait(RUN_LIMIT)

    def _kill_all(self) -> bool:
        found = [int(one.name) for one in pathlib.Path("/proc").glob("[0-9]*") if self._is_ours(one / "environ")]
        for number in found:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
        return bool(found)

    def _is_ours(self, environment: pathlib.Path) -> bool:
        try:
            return self.mark in environment.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False


@dataclasses.dataclass
class Trial:
    """Kills one verb again and again, and looks at the store each time.

    kills: runs that were killed; with_partials: kills after which a blob was there in part; half_done: kills after
    which some of the image was there and its name was not.
    """

    verb: Verb
    seed: int = dataclasses.field(default_factory=lambda: random.randrange(1 << 30))
    runs: int = 0
    kills: int = 0
    with_partials: int = 0
    half_done: int = 0
    expected: t.Optional[Digest] = None

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    def run(self, expected: t.Optional[Digest] = None) -> None:
        try:
            whole = self.verb.finish()
            self.expected = expected or self.verb.digest()
            self.require_finished()
            size = self.size()
            self.begin_anew()
            while self.kills < ROUNDS or not self.with_partials:
                self.go_on(self.some_time(whole) if self.runs % 2 else self.some_size(size))
            self.verb.finish()
            self.require_finished()
        except Exception as error:
            raise AssertionError(f"{self}: {error}") from error
        print(f"{self.verb.module}: {self.kills} kills in {self.runs} runs of up to {whole:.1f} s,")
        print(f"  {self.with_partials} with a blob there in part, {self.half_done} with an image half there")

    def some_time(self, whole: float) -> t.Callable[[], bool]:
        """Any moment of a run that takes so long."""
        end = time.monotonic() + self.chance.uniform(0.0, whole)
        return lambda: time.monotonic() >= end

    def some_size(self, whole: int) -> t.Callable[[], bool]:
        """A moment at which some of so many bytes are there: it comes in every run, however long the run takes."""
        wanted = self.chance.randrange(1, whole)
        return lambda: self.size() >= wanted

    def size(self) -> int:
        """How many bytes of blobs are there."""
        total = 0
        for entry in self.verb.store.glob("blobs/*/*"):
            with contextlib.suppress(FileNotFoundError):
                total += entry.stat().st_size
        return total

    def go_on(self, reached: t.Callable[[], bool]) -> None:
        """One more run, killed when this is so, and mostly one that finishes; the next goes on with what is there."""
        assert self.runs < 4 * ROUNDS + 20, "too few runs could be killed in the middle"
        self.runs += 1
        if self.verb.killed_when(reached):
            self.kills += 1
            self.look_at_what_is_left()
            if self.chance.random() < 1 / 3:
                return
            self.verb.finish()
        self.require_finished()
        self.begin_anew()

    def look_at_what_is_left(self) -> None:
        layout = self.verb.layout()
        if layout is None:
            return
        assert layout.verify() == []
        assert self.verb.digest() in (None, self.expected)
        self.with_partials += bool(partials(layout))
        self.half_done += bool(files(layout)) and self.verb.digest() is None
        if self.chance.random() < 1 / 4:
            layout.prune()
            assert partials(layout) == []
            assert layout.verify() == []

    def require_finished(self) -> None:
        layout = self.verb.layout()
        assert layout is not None
        assert self.expected is not None and self.verb.digest() == self.expected
        assert layout.verify() == []
        layout.prune()
        assert layout.missing(layout.resolve(self.verb.reference)) == []
        left = [*self.verb.store.rglob("*partial*"), *self.verb.home.rglob("sealer-parcel-*")]
        assert left == []

    def begin_anew(self) -> None:
        """Without a store, or with one that is empty."""
        layout = self.verb.layout()
        if layout is None or self.chance.random() < 1 / 3:
            shutil.rmtree(self.verb.store)
            return
        for name, entry in layout.names().items():
            if not is_derived(entry):
                layout.untag(Reference.parse(name))
        layout.prune()
        assert files(layout) == []


def files(layout: Layout) -> list[pathlib.Path]:
    """Blobs, and parts of them."""
    return [path for path in pathlib.Path(layout.path, "blobs").rglob("*") if path.is_file()]


def partials(layout: Layout) -> list[pathlib.Path]:
    return [path for path in files(layout) if path.name.endswith(".partial")]


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the verbs take their image from: a store, a registry and an archive hold the same one."""

    layout: Layout
    reference: Reference
    digest: Digest
    registries: list[dict[str, object]]
    archive: pathlib.Path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Source]:
    directory = tmp_path_factory.mktemp("source")
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(contextlib.closing(RealRegistry(directory)))
        host = stack.enter_context(contextlib.closing(SlowLink(registry.host, BANDWIDTH))).host
        layout = Layout.open(str(directory / "store"), create=True)
        reference = Reference.parse(f"{host}/clusters/shop:1")
        build_image(layout, reference, directory)
        descriptor = layout.resolve(reference)
        push(RegistryClient([RegistrySettings(host, insecure=True)]), layout, descriptor, reference)
        archive = directory / "shop.tar"
        save(layout, descriptor, reference, str(archive), NullProgress())
        yield Source(layout, reference, descriptor.digest, [{"host": host, "insecure": True}], archive)


def build_image(layout: Layout, reference: Reference, directory: pathlib.Path) -> None:
    """Two layers that cannot be compressed, and a container image with a third one."""
    _images, index = put_container_image(layout, CONTAINER_IMAGE, [str(Platform.host())], LAYER)
    layout.tag(Reference.parse(CONTAINER_IMAGE), index)
    context = directory / "context"
    context.mkdir()
    (context / "Kubefile").write_text("FROM scratch\nCOPY one /bin/\nCOPY two /bin/\n")
    for name in ("one", "two"):
        (context / name).write_bytes(noise(name, LAYER))
    options = {"name": str(reference), "path": str(context), "images": [CONTAINER_IMAGE]}
    Verb("image_build", options, pathlib.Path(layout.path), reference, directory / "home").finish()


def test_build(source: Source, tmp_path: pathlib.Path) -> None:
    """It pulls its base out of a registry and packs two large files."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "Kubefile").write_text(f"FROM {source.reference}\nCOPY first /data/\nCOPY . /all/\n")
    for name in ("first", "second"):
        (context / name).write_bytes(noise(name, LAYER))
    reference = Reference.parse("built:1")
    options = {"name": str(reference), "path": str(context), "registries": source.registries}
    verb = Verb("image_build", options, tmp_path / "store", reference, tmp_path / "home")
    Trial(verb).run()
    assert sorted(path.name for path in context.iterdir()) == ["Kubefile", "Kubefile.lock", "first", "second"]


def test_load(source: Source, tmp_path: pathlib.Path) -> None:
    options = {"path": str(source.archive)}
    Trial(Verb("image_load", options, tmp_path / "store", source.reference, tmp_path / "home")).run(source.digest)


def test_pull(source: Source, tmp_path: pathlib.Path) -> None:
    reference = source.reference
    options = {"name": str(reference), "registries": source.registries}
    Trial(Verb("image_pull", options, tmp_path / "store", reference, tmp_path / "home")).run(source.digest)


def test_delivery(source: Source, tmp_path: pathlib.Path) -> None:
    reference = source.reference
    options = {"image": str(reference), "store": source.layout.path, "parcel_size": 5 * LAYER // 4}
    verb = Verb("image_deliver", options, tmp_path / "store", reference, tmp_path / "home", store_option="host_store")
    Trial(verb).run(source.digest)
    assert source.layout.verify() == []
