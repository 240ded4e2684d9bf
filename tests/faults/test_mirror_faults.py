# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mirrors that are killed, whose upstreams die, hang and lie, and whose disk is full: no client gets a wrong byte."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import http.client
import http.server
import itertools
import os
import pathlib
import random
import signal
import subprocess
import threading
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.eviction import prune
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.faults.slow_link import SlowLink
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.running import RunningMirror
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise

ROUNDS = int(os.environ.get("SEALER_MIRROR_KILL_ROUNDS", "100"))
CLIENTS = 16
ENOUGH = {"pulled": 4 * CLIENTS, "resumed": 1 + ROUNDS // 10}
BLOBS = 24
SIZE = 1 << 20
BANDWIDTH = 40 << 20
REPOSITORY = "team/app"
NAME = "registry.example.com"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The file that hosts get."""
    path = tmp_path_factory.mktemp("program") / "mirror.pyz"
    path.write_bytes(build().data)
    return path


@pytest.fixture
def registry() -> t.Iterator[FakeRegistry]:
    """An upstream."""
    with contextlib.closing(FakeRegistry()) as made:
        yield made


class Service:
    """A mirror that can be killed and begun again."""

    def __init__(self, program: pathlib.Path, directory: pathlib.Path, store: pathlib.Path, **settings: t.Any) -> None:
        self._program = program
        self._directory = directory
        self._settings: dict[str, t.Any] = {
            "store": str(store),
            "pull_through": "configured",
            "keep_free": 0,
            "access_log": False,
        }
        self._settings.update(settings)
        directory.mkdir(parents=True)
        self.running = self._begin()

    def _begin(self) -> RunningMirror:
        return RunningMirror(self._program, self._directory, **self._settings)

    def kill_a_worker(self, chance: random.Random) -> None:
        """kill -9 to one of its processes; its main process makes another."""
        workers = self.workers()
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)

    def kill(self) -> None:
        """kill -9 to all of it, as where the power goes; then it begins again."""
        ours = [self.running.process.pid, *self.workers()]
        for pid in ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.running.process.wait(PATIENCE)
        self.running = self._begin()

    def workers(self) -> list[int]:
        """The processes that serve."""
        path = pathlib.Path(f"/proc/{self.running.process.pid}/task/{self.running.process.pid}/children")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return [int(pid) for pid in path.read_text().split()]
        return []

    def get(self, digest: Digest) -> tuple[int, bytes]:
        """A blob, in one answer."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.running.port), timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("GET", f"/v2/{REPOSITORY}/blobs/{digest}?ns={NAME}")
            answer = connection.getresponse()
            return answer.status, answer.read()

    def pull(self, digest: Digest) -> tuple[bytes, int]:
        """A blob, as a client gets it that tries again; and how often it had to."""
        end = time.monotonic() + PATIENCE
        for tries in range(10_000):
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, body = self.get(digest)
                if status == 200:
                    return body, tries
                assert status >= 500 or status == 429, f"{status} {body!r}"
            assert time.monotonic() < end, f"{digest} cannot be had: {self.running.log[-3000:]}"
            time.sleep(0.05)
        raise AssertionError("unreachable")

    def close(self) -> None:
        self.running.close()


def upstream_of(*urls: str) -> dict[str, t.Any]:
    return {"name": NAME, "urls": list(urls), "insecure": True}


def put_blobs(registry: FakeRegistry, count: int, size: int) -> list[Digest]:
    return [Digest.parse(registry.add_blob(REPOSITORY, noise(f"blob {number}", size))) for number in range(count)]


def test_mirrors_are_killed_while_clients_pull(
    program: pathlib.Path, tmp_path: pathlib.Path, registry: FakeRegistry
) -> None:
    """Two services of two processes each on one store; what it holds is dropped all the time, so that they fetch."""
    seed = random.randrange(1 << 30)
    digests = put_blobs(registry, BLOBS, SIZE)
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        link = stack.enter_context(contextlib.closing(SlowLink(registry.host, BANDWIDTH)))
        settings = {"workers": 2, "upstreams": [upstream_of(f"http://{link.host}")]}
        services = [
            stack.enter_context(contextlib.closing(Service(program, tmp_path / name, tmp_path / "store", **settings)))
            for name in ("one", "two")
        ]
        layout = Layout.open(str(tmp_path / "store"), create=True)
        stack.callback(stop.set)
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            counts = [collections.Counter[str]() for _number in range(CLIENTS)]
            clients = [
                pool.submit(client, services, digests, random.Random(seed + number), stop, own)
                for number, own in enumerate(counts)
            ]

            def lacks() -> dict[str, int]:
                seen = {"pulled": sum(one["pulled"] for one in counts), "resumed": resumed_of(registry)}
                return {name: count for name, count in seen.items() if count < ENOUGH[name]}

            try:
                kill_all_the_time(services, layout, random.Random(seed), clients, lacks)
            finally:
                stop.set()
            for one in clients:
                one.result(PATIENCE)
        for digest in digests:
            assert Digest.of(services[0].pull(digest)[0]) == digest
        assert layout.verify() == [], f"seed {seed}"
    total = dict(sum(counts, collections.Counter[str]()))
    print(f"seed {seed}: {total}, {requests_of(registry)} fetches, {resumed_of(registry)} of them resumed")


def client(
    services: list[Service],
    digests: list[Digest],
    chance: random.Random,
    stop: threading.Event,
    counts: collections.Counter[str],
) -> None:
    """Pull one blob after the other, and look at each."""
    while not stop.is_set():
        digest = chance.choice(digests)
        body, tries = chance.choice(services).pull(digest)
        assert Digest.of(body) == digest
        counts.update(pulled=1, tried_again=tries)


def kill_all_the_time(
    services: list[Service],
    layout: Layout,
    chance: random.Random,
    clients: t.Sequence[concurrent.futures.Future[None]],
    lacks: t.Callable[[], dict[str, int]],
) -> None:
    """As often as is wanted, and until there has been enough that a kill could disturb."""
    for number in itertools.count():
        if number >= ROUNDS and not lacks():
            break
        assert number < 10 * ROUNDS, f"{number} kills, and no more than {lacks()}"
        time.sleep(chance.uniform(0.0, 0.5))
        service = chance.choice(services)
        if number % 10 == 9:
            service.kill()
        else:
            service.kill_a_worker(chance)
        prune(layout, all_unpinned=True)
        if number % 5 == 4:
            layout.prune()
        if number % 20 == 19:
            assert layout.verify() == []
        for one in clients:
            assert not one.done(), one.result()


def resumed_of(registry: FakeRegistry) -> int:
    """Fetches of the rest of what a process that was killed had begun."""
    return sum("Range" in one.headers for one in registry.seen)


def requests_of(registry: FakeRegistry) -> int:
    return sum(one.method == "GET" and "/blobs/" in one.path for one in registry.seen)


@pytest.fixture
def serve(program: pathlib.Path, tmp_path: pathlib.Path) -> t.Iterator[t.Callable[..., Service]]:
    """Starts a mirror of two processes."""
    with contextlib.ExitStack() as stack:

        def start(*urls: str, **settings: t.Any) -> Service:
            settings = {"workers": 2, "upstreams": [upstream_of(*urls)], **settings}
            service = Service(program, tmp_path / "service", tmp_path / "store", **settings)
            stack.enter_context(contextlib.closing(service))
            return service

        yield start


def test_an_upstream_that_dies_in_the_middle_is_not_noticed(
    serve: t.Callable[..., Service], registry: FakeRegistry
) -> None:
    (digest,) = put_blobs(registry, 1, 8 * SIZE)
    for cut_after in (SIZE, 2 * SIZE, 100):
        registry.fail("GET", str(digest), cut_after=cut_after)
    status, body = serve(registry.url).get(digest)
    assert status == 200 and Digest.of(body) == digest
    ranges = [one.headers.get("Range", "") for one in registry.seen if str(digest) in one.path]
    assert len(ranges) == 4 and ranges[0] == "" and all(one.startswith("bytes=") for one in ranges[1:])


def test_an_upstream_that_lies_is_cut_off_and_the_next_one_asked(
    serve: t.Callable[..., Service], registry: FakeRegistry, tmp_path: pathlib.Path
) -> None:
    (digest,) = put_blobs(registry, 1, 4 * SIZE)
    with contextlib.closing(FakeRegistry()) as liar:
        put_blobs(liar, 1, 4 * SIZE)
        liar.fail("GET", str(digest), wrong_bytes=True, times=100)
        service = serve(liar.url, registry.url)
        body, tries = service.pull(digest)
        assert Digest.of(body) == digest and tries >= 1
        assert sum(str(digest) in one.path for one in liar.seen) == 1
    assert Layout.open(str(tmp_path / "store")).verify() == []


class HangingRegistry(http.server.ThreadingHTTPServer):
    """Gives half of a blob and then nothing more, while it keeps the connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Hanging)
        self.data = data
        self.ended = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        self.shutdown()
        self.server_close()


class _Hanging(http.server.BaseHTTPRequestHandler):
    server: HangingRegistry

    def log_message(self, *_arguments: t.Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        data = self.server.data
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        self.server.ended.wait(PATIENCE)


def test_an_upstream_that_hangs_is_left(serve: t.Callable[..., Service], registry: FakeRegistry) -> None:
    """After the time that an upstream has to say something the rest comes from elsewhere, in the same answer."""
    (digest,) = put_blobs(registry, 1, 4 * SIZE)
    with contextlib.closing(HangingRegistry(registry.repository(REPOSITORY).blobs[str(digest)])) as hanging:
        status, body = serve(hanging.url, registry.url).get(digest)
    assert status == 200 and Digest.of(body) == digest
    assert [one.headers["Range"] for one in registry.seen if str(digest) in one.path] == [f"bytes={2 * SIZE}-"]


def test_a_hundred_clients_cost_one_request(serve: t.Callable[..., Service], registry: FakeRegistry) -> None:
    (digest,) = put_blobs(registry, 1, 8 * SIZE)
    with contextlib.closing(SlowLink(registry.host, 16 << 20)) as link:
        service = serve(f"http://{link.host}")
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            bodies = pool.map(lambda _number: service.get(digest)[1], range(100))
            assert {Digest.of(body) for body in bodies} == {digest}
    assert requests_of(registry) == 1


@pytest.fixture
def disk(tmp_path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """A store on a file system of eight megabytes."""
    path = tmp_path / "store"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={8 * SIZE}", "tmpfs", str(path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_makes_room_or_a_clean_error(
    disk: pathlib.Path, serve: t.Callable[..., Service], registry: FakeRegistry
) -> None:
    digests = put_blobs(registry, 24, SIZE)
    large = Digest.parse(registry.add_blob(REPOSITORY, noise("large", 9 * SIZE)))
    service = serve(registry.url)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for digest, (body, _tries) in zip(digests, pool.map(service.pull, digests), strict=True):
            assert Digest.of(body) == digest
    status, body = service.get(large)
    assert status == 503 and b"UNAVAILABLE" in body and b"disk is full" in body
    assert Digest.of(service.pull(digests[0])[0]) == digests[0]
    layout = Layout.open(str(disk))
    assert layout.verify() == []
    assert list(disk.rglob(f".{large.hex}*")) == []
    assert "Traceback" not in service.running.log


def test_a_clock_that_jumps_stops_nothing(
    serve: t.Callable[..., Service], registry: FakeRegistry, tmp_path: pathlib.Path
) -> None:
    """All that is on disk is years old, or of years to come."""
    digests = put_blobs(registry, 8, SIZE)
    service = serve(registry.url, cache_size=5 * SIZE)
    for jump in (-10, 10, -20, 20):
        for digest in digests:
            assert Digest.of(service.pull(digest)[0]) == digest
        then = time.time() + jump * 365 * 86400
        for path in [*tmp_path.joinpath("store").rglob("*")]:
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, (then, then))
    layout = Layout.open(str(tmp_path / "store"))
    assert layout.verify() == []
    end = time.monotonic() + PATIENCE
    while sum(layout.has(digest) for digest in digests) > 5:
        assert time.monotonic() < end, "the cache stays too large"
        service.pull(Digest.parse(registry.add_blob(REPOSITORY, os.urandom(100))))
