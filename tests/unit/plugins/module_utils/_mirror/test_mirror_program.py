# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one file: how it is made, and that it serves real clients from a bare interpreter."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import typing as t
import zipfile
from importlib import metadata

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.server import tls_context
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import OLDEST_PYTHON, build, version_text
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.running import RunningMirror
from ansible_collections.sealer.cluster.tests.unit.sample_image import Sample, noise, sample

IMAGE = "registry.example.com/clusters/shop:1.0"


def oldest_python() -> t.Optional[str]:
    """An interpreter of the oldest version, where there is one that runs."""
    oldest = version_text(OLDEST_PYTHON)
    known = sorted(pathlib.Path.home().glob(f".pyenv/versions/{oldest}*/bin/python"))
    for candidate in [*map(str, known), shutil.which(f"python{oldest}")]:
        if candidate and subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


PYTHONS = {"this": sys.executable, "oldest": oldest_python()}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The file."""
    path = tmp_path_factory.mktemp("program") / "mirror.pyz"
    path.write_bytes(build().data)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> t.Tuple[Layout, Sample]:
    """A store with a sample image, its layers larger than what is sent at a time."""
    layout = Layout.open(str(tmp_path_factory.mktemp("store")), create=True)
    return layout, sample(layout, IMAGE, size=700_000)


@pytest.fixture(scope="module", params=PYTHONS)
def mirror(
    request: pytest.FixtureRequest,
    program: pathlib.Path,
    store: t.Tuple[Layout, Sample],
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> t.Iterator[RunningMirror]:
    """The service over TLS, under this Python and under the oldest."""
    python = PYTHONS[request.param]
    if python is None:
        pytest.skip(f"there is no Python {version_text(OLDEST_PYTHON)}")
    directory = tmp_path_factory.mktemp("mirror")
    running = RunningMirror(program, directory, python=python, certificates=certificates, store=store[0].path)
    yield running
    assert running.close() == 0, running.log
    assert "Traceback" not in running.log


@pytest.fixture
def connect(mirror: RunningMirror, certificates: Certificates) -> t.Iterator[http.client.HTTPSConnection]:
    """A client that trusts the authority alone."""
    context = ssl.create_default_context(cafile=str(certificates.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", int(mirror.port), context=context, timeout=60)
    yield connection
    connection.close()


def test_the_same_file_twice() -> None:
    first, second = build(), build()
    assert first == second
    assert first.sha256 == hashlib.sha256(first.data).hexdigest()
    assert set(first.packages) == {"gunicorn", "prometheus_client", "urllib3"}


def test_the_file_is_the_same_whatever_pip_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    before = build()
    installed = tmp_path / "gunicorn-27.0.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Name: gunicorn\nVersion: 27.0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert metadata.version("gunicorn") == "27.0.0"
    assert build() == before


def test_content(program: pathlib.Path) -> None:
    with zipfile.ZipFile(program) as archive:
        assert archive.testzip() is None
        entries = archive.infolist()
    names = [entry.filename for entry in entries]
    assert names == sorted(set(names))
    assert {(entry.date_time, entry.compress_type) for entry in entries} == {((1980, 1, 1, 0, 0, 0), 0)}
    assert any(name.endswith("dist-info/LICENSE") for name in names)
    ours = {name for name in names if name.startswith("ansible_collections/")}
    assert "ansible_collections/sealer/cluster/plugins/module_utils/_mirror/serving/server.py" in ours
    assert not any("_build/" in name or "_cluster/" in name for name in ours)


def test_health(connect: http.client.HTTPSConnection) -> None:
    connect.request("GET", "/healthz")
    answer = connect.getresponse()
    assert (answer.status, json.load(answer)["status"]) == (200, "ok")


def test_one_connection_for_many_requests(connect: http.client.HTTPSConnection, store: t.Tuple[Layout, Sample]) -> None:
    layer = store[1].layers["linux/amd64"]
    whole = store[0].read_blob(layer)
    path = f"/v2/clusters/shop/blobs/{layer}?ns=registry.example.com"
    for headers, status, body in (
        ({}, 200, whole),
        ({"Range": "bytes=300000-"}, 206, whole[300000:]),
        ({"Range": f"bytes={len(whole)}-"}, 416, None),
        ({"If-None-Match": f'"{layer}"'}, 304, b""),
        ({}, 200, whole),
    ):
        connect.request("GET", path, headers=headers)
        socket_before = connect.sock
        answer = connect.getresponse()
        content = answer.read()
        assert answer.status == status
        assert body is None or content == body
        connect.request("HEAD", path, headers=headers)
        head = connect.getresponse()
        assert head.read() == b""
        if status == 200:
            assert head.headers["Content-Length"] == str(len(whole))
        assert connect.sock is socket_before is not None


def test_content_that_comes_while_it_runs(
    connect: http.client.HTTPSConnection, store: t.Tuple[Layout, Sample], request: pytest.FixtureRequest
) -> None:
    name = f"quay.io/{request.node.callspec.id}"
    connect.request("GET", f"/v2/{name}/manifests/1")
    answer = connect.getresponse()
    assert (answer.status, b"MANIFEST_UNKNOWN" in answer.read()) == (404, True)
    store[0].tag(Reference.parse(f"{name}:1"), store[1].descriptor)
    connect.request("GET", f"/v2/{name}/manifests/1")
    assert connect.getresponse().headers["Docker-Content-Digest"] == str(store[1].descriptor.digest)


def test_many_clients(mirror: RunningMirror, certificates: Certificates, store: t.Tuple[Layout, Sample]) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca))
    layers = list(store[1].layers.values())

    def fetch(number: int) -> bool:
        layer = layers[number % len(layers)]
        connection = http.client.HTTPSConnection("127.0.0.1", int(mirror.port), context=context, timeout=60)
        try:
            connection.request("GET", f"/v2/x/blobs/{layer}")
            return hashlib.sha256(connection.getresponse().read()).hexdigest() == layer.hex
        finally:
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert all(pool.map(fetch, range(64)))


def test_tls_settings(certificates: Certificates) -> None:
    config = Config("/s", ["127.0.0.1:0"], str(certificates.server), str(certificates.server_key))
    assert tls_context(config).minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("preferred", ["AES128-GCM-SHA256", "AES256-GCM-SHA384"])
def test_clients_choose_the_cipher(mirror: RunningMirror, certificates: Certificates, preferred: str) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    names = [f"ECDHE-{key}-{preferred}" for key in ("ECDSA", "RSA")]
    context.set_ciphers(":".join([*names, "ECDHE+AESGCM"]))
    plain = socket.create_connection(("127.0.0.1", int(mirror.port)), 60)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        chosen = client.cipher()
    assert chosen is not None and chosen[0] in names


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(mirror: RunningMirror) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", int(mirror.port)), timeout=60) as plain, pytest.raises(OSError):
        context.wrap_socket(plain)


@pytest.mark.parametrize(
    "garbage",
    [b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 99 + b"\r\n"],
)
def test_garbage_takes_nothing_down(
    connect: http.client.HTTPSConnection, mirror: RunningMirror, certificates: Certificates, garbage: bytes
) -> None:
    context = ssl.create_default_context(cafile=str(certificates.ca))
    for wrap in (False, True):
        with socket.create_connection(("127.0.0.1", int(mirror.port)), timeout=60) as plain:
            stream = context.wrap_socket(plain, server_hostname="127.0.0.1") if wrap else plain
            stream.sendall(garbage)
            stream.close()
    test_health(connect)


def test_log_tells_each_request_and_no_secret(
    connect: http.client.HTTPSConnection, mirror: RunningMirror, store: t.Tuple[Layout, Sample]
) -> None:
    path = "/v2/pause/manifests/3.10.1?ns=registry.k8s.io&token=geheim"
    connect.request("GET", path, headers={"Authorization": "Basic Z2VoZWlt"})
    size = len(connect.getresponse().read())
    connect.request("POST", "/v2/x%0aERROR/blobs/uploads/", body=b"x" * 10)
    assert connect.getresponse().read()
    test_health(connect)
    wanted = f"127.0.0.1 GET /v2/pause/manifests/3.10.1 registry.k8s.io/pause:3.10.1 200 {size}B"
    assert mirror.wait_for(re.compile(re.escape(wanted)))
    assert mirror.wait_for(re.compile("POST /v2/x%0aERROR/blobs/uploads/ - 405"))
    assert not any(secret in mirror.log for secret in ("geheim", "Z2VoZWlt", "token"))


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo(
    mirror: RunningMirror, certificates: Certificates, tmp_path: pathlib.Path, store: t.Tuple[Layout, Sample]
) -> None:
    trusted = tmp_path / "certificates"
    trusted.mkdir()
    shutil.copy(certificates.ca, trusted / "ca.crt")
    for name in ("registry.k8s.io/pause:3.10.1", "docker.io/library/web:1.0", IMAGE):
        target = tmp_path / name.replace("/", "-")
        source = f"docker://127.0.0.1:{mirror.port}/{name}"
        command = ["skopeo", "copy", "--all", "--preserve-digests", "--src-cert-dir", str(trusted), source]
        subprocess.run([*command, f"dir:{target}"], check=True, capture_output=True, text=True)
        copied = hashlib.sha256((target / "manifest.json").read_bytes()).hexdigest()
        assert copied == store[0].resolve(Reference.parse(name)).digest.hex


def test_wrong_configuration_is_told(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    def run(text: str) -> str:
        path = tmp_path / "mirror.json"
        path.write_text(text)
        command = [sys.executable, "-I", "-S", str(program), "--config", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"sealer-mirror: {path}: ") or "certificate or key" in done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    assert "not valid JSON" in run("{")
    assert "'store' is missing" in run("{}")
    key = tmp_path / "none.key"
    told = run(json.dumps({"store": "/s", "listen": ["127.0.0.1:0"], "certificate": str(key), "key": str(key)}))
    assert "certificate or key cannot be used" in told


def test_secrets_that_cannot_be_used_are_told_beforehand(program: pathlib.Path, tmp_path: pathlib.Path) -> None:
    users = tmp_path / "users.json"
    config = tmp_path / "mirror.json"
    config.write_text(json.dumps({"store": "/s", "listen": ["127.0.0.1:0"], "users_file": str(users)}))
    command = [sys.executable, "-I", "-S", str(program), "--config", str(config), "--check"]
    for text, code in (("{}\\n", 1), ('{"x": {"hash": "scrypt$1"}}', 1), ("{}", 0)):
        users.write_text(text)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (done.returncode, str(users) in done.stderr) == (code, code == 1), done.stderr
        assert "Traceback" not in done.stderr


def test_graceful_end(
    program: pathlib.Path, tmp_path: pathlib.Path, store: t.Tuple[Layout, Sample], certificates: Certificates
) -> None:
    running = RunningMirror(program, tmp_path, certificates=certificates, store=store[0].path)
    context = ssl.create_default_context(cafile=str(certificates.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", int(running.port), context=context, timeout=60)
    layer = store[0].put_bytes(noise("more than sockets hold", 32 * 1024 * 1024))
    connection.request("GET", f"/v2/x/blobs/{layer}")
    answer = connection.getresponse()
    first = answer.read(1000)
    running.process.terminate()
    assert running.wait_for(re.compile("Handling signal: term"))
    assert hashlib.sha256(first + answer.read()).hexdigest() == layer.hex
    connection.close()
    assert running.process.wait(60) == 0
    running.close()
