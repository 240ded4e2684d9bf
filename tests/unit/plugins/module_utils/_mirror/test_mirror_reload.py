# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running program: reload with a new certificate, configuration and program while clients pull."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import threading
import time
import typing as t
import zipfile

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.running import RunningMirror
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise

LIMIT = 60
SIZE = 1_000_000


class Puller:
    """A client that pulls a blob again and again, now on a new connection, now on the one it has; counts failures."""

    def __init__(self, port: int, trusted: ssl.SSLContext, path: str, digest: str, kept: bool) -> None:
        self._port, self._trusted, self._path, self._hex, self._kept = port, trusted, path, digest, kept
        self.pulled = threading.Semaphore(0)
        self.problems: t.List[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connection: t.Optional[http.client.HTTPSConnection] = None
        while not self._over.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPSConnection(
                        "127.0.0.1", self._port, context=self._trusted, timeout=LIMIT
                    )
                connection.request("GET", self._path)
                answer = connection.getresponse()
                if hashlib.sha256(answer.read()).hexdigest() != self._hex:
                    self.problems.append(f"wrong content, status {answer.status}")
                self.pulled.release()
                if answer.will_close or not self._kept:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                self.problems.append(repr(error))
                return

    def more(self, count: int) -> None:
        """Wait until it has pulled so many times more."""
        for _number in range(count):
            assert self.pulled.acquire(timeout=LIMIT), self.problems

    def end(self) -> None:
        self._over.set()
        self._thread.join(LIMIT)
        assert not self.problems


class Service:
    """The program with a configuration of its own, and clients of it."""

    def __init__(self, directory: pathlib.Path, certificates: Certificates) -> None:
        self.directory = directory
        self.program = directory / "mirror.pyz"
        self.program.write_bytes(build().data)
        layout = Layout.open(str(directory / "store"), create=True)
        self.digest = layout.put_bytes(noise("reload", SIZE))
        self.own = Certificates(**{**vars(certificates), "server": directory / "crt", "server_key": directory / "key"})
        shutil.copy(certificates.server, self.own.server)
        shutil.copy(certificates.server_key, self.own.server_key)
        self.trusted = ssl.create_default_context(cafile=str(certificates.ca))
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(str(directory / "notify"))
        self.told.settimeout(LIMIT)
        os.environ["NOTIFY_SOCKET"] = str(directory / "notify")
        try:
            self.running = RunningMirror(
                self.program, directory, certificates=self.own, store=layout.path, workers=2, access_log=False
            )
        finally:
            del os.environ["NOTIFY_SOCKET"]
        assert self.running.wait_for(re.compile("Booting.*Booting", re.DOTALL))

    @property
    def port(self) -> int:
        return int(self.running.port)

    def pullers(self) -> t.List[Puller]:
        path = f"/v2/x/blobs/{self.digest}"
        return [Puller(self.port, self.trusted, path, self.digest.hex, kept) for kept in (True, True, False)]

    def wait_told(self, text: str) -> None:
        """Until systemd would have heard this."""
        while text not in self.told.recv(4096).decode():
            pass

    def reload(self) -> None:
        self.running.process.send_signal(signal.SIGHUP)
        self.wait_told("RELOADING=1")
        self.wait_told("READY=1")

    def children(self) -> t.Set[int]:
        pid = self.running.process.pid
        return {int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def serial(self) -> str:
        """Which certificate it shows."""
        plain = socket.create_connection(("127.0.0.1", self.port), LIMIT)
        with self.trusted.wrap_socket(plain, server_hostname="127.0.0.1") as stream:
            return str((stream.getpeercert() or {})["serialNumber"])


@pytest.fixture
def service(tmp_path: pathlib.Path, certificates: Certificates) -> t.Iterator[Service]:
    made = Service(tmp_path, certificates)
    made.wait_told("READY=1")
    yield made
    assert made.running.close() == 0, made.running.log
    made.wait_told("STOPPING=1")
    made.told.close()
    assert "Traceback" not in made.running.log


TELL = "import sys\nsys.stderr.write('the new program\\n')\n"
# the same a second time, when it has been taken in place of the old one
ASK_AGAIN = """
import os, pathlib, signal, sys
mark = pathlib.Path({mark!r})
if "SEALER_MIRROR_FORMER_WORKERS" in os.environ and not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGHUP)
"""

# a worker begins when it may
HELD = """
import pathlib, time
from gunicorn.workers.base import Worker
begin = Worker.init_process
def held(self):
    while not pathlib.Path({mark!r}).exists():
        time.sleep(0.01)
    begin(self)
Worker.init_process = held
"""


def newer(program: pathlib.Path, first: str = TELL) -> bytes:
    """The same program, with something that it does first: other bytes, and every module at another place."""
    with zipfile.ZipFile(program) as old:
        content = {name: old.read(name) for name in old.namelist()}
    content["__main__.py"] = first.encode() + content["__main__.py"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(content):
            archive.writestr(name, content[name])
    return buffer.getvalue()


def test_a_new_certificate_and_a_new_program_while_clients_pull(
    service: Service, tmp_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pid, first, before = service.running.process.pid, service.serial(), service.children()
    pullers = service.pullers()
    for puller in pullers:
        puller.more(2)
    made = Certificates.make(tmp_path_factory.mktemp("certificates"))
    shutil.copy(made.server, service.own.server)
    shutil.copy(made.server_key, service.own.server_key)
    service.trusted.load_verify_locations(str(made.ca))
    replacement = tmp_path / "new.pyz"
    replacement.write_bytes(newer(service.program))
    replacement.replace(service.program)
    service.reload()
    end = time.monotonic() + LIMIT
    while before & service.children():
        assert time.monotonic() < end, f"workers of before live on: {service.running.log}"
        for puller in pullers:
            puller.more(1)
    for puller in pullers:
        puller.more(3)
        puller.end()
    assert service.serial() != first
    assert service.running.wait_for(re.compile("the new program")) is not None
    assert service.running.process.pid == pid and service.running.process.poll() is None
    service.reload()


def test_what_is_broken_is_not_taken(service: Service, tmp_path: pathlib.Path) -> None:
    pullers = service.pullers()
    before = service.children()
    config = tmp_path / "mirror.json"
    good = config.read_bytes()
    for path, broken in ((config, b"{"), (service.own.server, b"no certificate"), (service.program, b"no program")):
        saved = path.read_bytes()
        path.write_bytes(broken)
        service.reload()
        path.write_bytes(saved)
    assert service.children() == before
    assert service.running.wait_for(re.compile("(?s)(not reloaded.*){3}")) is not None
    assert service.running.log.count("not reloaded") == 3
    for puller in pullers:
        puller.more(1)
        puller.end()
    config.write_text(json.dumps({**json.loads(good), "workers": 1}))
    service.reload()
    assert service.running.wait_for(re.compile("Listening at.*Listening at", re.DOTALL))


def test_a_pull_that_lasts_survives_a_reload(service: Service) -> None:
    """The old worker finishes what it is at, on the connection that it has."""
    layer = Layout.open(str(service.directory / "store")).put_bytes(noise("more than sockets hold", 32 * 1024 * 1024))
    connection = http.client.HTTPSConnection("127.0.0.1", service.port, context=service.trusted, timeout=LIMIT)
    connection.request("GET", f"/v2/x/blobs/{layer}")
    answer = connection.getresponse()
    begun = answer.read(100_000)
    service.reload()
    assert service.serial()
    assert hashlib.sha256(begun + answer.read()).hexdigest() == layer.hex
    connection.close()


def test_a_worker_that_is_told_to_end_before_it_takes_signals_ends(service: Service, tmp_path: pathlib.Path) -> None:
    mark, replacement, former = tmp_path / "go on", tmp_path / "new.pyz", service.children()
    replacement.write_bytes(newer(service.program, HELD.format(mark=str(mark))))
    replacement.replace(service.program)
    service.reload()
    assert service.running.wait_for(re.compile("Reloading.*Booting.*Booting", re.DOTALL))
    pid = min(service.children() - former)
    os.kill(pid, signal.SIGTERM)
    mark.touch()
    assert service.running.wait_for(re.compile(rf"Worker exiting \(pid: {pid}\)"))


def test_a_reload_while_it_reloads(service: Service, tmp_path: pathlib.Path) -> None:
    """A signal that comes before the new program takes signals would end it."""
    pid = service.running.process.pid
    replacement = tmp_path / "new.pyz"
    replacement.write_bytes(newer(service.program, ASK_AGAIN.format(mark=str(tmp_path / "asked"))))
    replacement.replace(service.program)
    service.reload()
    assert service.running.wait_for(re.compile("Reloading.*Reloading.*Booting.*Booting", re.DOTALL))
    assert service.running.process.pid == pid and service.running.process.poll() is None
    assert service.serial()
