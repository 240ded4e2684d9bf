# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for all unit tests."""

from __future__ import annotations

import ipaddress
import pathlib
import socket
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry, Loopback, TokenServer
from ansible_collections.sealer.cluster.tests.unit.real_registry import PROGRAM, RealRegistry
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def _address(host: t.Optional[str]) -> t.Union[None, ipaddress.IPv4Address, ipaddress.IPv6Address]:
    try:
        return ipaddress.ip_address(host or "")
    except ValueError:
        return None


def _require_loopback(host: t.Optional[str]) -> None:
    address = _address(host)
    if not (address.is_loopback if address else host in (None, "", "localhost")):
        # no OSError: the code under test takes that for an ordinary failure
        pytest.fail(f"a unit test speaks to {host}, which is not the loopback interface")


@pytest.fixture(autouse=True)
def _loopback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own process does not leave the machine, not even to look up a name; its children are not seen."""
    look_up = socket.getaddrinfo

    def guarded_look_up(host: t.Optional[str], *how: t.Any, **named: t.Any) -> t.Any:
        if not _address(host):
            _require_loopback(host)
        return look_up(host, *how, **named)

    def guarded(reach: t.Callable[..., t.Any]) -> t.Callable[..., t.Any]:
        def guarded_reach(self: socket.socket, *data_and_address: t.Any) -> t.Any:
            if self.family != socket.AF_UNIX:
                _require_loopback(data_and_address[-1][0])
            return reach(self, *data_and_address)

        return guarded_reach

    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    monkeypatch.setattr(socket, "gethostbyname", lambda host: guarded_look_up(host, None)[0][4][0])
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority with a server's and a client's certificate."""
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def servers() -> t.Iterator[t.List[Loopback]]:
    """Servers to be ended after the test."""
    started: t.List[Loopback] = []
    yield started
    for server in started:
        server.close()


@pytest.fixture
def fake_registry(servers: t.List[Loopback]) -> t.Callable[..., FakeRegistry]:
    """Makes registries that do as told, see FakeRegistry."""

    def make(**options: t.Any) -> FakeRegistry:
        servers.append(FakeRegistry(**options))
        return t.cast(FakeRegistry, servers[-1])

    return make


@pytest.fixture
def token_server(servers: t.List[Loopback]) -> t.Callable[..., TokenServer]:
    """Makes token servers, see TokenServer."""

    def make(**options: t.Any) -> TokenServer:
        servers.append(TokenServer(**options))
        return t.cast(TokenServer, servers[-1])

    return make


@pytest.fixture
def real_registry(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[t.Callable[..., RealRegistry]]:
    """Starts docker-registry, see RealRegistry."""
    if PROGRAM is None:
        pytest.skip("docker-registry is not installed")
    started: t.List[RealRegistry] = []

    def start(**options: t.Any) -> RealRegistry:
        directory: pathlib.Path = tmp_path_factory.mktemp("registry")
        started.append(RealRegistry(directory, **options))
        return started[-1]

    yield start
    for registry in started:
        registry.close()
