# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses are connected to."""

from __future__ import annotations

import ipaddress
import socket
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.addresses import (
    AddressGuard,
    ForbiddenAddress,
    host_matches,
    is_public,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Call, RegistrySettings, Transport
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import UpstreamSide
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


LOCAL = [
    "localhost",
    "x.localhost",
    "LocalHost",
    "localhost.",
    "127.0.0.1",
    "127.0.0.1.",
    "[::1]",
    "::1",
    "10.0.0.1",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a00:1]",
    "[fe80::1]",
    "vault",
    "metadata.google.internal",
    "printer.local",
    "nas.home.arpa",
    "localhost.localdomain",
]
# Each leads some program to 127.0.0.1 or 10.0.0.1.
NUMBERS = [
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0X7F.0.0.1",
    "0x7f000001",
    "0x7f000001.",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.01",
    "127.000.000.001",
    "127.0.0.0x1",
    "127.0.0.1.0",
    "1.1.1.1.1",
    "10.1",
    "4294967297",
    "999999999999",
    "127.0.0.256",
    "example.0x",
    "example.1",
]
UNREADABLE = [
    "127.0.0.1%2f",
    "127%2e0.0.1",
    "%31%32%37.0.0.1",
    "\u2460\u2461\u2466.0.0.1",
    "127\u30020\u30020\u30021",
    "\uff11\uff12\uff17.0.0.1",
    "fe80::1%eth0",
    "quay.io\\",
    "u@127.0.0.1",
    "quay.io:80@127.0.0.1",
    "127.0.0.1 ",
    "127.0.0.1\t",
    "quay.io#",
    "a..b",
    "",
    ".",
]


@pytest.mark.parametrize("host", LOCAL)
def test_a_proxy_is_not_asked_for_local_addresses(host: str) -> None:
    with pytest.raises(ForbiddenAddress, match="will not connect"):
        AddressGuard().check_proxied(host, 443)
    AddressGuard([(host, 443)]).check_proxied(host, 443)
    AddressGuard(patterns=[host.lower().strip("[].")]).check_proxied(host, 443)


@pytest.mark.parametrize("host", [*NUMBERS, *UNREADABLE])
def test_a_proxy_is_not_asked_for_what_programs_read_in_different_ways(host: str) -> None:
    with pytest.raises(ForbiddenAddress, match="will not connect"):
        AddressGuard().check_proxied(host, 443)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["{0}", "0x{0:x}", "0{0:o}", "{1}.{2}", "{1}.0x{2:X}", "0{1:o}.{2}"]))
def test_no_number_reaches_a_proxy_but_a_public_address(number: int, form: str) -> None:
    host = form.format(number, number >> 24, number & 0xFFFFFF)
    with pytest.raises(ForbiddenAddress):
        AddressGuard().check_proxied(host, 443)


@pytest.mark.parametrize(
    "host", ["quay.io", "1.1.1.1", "[2606:4700::1111]", "Registry-1.Docker.io", "1.2.3.example.com"]
)
def test_a_proxy_looks_names_up_itself(host: str) -> None:
    AddressGuard().check_proxied(host, 443)


class Wires:
    """In the place of the resolver and of what dials: notes both, answers with one address, connects to nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, address: str = "127.0.0.1") -> None:
        self.address = address
        self.looked_up: list[str] = []
        self.dialled: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)
        monkeypatch.setattr("urllib3.util.connection.create_connection", self._dial)

    def _look_up(self, host: str, port: int, *_how: t.Any, **_named: t.Any) -> list[t.Any]:
        self.looked_up.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]

    def _dial(self, address: tuple[str, int], *_how: t.Any, **_named: t.Any) -> t.NoReturn:
        self.dialled.append(address[0])
        raise ConnectionRefusedError


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Wires:
    return Wires(monkeypatch)


HOSTS = [host.strip("[]") for host in LOCAL] + NUMBERS + UNREADABLE


@pytest.mark.parametrize("proxy", ["http://proxy.example:3128", ""])
@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("host", [host for host in HOSTS if host and "#" not in host])
def test_no_redirect_leads_to_a_local_address_through_a_proxy_or_without(
    wires: Wires, fake_registry: t.Callable[..., FakeRegistry], host: str, scheme: str, proxy: str
) -> None:
    """The registry that sends us there is in a proxy's place or asked directly; what it names is never dialled."""
    bracketed = f"[{host}]" if ":" in host and "@" not in host else host
    transport = Transport([RegistrySettings("quay.io", insecure=True)], proxy=proxy, guard=AddressGuard())
    call = Call("quay.io", "GET", "/v2/", what="cannot ask")
    with pytest.raises(OciError):
        goal = Url.parse("https://quay.io/").join(f"{scheme}://{bracketed}/latest/meta-data")
        transport._once(call, "GET", goal, {}, transport.settings_of("quay.io"), False)
    assert wires.dialled == []


@pytest.mark.parametrize("host", ["0x7f.1", "127.1", "2130706433", "vault", "10.0.0.1:80", "[::1]"])
@pytest.mark.parametrize("proxy", ["http://proxy.example:3128", ""])
def test_clients_cannot_name_a_local_address_as_a_registry(
    wires: Wires, tmp_path: t.Any, monkeypatch: pytest.MonkeyPatch, host: str, proxy: str
) -> None:
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    side = UpstreamSide(tmp_path / "store", pull_through="any")
    with pytest.raises(Refused) as caught:
        side.manifests.manifest(Asked(Reference(host, "team/app", "1")))
    assert caught.value.status == 403
    assert wires.dialled == []


def test_a_proxy_is_asked_for_a_public_name(wires: Wires) -> None:
    transport = Transport(proxy="http://proxy.example:3128", guard=AddressGuard())
    with pytest.raises(RegistryError):
        transport.send(ping("quay.io"))
    assert (wires.dialled, wires.looked_up) == (["proxy.example"], [])


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
        [RegistrySettings(host, insecure=True)],
        proxy="",
        guard=OnlyTheFirst(),
        origins={host: Url.parse(f"http://{host}")},
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
        [RegistrySettings(host, insecure=True)], proxy="", guard=Loopback(), origins={host: Url.parse(f"http://{host}")}
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
