# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The running program under a crowd: thousands of idle clients, hundreds that send or take next to nothing."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import pathlib
import resource
import socket
import ssl
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.running import RunningMirror
from ansible_collections.sealer.cluster.tests.unit.sample_image import noise

IDLE = 10_000
SLOW = 300
ASK = b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT = 60


@pytest.fixture
def descriptors() -> t.Iterator[int]:
    """How many files this process may open, raised as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def threads(running: RunningMirror) -> int:
    """How many the workers have."""
    root = running.process.pid
    workers = pathlib.Path(f"/proc/{root}/task/{root}/children").read_text().split()
    return sum(len(list(pathlib.Path(f"/proc/{worker}/task").iterdir())) for worker in workers)


def test_a_crowd_stops_nobody(tmp_path: pathlib.Path, certificates: Certificates, descriptors: int) -> None:
    if descriptors < IDLE + 3 * SLOW:
        pytest.skip(f"this process may open {descriptors} files only")
    program = tmp_path / "mirror.pyz"
    program.write_bytes(build().data)
    layout = Layout.open(str(tmp_path / "store"), create=True)
    layer = layout.put_bytes(noise("more than sockets hold", 16 * 1024 * 1024))
    get = f"GET /v2/x/blobs/{layer} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    running = RunningMirror(
        program, tmp_path, certificates=certificates, store=layout.path, workers=2, threads=16, access_log=False
    )
    trusted = ssl.create_default_context(cafile=str(certificates.ca))
    address = ("127.0.0.1", int(running.port))

    def secure() -> socket.socket:
        return trusted.wrap_socket(socket.create_connection(address, LIMIT), server_hostname="127.0.0.1")

    with contextlib.ExitStack() as crowd:
        for number in range(IDLE):
            if number % 20:
                crowd.enter_context(socket.create_connection(address, LIMIT))
            else:
                client = crowd.enter_context(secure())
                client.sendall(ASK)
                assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
        for _number in range(SLOW):
            crowd.enter_context(secure()).sendall(get)
            crowd.enter_context(secure()).sendall(ASK[:20])
        assert threads(running) <= 2 * (16 + 1)
        connection = http.client.HTTPSConnection(*address, context=trusted, timeout=LIMIT)
        for _turn in range(5):
            connection.request("GET", f"/v2/x/blobs/{layer}")
            assert hashlib.sha256(connection.getresponse().read()).hexdigest() == layer.hex
        connection.close()
    assert running.close() == 0
    assert "Traceback" not in running.log
