# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real clients that push into the running program."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import shutil
import signal
import subprocess
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.pushing import (
    CONFIG,
    NAME,
    basic,
    image,
    users,
)
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.running import RunningMirror
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise, sample

PAUSE = "registry.k8s.io/pause:3.10.1"
CLIENTS = 6
IMAGES = 8


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("program") / "mirror.pyz"
    path.write_bytes(build().data)
    return path


@pytest.fixture
def layout(tmp_path: pathlib.Path) -> Layout:
    return Layout.open(str(tmp_path / "store"), create=True)


@pytest.fixture
def start(program: pathlib.Path, layout: Layout, tmp_path: pathlib.Path) -> t.Iterator[t.Callable[[], RunningMirror]]:
    """Starts mirrors of the store, of two processes each."""
    running: list[RunningMirror] = []

    def begin() -> RunningMirror:
        file = str(users(tmp_path / "users.json"))
        running.append(RunningMirror(program, tmp_path, store=layout.path, workers=2, users_file=file))
        return running[-1]

    yield begin
    for one in running:
        one.close()
        assert "Traceback" not in one.log


class Client:
    """Pushes small images over one connection."""

    def __init__(self, port: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)

    def call(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        self._connection.request(method, path, body, {"Authorization": basic("ci", "secret")})
        response = self._connection.getresponse()
        return response.status, response.read()

    def push(self, repository: str, tag: str, layer: bytes) -> bytes:
        for data in (CONFIG, layer):
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            status, told = self.call("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", data)
            assert status == 201, told
        raw = image(layer)
        status, told = self.call("PUT", f"/v2/{repository}/manifests/{tag}", raw)
        assert status == 201, told
        return raw


def push_all(port: str, client: int) -> dict[str, bytes]:
    """The images of one client: some in a repository of its own, some beside those of the others."""
    connection = Client(port)
    pushed = {}
    for number in range(IMAGES):
        repository = "shared" if number % 2 else f"client{client}"
        tag = f"c{client}-{number}"
        pushed[f"{repository}/manifests/{tag}"] = connection.push(repository, tag, noise(tag, 3000))
    return pushed


def test_many_push_while_the_store_is_pruned(start: t.Callable[[], RunningMirror], layout: Layout) -> None:
    mirror, done = start(), threading.Event()

    def prune() -> int:
        rounds = 0
        while not done.is_set():
            Layout.open(layout.path).prune()
            rounds += 1
            done.wait(0.01)
        return rounds

    with concurrent.futures.ThreadPoolExecutor(CLIENTS + 1) as pool:
        pruning = pool.submit(prune)
        pushing = [pool.submit(push_all, mirror.port, client) for client in range(CLIENTS)]
        concurrent.futures.wait(pushing)
        done.set()
        assert pruning.result() > 0
    client = Client(mirror.port)
    for push in pushing:
        for path, raw in push.result().items():
            assert client.call("GET", f"/v2/{path}") == (200, raw)
    tags = json.loads(client.call("GET", "/v2/shared/tags/list")[1])["tags"]
    assert len(tags) == CLIENTS * IMAGES // 2
    assert layout.verify() == []


def push_until_killed(mirror: RunningMirror, prefix: str, enough: int) -> dict[str, bytes]:
    """What was pushed, with an answer, before the program was killed in the midst of it."""
    client, pushed = Client(mirror.port), dict[str, bytes]()
    killer = threading.Thread(target=kill, args=(mirror,))
    try:
        for number in range(1000):
            if number == enough:
                killer.start()
            tag = f"{prefix}-{number}"
            pushed[tag] = client.push("app", tag, noise(tag, 20_000))
    except (OSError, http.client.HTTPException):
        killer.join()
        return pushed
    raise AssertionError("the program was not killed")


def test_what_was_answered_stays_when_the_program_is_killed(
    start: t.Callable[[], RunningMirror], layout: Layout
) -> None:
    for round_ in range(5):
        pushed = push_until_killed(start(), f"r{round_}", 3 * round_ + 2)
        assert layout.verify() == []
        again = Client(start().port)
        for tag, raw in pushed.items():
            assert again.call("GET", f"/v2/app/manifests/{tag}") == (200, raw)
        tag = f"r{round_}-{len(pushed)}"
        again.push("app", tag, noise(tag, 20_000))
    layout.prune()
    assert layout.verify() == []


def kill(mirror: RunningMirror) -> None:
    """End the program and its processes at once."""
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(mirror.process.pid)], capture_output=True, text=True, check=True
    )
    mirror.process.kill()
    for pid in children.stdout.split():
        subprocess.run(["kill", f"-{signal.SIGKILL.value}", pid], check=False, capture_output=True)


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
@pytest.mark.parametrize("login", ["credentials", "file"])
def test_skopeo(
    program: pathlib.Path, layout: Layout, tmp_path: pathlib.Path, certificates: Certificates, login: str
) -> None:
    other = Layout.open(str(tmp_path / "other"), create=True)
    sample(other, "shop:1")
    wanted = other.resolve(Reference.parse(PAUSE)).digest
    trusted, file = tmp_path / "certificates", tmp_path / "auth.json"
    trusted.mkdir()
    shutil.copy(certificates.ca, trusted / "ca.crt")
    settings = {"store": layout.path, "users_file": str(users(tmp_path / "users.json"))}
    mirror = RunningMirror(program, tmp_path, certificates=certificates, workers=2, **settings)
    token = base64.b64encode(b"ci:secret").decode()
    file.write_text(json.dumps({"auths": {f"127.0.0.1:{mirror.port}": {"auth": token}}}))
    options = ["--dest-creds", "ci:secret"] if login == "credentials" else ["--dest-authfile", str(file)]

    def copy(*arguments: str) -> None:
        command = ["skopeo", "copy", "--all", "--preserve-digests", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + mirror.log

    try:
        target = f"docker://127.0.0.1:{mirror.port}/team/pause:1.0"
        copy("--dest-cert-dir", str(trusted), *options, f"oci:{other.path}:{PAUSE}", target)
        copy("--src-cert-dir", str(trusted), target, f"dir:{tmp_path / 'pulled'}")
    finally:
        assert mirror.close() == 0
    assert layout.resolve(Reference.parse(f"{NAME}/team/pause:1.0")).digest == wanted
    copy(f"oci:{layout.path}:{NAME}/team/pause:1.0", f"dir:{tmp_path / 'from-store'}")
    for directory in ("pulled", "from-store"):
        assert hashlib.sha256((tmp_path / directory / "manifest.json").read_bytes()).hexdigest() == wanted.hex
