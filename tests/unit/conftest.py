# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures for all unit tests."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry, Loopback, TokenServer
from ansible_collections.sealer.cluster.tests.unit.real_registry import PROGRAM, RealRegistry
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


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
