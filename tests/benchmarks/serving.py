# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers of one and the same content, to be measured: ours, docker-registry, distribution v3, nginx.

Each is a context manager that serves on a free port of the loopback, over TLS with the same certificate, the same
files: their blobs are hard links of the blobs in our store.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates

HERE = pathlib.Path(__file__).parent
CACHE = pathlib.Path(os.environ.get("SEALER_CACHE", pathlib.Path.home() / ".cache/sealer-cluster"))
REPOSITORY = "bench/content"
TAG = "1"


@dataclass
class Content:
    """What all of them serve: a manifest with a tag, and blobs."""

    layout: Layout
    manifest: Digest
    media_type: str
    blobs: t.List[Digest]

    def file(self, digest: Digest) -> pathlib.Path:
        """The bytes of this digest."""
        return pathlib.Path(self.layout.blob_path(digest))


@dataclass
class Place:
    """Where servers may write, and what certificate they have."""

    directory: pathlib.Path
    certificates: Certificates


@dataclass
class Running:
    """A server that answers."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def url(self, kind: str, what: object) -> str:
        """The address of a manifest or a blob."""
        return f"https://127.0.0.1:{self.port}/v2/{REPOSITORY}/{kind}/{what}"

    @contextlib.contextmanager
    def watched(self) -> t.Iterator[t.List[int]]:
        """Memory of all its processes in bytes (proportional set size), several times a second."""
        samples: t.List[int] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.25):
                samples.append(memory(self.process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield samples
        finally:
            over.set()
            watcher.join()


def memory(root: int) -> int:
    """Proportional set size of a process and all below it."""
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):
            children = [pathlib.Path(task, "children") for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
            waiting += [int(child) for path in children for child in path.read_text().split()]
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def link(source: pathlib.Path, target: pathlib.Path) -> None:
    """The same file under another name, or where that cannot be, a copy."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)


@contextlib.contextmanager
def started(name: str, command: t.List[str], port: int, place: Place, **environment: str) -> t.Iterator[Running]:
    """A server's process, from its first answer on; ended with the block."""
    log = place.directory / f"{name.replace(' ', '-')}.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env={**os.environ, **environment})
    try:
        context = ssl.create_default_context(cafile=str(place.certificates.ca))
        for _attempt in range(200):
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request("GET", "/v2/")
                connection.getresponse().read()
                break
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended: {log.read_text()}")
            time.sleep(0.05)
        else:
            raise RuntimeError(f"{name} does not answer: {log.read_text()}")
        yield Running(name, port, process)
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def ours(content: Content, place: Place, name: str = "ours", **settings: t.Any) -> t.Iterator[Running]:
    """The mirror, as its one file; settings are of its configuration."""
    program = place.directory / "mirror.pyz"
    if not program.exists():
        program.write_bytes(build().data)
    port = free_port()
    config = {
        "store": content.layout.path,
        "listen": [f"127.0.0.1:{port}"],
        "certificate": str(place.certificates.server),
        "key": str(place.certificates.server_key),
        **settings,
    }
    path = place.directory / f"{name}.json"
    path.write_text(json.dumps(config))
    command = [sys.executable, "-I", "-S", str(program), "--config", str(path)]
    with started(name, command, port, place) as running:
        yield running


def distribution_storage(content: Content, place: Place) -> pathlib.Path:
    """The content as CNCF distribution keeps it."""
    root = place.directory / "distribution"
    base = root / "docker/registry/v2"
    repository = base / "repositories" / REPOSITORY
    for digest in [*content.blobs, content.manifest]:
        link(content.file(digest), base / "blobs" / digest.algorithm / digest.hex[:2] / digest.hex / "data")
    links = [repository / "_layers" / digest.algorithm / digest.hex / "link" for digest in content.blobs]
    places = dict(zip(links, content.blobs, strict=True))
    manifests = repository / "_manifests"
    tag = manifests / "tags" / TAG
    below = pathlib.Path(content.manifest.algorithm, content.manifest.hex, "link")
    for path in (manifests / "revisions" / below, tag / "index" / below, tag / "current/link"):
        places[path] = content.manifest
    for path, digest in places.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(digest))
    return root


@contextlib.contextmanager
def distribution(content: Content, place: Place, name: str, command: t.List[str]) -> t.Iterator[Running]:
    """CNCF distribution, of either version, with its defaults."""
    port = free_port()
    config = {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {
            "filesystem": {"rootdirectory": str(distribution_storage(content, place))},
            "cache": {"blobdescriptor": "inmemory"},
        },
        "http": {
            "addr": f"127.0.0.1:{port}",
            "secret": "benchmark",
            "tls": {"certificate": str(place.certificates.server), "key": str(place.certificates.server_key)},
        },
    }
    path = place.directory / f"{name.replace(' ', '-')}.json"
    path.write_text(json.dumps(config))
    with started(name, [*command, "serve", str(path)], port, place, OTEL_TRACES_EXPORTER="none") as running:
        yield running


def debian_registry(content: Content, place: Place) -> t.ContextManager[Running]:
    """Debian's docker-registry."""
    return distribution(content, place, "docker-registry 2.8.2", ["docker-registry"])


def registry_v3(content: Content, place: Place) -> t.ContextManager[Running]:
    """CNCF distribution v3, built from its Go module."""
    program = CACHE / "bin/distribution-v3"
    go("distribution", "github.com/distribution/distribution/v3/cmd/registry", program)
    return distribution(content, place, "distribution v3", [str(program)])


@contextlib.contextmanager
def nginx(content: Content, place: Place) -> t.Iterator[Running]:
    """nginx over the same files, as many workers as processors."""
    if shutil.which("nginx") is None:
        raise RuntimeError("nginx is missing: apt-get install --no-install-recommends nginx-light")
    port = free_port()
    root = place.directory / "nginx"
    base = root / "html/v2" / REPOSITORY
    for digest in content.blobs:
        link(content.file(digest), base / "blobs" / str(digest))
    for name in (TAG, str(content.manifest)):
        link(content.file(content.manifest), base / "manifests" / name)
    (root / "html/v2/index.html").write_text("{}")
    root.joinpath("nginx.conf").write_text(f"""
daemon off;
pid {root}/nginx.pid;
error_log {root}/error.log;
user {os.environ.get("USER", "root")};
worker_processes auto;
events {{ worker_connections 1024; }}
http {{
    access_log {root}/access.log;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {place.certificates.server};
        ssl_certificate_key {place.certificates.server_key};
        ssl_protocols TLSv1.2 TLSv1.3;
        root {root}/html;
    }}
}}
""")
    with started(
        "nginx", ["nginx", "-e", str(root / "error.log"), "-c", str(root / "nginx.conf")], port, place
    ) as running:
        yield running


def go(module: str, package: str, program: pathlib.Path) -> None:
    """Build a Go program of this directory."""
    command = ["go", "-C", str(HERE / module), "build", "-trimpath", "-o", str(program), package]
    subprocess.run(command, check=True)


def load_program() -> pathlib.Path:
    """The client that measures."""
    program = CACHE / "bin/load"
    go("load", ".", program)
    return program


@dataclass(frozen=True)
class Load:
    """What clients of one server saw."""

    requests: int
    size: int
    seconds: float
    first: t.List[float]
    last: t.List[float]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def throughput(self) -> float:
        """MB a second."""
        return self.size / self.seconds / 1e6


def load(program: pathlib.Path, place: Place, url: str, clients: int, *more: str) -> Load:
    """Ask for this with so many clients; more are further options of the program."""
    command = [str(program), "-ca", str(place.certificates.ca), "-url", url, "-clients", str(clients), *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    if told["failed"]:
        raise RuntimeError(f"{url}: {told['failed']} requests failed: {told['problem']}")
    return Load(told["requests"], told["bytes"], told["seconds"], told["first"] or [], told["last"] or [])
