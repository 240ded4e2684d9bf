# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of connections that cannot be made."""

from __future__ import annotations

import errno
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci import failure
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Call, Transport

UNTRUSTED = ssl.SSLCertVerificationError("certificate verify failed")
UNTRUSTED.verify_message = "self-signed certificate"
PROXY = "http://proxy.example:3128"


def failure_of(monkeypatch: pytest.MonkeyPatch, error: Exception, proxy: str = "") -> RegistryError:
    """What a request comes to when dialling fails so."""

    def dial(*_how: t.Any, **_named: t.Any) -> t.NoReturn:
        raise error

    monkeypatch.setattr("urllib3.util.connection.create_connection", dial)
    with pytest.raises(RegistryError) as caught:
        Transport(proxy=proxy).send(Call("registry.example", "GET", "/v2/", what="cannot ask"))
    return caught.value


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "why", "temporary"),
    [
        (system_error(errno.ENETUNREACH), "Network is unreachable", True),
        (system_error(errno.EHOSTUNREACH), "No route to host", True),
        (system_error(errno.ECONNREFUSED), "the connection was refused", True),
        (system_error(errno.ETIMEDOUT), "no answer in time", True),
        (socket.timeout("timed out"), "no answer in time", True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "the host name is not known here", False),
        (
            socket.gaierror(socket.EAI_AGAIN, "Temporary failure"),
            "the name service does not answer (Temporary failure)",
            True,
        ),
        (
            socket.gaierror(socket.EAI_FAIL, "Non-recoverable"),
            "the name service does not answer (Non-recoverable)",
            True,
        ),
        (ConnectionResetError(), "the connection broke (ConnectionResetError)", True),
        (OSError(), "the connection broke (OSError)", True),
        (UNTRUSTED, "its certificate is not trusted (self-signed certificate)", False),
    ],
)
@pytest.mark.parametrize("proxy", ["", PROXY])
def test_what_is_told(monkeypatch: pytest.MonkeyPatch, error: Exception, why: str, temporary: bool, proxy: str) -> None:
    told = failure_of(monkeypatch, error, proxy)
    by = "the proxy cannot be used: " if proxy else ""
    assert (told.why, told.temporary) == (f"GET https://registry.example/v2/: {by}{why}", temporary)


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    told = failure_of(monkeypatch, OSError("Tunnel connection failed: 403 Forbidden"), PROXY)
    assert told.why.endswith(": the proxy cannot be used: Tunnel connection failed: 403 Forbidden")
    assert "proxy" in told.fix


def test_an_older_urllib3_counts_as_none(tmp_path: pathlib.Path) -> None:
    (tmp_path / "urllib3.py").write_text('__version__ = "1.26.12"\n')
    name = failure.__name__
    code = f"from {name} import HAS_URLLIB3, URLLIB3_IMPORT_ERROR as told; print(HAS_URLLIB3, told)"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command, environment = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False ") and "urllib3 2 is needed, and 1.26.12 is installed" in done.stdout
