# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit tests' guard: who speaks to anything but the loopback interface fails, and says to what."""

from __future__ import annotations

import pathlib
import socket

import pytest

# Documentation addresses (RFC 5737, RFC 3849): where the guard is broken, nobody answers.
ELSEWHERE, ELSEWHERE_V6 = "192.0.2.1", "2001:db8::1"


@pytest.mark.parametrize("reach", ["connect", "connect_ex"])
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, ELSEWHERE), (socket.AF_INET6, ELSEWHERE_V6)])
def test_no_connection_leaves_the_machine(reach: str, family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as client, pytest.raises(pytest.fail.Exception, match=f"speaks to {host}, which is not"):
        client.settimeout(1)
        getattr(client, reach)((host, 9))


def test_no_datagram_leaves_the_machine() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sender, pytest.raises(pytest.fail.Exception, match=ELSEWHERE):
        sender.sendto(b"", (ELSEWHERE, 9))


def test_no_name_is_looked_up_elsewhere() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"speaks to registry\.example"):
        socket.gethostbyname("registry.example")


def test_no_connection_looks_up_a_name_elsewhere() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"speaks to registry\.example"):
        socket.create_connection(("registry.example", 9), 1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_reached(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1])).close()


def test_a_socket_in_a_directory_is_reached(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
