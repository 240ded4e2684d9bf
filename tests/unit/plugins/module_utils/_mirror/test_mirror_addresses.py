# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses are connected to."""

from __future__ import annotations

import ipaddress
import socket
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.addresses import (
    AddressGuard,
    ForbiddenAddress,
    host_matches,
    is_public,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Call, RegistrySettings, Transport
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("address", ["1.1.1.1", "9.255.255.255", "11.0.0.0", "172.32.0.1", "223.255.255.255"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)
    assert is_public(f"::ffff:{address}")
    assert is_public(f"64:ff9b::{address}")


@pytest.mark.parametrize("address", ["2606:4700::1111", "2a00:1450:4001:80b::200e", "2620:fe::fe"])
def test_public_addresses_of_version_6(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)
    assert not is_public(f"::ffff:{address}")
    assert not is_public(f"64:ff9b::{address}")


@pytest.mark.parametrize(
    "address",
    ["::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "no"],
)
def test_addresses_of_version_6_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.ip_addresses())
def test_nothing_that_python_calls_private_is_public(address: t.Any) -> None:
    if is_public(str(address)):
        inner = getattr(address, "ipv4_mapped", None) or address
        translated = inner in ipaddress.ip_network("64:ff9b::/96") if inner.version == 6 else False
        assert translated or not (inner.is_private or inner.is_loopback or inner.is_link_local or inner.is_multicast)


@pytest.mark.parametrize(
    ("host", "port", "pattern", "matches"),
    [
        ("quay.io", 443, "quay.io", True),
        ("QUAY.io.", 443, "quay.IO", True),
        ("a.example.com", 443, "*.example.com", True),
        ("example.com", 443, "*.example.com", False),
        ("aexample.com", 443, "*.example.com", False),
        ("quay.io", 8443, "quay.io:8443", True),
        ("quay.io", 443, "quay.io:8443", False),
        ("[2001:db8::1]", 5000, "[2001:db8::1]:5000", True),
    ],
)
def test_patterns_of_hosts(host: str, port: int, pattern: str, matches: bool) -> None:
    assert host_matches(host, port, [pattern]) is matches


def test_the_guard() -> None:
    guard = AddressGuard([("registry.internal", 5000)], ["*.storage.internal"])
    guard.check("quay.io", 443, "1.1.1.1")
    guard.check("Registry.Internal", 5000, "10.0.0.1")
    guard.check("a.storage.internal", 9000, "10.0.0.2")
    for host, port, address in (
        ("quay.io", 443, "10.0.0.1"),
        ("registry.internal", 5001, "10.0.0.1"),
        ("storage.internal", 443, "10.0.0.1"),
    ):
        with pytest.raises(ForbiddenAddress, match="not a public one"):
            guard.check(host, port, address)


@pytest.mark.parametrize("host", ["localhost", "x.localhost", "127.0.0.1", "[::1]", "10.0.0.1"])
def test_a_proxy_is_not_asked_for_local_addresses(host: str) -> None:
    with pytest.raises(ForbiddenAddress):
        AddressGuard().check_proxied(host, 443)
    AddressGuard([(host, 443)]).check_proxied(host, 443)


def test_a_proxy_looks_names_up_itself() -> None:
    AddressGuard().check_proxied("quay.io", 443)
    AddressGuard().check_proxied("1.1.1.1", 443)


def ping(host: str) -> Call:
    return Call(host, "GET", "/v2/", what="cannot ask")


def test_the_address_that_is_connected_to_is_the_one_that_was_checked(
    fake_registry: t.Callable[..., FakeRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name service that first gives an address that is let through, and then one that is not, gains nothing."""
    registry = fake_registry()
    port = registry.host.rpartition(":")[2]
    let_through = "127.0.0.9"
    answers = iter([let_through, "127.0.0.1"])
    looked_up: list[str] = []

    def getaddrinfo(host: str, port: int, *_how: t.Any) -> list[t.Any]:
        looked_up.append(host)
        address = next(answers) if host == "rebound.example" else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    class OnlyTheFirst(AddressGuard):
        def check(self, host: str, port: int, address: str) -> None:
            if address != let_through:
                super().check(host, port, address)

    host = f"rebound.example:{port}"
    transport = Transport(
        [RegistrySettings(host, insecure=True)], proxy="", guard=OnlyTheFirst(), origins={host: f"http://{host}"}
    )
    with pytest.raises(RegistryError, match="the connection was refused"):
        transport.send(ping(host))
    assert registry.seen == []
    assert looked_up.count("rebound.example") == 1
    with pytest.raises(ForbiddenAddress, match="127.0.0.1 is not a public one"):
        transport.send(ping(host))
    assert registry.seen == []


def test_of_many_addresses_one_that_may_be_connected_to_is_taken(
    fake_registry: t.Callable[..., FakeRegistry], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = fake_registry()
    port = int(registry.host.rpartition(":")[2])
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *how: t.Any) -> t.Any:
        if host != "many.example":
            return real(host, *how)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("10.255.255.1", "127.0.0.9", "127.0.0.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    class Loopback(AddressGuard):
        def check(self, host: str, port: int, address: str) -> None:
            if not address.startswith("127."):
                super().check(host, port, address)

    host = f"many.example:{port}"
    transport = Transport(
        [RegistrySettings(host, insecure=True)], proxy="", guard=Loopback(), origins={host: f"http://{host}"}
    )
    with transport.send(ping(host)) as response:
        assert response.status == 200


@pytest.mark.parametrize("known", [True, False])
def test_tls_checks_the_name_and_not_the_address(
    fake_registry: t.Callable[..., FakeRegistry],
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    known: bool,
) -> None:
    """One server's certificate is for the name alone, the other's for the address alone."""
    registry = fake_registry(tls=certificates.server_context(other=known))
    port = int(registry.host.rpartition(":")[2])
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *how: real("127.0.0.1" if host == "other.example" else host, *how)
    )
    host = f"other.example:{port}"
    transport = Transport(
        [RegistrySettings(host, ca_path=str(certificates.ca))], proxy="", guard=AddressGuard([("other.example", port)])
    )
    if known:
        transport.send(ping(host)).close()
    else:
        with pytest.raises(RegistryError, match="not trusted"):
            transport.send(ping(host))


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_what: object) -> t.NoReturn:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    transport = Transport(proxy="", guard=AddressGuard())
    with pytest.raises(RegistryError, match="the host name is not known here"):
        transport.send(ping("no-such-host.invalid"))
