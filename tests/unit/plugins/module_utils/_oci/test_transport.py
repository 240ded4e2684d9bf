# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where passwords go, whatever addresses a registry names."""

from __future__ import annotations

import pathlib
import time
import typing as t

import pytest
import urllib3
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import Call, Response, Transport
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url
from ansible_collections.sealer.cluster.tests.unit.fake_registry import PASSWORD, USER, FakeRegistry, basic

Make = t.Callable[..., FakeRegistry]

# {evil} and {registry} stand for the host and port of each.
AMBIGUOUS = [
    "http://{evil}\\@{registry}/x",
    "http://{evil}\\\\@{registry}/x",
    "//{evil}\\@{registry}/x",
    "http://{evil}/\\@{registry}/x",
    "http://{registry}@{evil}/x",
    "http://{registry}\\@{evil}/x",
    "http://{evil}%5c@{registry}/x",
    "http://{evil}%2f@{registry}/x",
    "http://{evil}%23@{registry}/x",
    "http://{evil}\t@{registry}/x",
    "http://{evil} @{registry}/x",
    "http://jane@{evil}@{registry}/x",
    "http://{evil};@{registry}/x",
    "\\\\{evil}\\x",
    "/\\{evil}/x",
    "http:\\\\{evil}/x",
    "http:/\\{evil}/x",
    "http:{evil}/x",
    "http:///{evil}/x",
]
OTHERS = [
    "http://{evil}/x",
    "//{evil}/x",
    "http://{evil}#@{registry}/",
    "http://{evil}?@{registry}/",
    "HTTP://{evil}/x",
]


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """No logins and no proxies of whoever runs the tests."""
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def registry(fake_registry: Make) -> FakeRegistry:
    return fake_registry(auth="basic")


@pytest.fixture
def evil(fake_registry: Make) -> FakeRegistry:
    """Another server, which wants a login as well."""
    return fake_registry(auth="basic")


def transport_to(registry: FakeRegistry) -> Transport:
    """Speaks to it with a login, and has shown that already."""
    settings = RegistrySettings(registry.host, username=USER, password=PASSWORD, insecure=True)
    transport = Transport([settings], proxy="")
    transport.send(call(registry, "GET", "/v2/")).close()
    assert registry.requests("GET", "/v2/$")[-1].headers["Authorization"] == basic()
    return transport


def call(registry: FakeRegistry, method: str, target: str, **more: t.Any) -> Call:
    return Call(registry.host, method, target, what="cannot ask", repository="a", **more)


def filled(goal: str, registry: FakeRegistry, evil: FakeRegistry) -> str:
    return goal.format(evil=evil.host, registry=registry.host)


def shown(server: FakeRegistry) -> t.List[str]:
    """The logins that it was shown."""
    return [seen.headers["Authorization"] for seen in server.seen if "Authorization" in seen.headers]


@pytest.mark.parametrize("goal", AMBIGUOUS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_redirect_that_may_be_read_in_two_ways_is_not_followed(
    registry: FakeRegistry, evil: FakeRegistry, goal: str, method: str
) -> None:
    transport = transport_to(registry)
    registry.fail(method, "/v2/a/blobs/b", redirect=filled(goal, registry, evil))
    with pytest.raises(RegistryError, match="sends us to an invalid URL"):
        transport.send(call(registry, method, "/v2/a/blobs/b"))
    assert evil.seen == []
    assert registry.seen[-1].path == "/v2/a/blobs/b"


@pytest.mark.parametrize("goal", OTHERS)
def test_another_origin_is_shown_no_login(registry: FakeRegistry, evil: FakeRegistry, goal: str) -> None:
    transport = transport_to(registry)
    registry.fail("GET", "/v2/a/blobs/b", redirect=filled(goal, registry, evil))
    with pytest.raises(RegistryError, match="answered 401"):
        transport.send(call(registry, "GET", "/v2/a/blobs/b"))
    assert (len(evil.seen), shown(evil)) == (1, [])


@pytest.mark.parametrize(
    "goal", ["http://{registry}/v2/", "//{registry}/v2/", "/v2/", "../../../v2/", "HTTP://{registry}/v2/"]
)
def test_the_same_origin_is_shown_the_login(registry: FakeRegistry, evil: FakeRegistry, goal: str) -> None:
    transport = transport_to(registry)
    registry.fail("GET", "/v2/a/blobs/b", redirect=filled(goal, registry, evil))
    transport.send(call(registry, "GET", "/v2/a/blobs/b")).close()
    assert registry.seen[-1].headers["Authorization"] == basic()


@pytest.mark.parametrize("goal", AMBIGUOUS)
def test_an_upload_that_is_sent_where_two_hosts_may_be_meant_goes_nowhere(
    registry: FakeRegistry, evil: FakeRegistry, goal: str
) -> None:
    transport = transport_to(registry)
    location = {"Location": filled(goal, registry, evil)}
    registry.fail("POST", "/uploads/", status=202, headers=location)
    begin = call(registry, "POST", "/v2/a/blobs/uploads/", expected=frozenset({202}))
    with transport.send(begin) as response, pytest.raises(RegistryError, match="sends us to an invalid URL"):
        assert response.location


@pytest.mark.parametrize("goal", OTHERS)
@pytest.mark.parametrize("method", ["PATCH", "PUT", "GET"])
def test_an_upload_to_another_origin_shows_no_login(
    registry: FakeRegistry, evil: FakeRegistry, goal: str, method: str
) -> None:
    transport = transport_to(registry)
    registry.fail("POST", "/uploads/", status=202, headers={"Location": filled(goal, registry, evil)})
    with transport.send(call(registry, "POST", "/v2/a/blobs/uploads/", expected=frozenset({202}))) as response:
        session = response.location
    assert session is not None
    with pytest.raises(RegistryError, match="answered 401"):
        transport.send(Call(registry.host, method, session, what="cannot upload", body=lambda: b"content"))
    assert (len(evil.seen), shown(evil)) == (1, [])


@pytest.mark.parametrize("goal", AMBIGUOUS)
def test_a_token_server_that_may_be_read_in_two_ways_is_shown_no_password(
    registry: FakeRegistry, evil: FakeRegistry, goal: str
) -> None:
    settings = RegistrySettings(registry.host, username=USER, password=PASSWORD, insecure=True)
    realm = filled(goal, registry, evil).replace("\\", "\\\\")
    registry.fail("GET", "/v2/a", status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}, times=-1)
    with pytest.raises(RegistryError, match="will not ask its token server"):
        Transport([settings], proxy="").send(call(registry, "GET", "/v2/a/manifests/1"))
    assert (evil.seen, shown(registry)) == ([], [])


@pytest.mark.parametrize("host", ["0x7f.1", "127.1", "2130706433", "a..b", "a:0", "[::1", "a/b", "u@a", ""])
def test_what_is_no_host_of_a_registry(host: str) -> None:
    with pytest.raises(OciError, match="not the host of a registry"):
        RegistrySettings(host)
    with pytest.raises(OciError, match="not the host of a registry"):
        Transport(proxy="").send(Call(host, "GET", "/v2/", what="cannot ask"))


class Dripping:
    """An answer that comes byte by byte, each a second after the last, and never ends."""

    status, headers = 200, urllib3.HTTPHeaderDict()

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.closed = 0.0, 0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def read1(self, _size: int) -> bytes:
        self.now += 1
        return b"x"

    read = read1


def test_a_document_that_never_ends_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = Dripping(monkeypatch)
    request = Call("registry.example", "GET", "/x", what="cannot get the manifest")
    response = Response(t.cast(t.Any, raw), Url.parse("https://registry.example/x"), request, "GET")
    with pytest.raises(RegistryError, match="no end of the answer in 120 seconds") as caught:
        response.read_all(1_000_000)
    assert caught.value.temporary
    assert raw.now < 200


def test_a_proxy_is_asked_for_the_host_that_was_read(fake_registry: Make) -> None:
    proxy = fake_registry()
    settings = [RegistrySettings("Registry.Example:8080", insecure=True)]
    origins = {"Registry.Example:8080": Url.parse("http://Registry.Example:8080")}
    address = proxy.url.replace("http://", "http://jane:p%40ss@")
    transport = Transport(settings, proxy=address, origins=origins)
    transport.send(Call("Registry.Example:8080", "GET", "/v2/", what="cannot ask", query=[("n", "1")])).close()
    (seen,) = proxy.seen
    assert (seen.path, dict(seen.query)) == ("/v2/", {"n": "1"})
    assert seen.headers["Host"] == "registry.example:8080"
    assert seen.headers["proxy-authorization"] == basic("jane", "p@ss")
    assert "Authorization" not in seen.headers


def test_a_proxy_that_refuses_to_connect_is_told(fake_registry: Make) -> None:
    proxy = fake_registry()
    with pytest.raises(RegistryError, match="the proxy cannot be used: Tunnel connection failed: 501"):
        Transport(proxy=proxy.url).send(Call("registry.example", "GET", "/v2/", what="cannot ask"))


@pytest.mark.parametrize("proxy", ["http://proxy.example\\:3128", "socks5://proxy.example", "http://0x7f.1:3128"])
def test_what_is_no_proxy(proxy: str) -> None:
    with pytest.raises(OciError, match="the proxy cannot be used: "):
        Transport(proxy=proxy).send(Call("registry.example", "GET", "/v2/", what="cannot ask"))


def test_ipv6_and_ports_are_connected_to_as_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other reader comes between: what is dialled is what was read."""
    dialled: t.List[t.Tuple[str, int]] = []

    def dial(address: t.Tuple[str, int], *_how: t.Any, **_named: t.Any) -> t.NoReturn:
        dialled.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr("urllib3.util.connection.create_connection", dial)
    for host in ("[2001:db8::1]:5000", "Registry.Example", "registry.example:8443", "192.0.2.1"):
        with pytest.raises(RegistryError, match="the connection was refused"):
            Transport(proxy="").send(Call(host, "GET", "/v2/", what="cannot ask"))
    assert dialled == [("2001:db8::1", 5000), ("registry.example", 443), ("registry.example", 8443), ("192.0.2.1", 443)]
