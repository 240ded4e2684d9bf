# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host at a registry of others: who is told the login, whose certificates are trusted, what is said when it fails."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.registry_access import Registry
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_source import Source
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import (
    PASSWORD,
    USER,
    FakeRegistry,
    Loopback,
    TokenServer,
    basic,
)

REPOSITORY = "site/docker.io/library/shop"
LAYER = bytes(range(256)) * 400


class Site:
    """Registries and token servers over TLS, and hosts that trust them."""

    def __init__(self, certificates: Certificates, servers: list[Loopback]) -> None:
        self.certificates = certificates
        self.servers = servers

    def tokens(self, **options: t.Any) -> TokenServer:
        self.servers.append(TokenServer(**{"tls": self.certificates.server_context(), **options}))
        return t.cast(TokenServer, self.servers[-1])

    def registry(self, kind: str = "open", **options: t.Any) -> FakeRegistry:
        auth = {"open": None, "basic": "basic"}[kind] if kind != "bearer" else self.tokens()
        made = FakeRegistry(**{"tls": self.certificates.server_context(), "auth": auth, **options})
        self.servers.append(made)
        made.add_image(REPOSITORY, "1", [LAYER])
        return made

    def host(self, registry: Loopback, **options: t.Any) -> Registry:
        login = {"username": USER, "password": PASSWORD, "ca_path": str(self.certificates.ca)}
        return Registry(registry.url, **{**login, **options})


def source(*registries: Registry, named: str = "") -> Source:
    reference = Reference.parse(f"{named or registries[0].host}/{REPOSITORY}:1")
    return Source(reference, registries=registries, pause=lambda _seconds: None)


def fetch(registry: FakeRegistry, found: Source) -> bytes:
    """The image's layer, by way of its manifest."""
    layer = found.manifest(Digest.parse(registry.repositories[REPOSITORY].tags["1"])).layers[0]
    return found.blob(layer.digest, layer.size).read()


def shown(server: Loopback, path: str = "") -> list[str | None]:
    """The logins that a server was shown."""
    return [seen.headers.get("Authorization") for seen in server.requests("GET", path)]


@pytest.fixture(name="site")
def fixture_site(certificates: Certificates, servers: list[Loopback]) -> Site:
    return Site(certificates, servers)


@pytest.mark.parametrize("kind", ["open", "basic", "bearer"])
@pytest.mark.parametrize("authorities", ["path", "text"])
def test_content_comes_in_the_way_that_the_registry_asks_for(site: Site, kind: str, authorities: str) -> None:
    registry = site.registry(kind)
    given = {"ca_path": None, "ca_certificate": site.certificates.ca.read_text()} if authorities == "text" else {}
    assert fetch(registry, source(site.host(registry, **given))) == LAYER
    first, *others = shown(registry)
    assert first is None
    assert all((one or "").startswith({"open": "", "basic": basic(), "bearer": "Bearer "}[kind]) for one in others)
    assert not [seen for seen in registry.seen if "ns" in seen.query]
    if isinstance(registry.auth, TokenServer):
        assert shown(registry.auth) == [basic()]
        assert registry.auth.seen[0].query["scope"] == f"repository:{REPOSITORY}:pull"


def test_a_mirror_is_told_which_registry_is_meant(site: Site) -> None:
    registry = site.registry()
    assert fetch(registry, source(site.host(registry), named="quay.io")) == LAYER
    assert {seen.query.get("ns") for seen in registry.seen} == {"quay.io"}


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize(
    ("login", "told"),
    [({"password": "wr0ng-word"}, "401.*Check user and password"), ({"username": None, "password": None}, "401")],
)
def test_a_login_that_is_refused(site: Site, kind: str, login: dict[str, t.Any], told: str) -> None:
    registry = site.registry(kind)
    with pytest.raises(SealerError, match=told) as caught:
        fetch(registry, source(site.host(registry, **login)))
    assert registry.host in str(caught.value)
    assert "wr0ng-word" not in str(caught.value)
    assert len(registry.seen) <= 3


def test_a_token_that_is_not_good_any_more_is_replaced(site: Site) -> None:
    registry = site.registry("bearer")
    tokens = t.cast(TokenServer, registry.auth)
    found = source(site.host(registry))
    manifest = found.manifest(Digest.parse(registry.repositories[REPOSITORY].tags["1"]))
    tokens.granted.clear()
    assert found.blob(manifest.layers[0].digest, len(LAYER)).read() == LAYER
    assert len(tokens.seen) == 2


def test_no_login_goes_to_a_token_server_without_tls(site: Site) -> None:
    tokens = site.tokens(tls=None)
    registry = site.registry(auth=tokens)
    with pytest.raises(SealerError, match="it is not an https address"):
        fetch(registry, source(site.host(registry)))
    assert tokens.seen == []


def test_a_registry_without_tls_may_name_a_token_server_without_tls(site: Site) -> None:
    registry = site.registry(auth=site.tokens(tls=None), tls=None)
    assert fetch(registry, source(site.host(registry))) == LAYER


def test_a_token_server_that_sends_the_login_elsewhere_is_not_followed(site: Site) -> None:
    registry, elsewhere = site.registry("bearer"), site.tokens()
    t.cast(TokenServer, registry.auth).fail("GET", "/token", redirect=f"{elsewhere.url}/token")
    with pytest.raises(SealerError, match="cannot log in.*307"):
        fetch(registry, source(site.host(registry)))
    assert elsewhere.seen == []


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_login_does_not_follow_to_another_host(site: Site, kind: str) -> None:
    registry, elsewhere = site.registry(kind), site.registry()
    blob = str(Digest.of(LAYER))
    found = source(site.host(registry))
    registry.fail("GET", f"/blobs/{blob}", redirect=f"{elsewhere.url}/v2/{REPOSITORY}/blobs/{blob}")
    registry.auth, asking = None, registry.auth
    manifest = found.manifest(Digest.parse(registry.repositories[REPOSITORY].tags["1"]))
    registry.auth = asking
    assert found.blob(manifest.layers[0].digest, len(LAYER)).read() == LAYER
    assert shown(elsewhere) == [None]


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_another_host_that_asks_for_a_login_gets_none(site: Site, kind: str) -> None:
    registry, elsewhere = site.registry("basic"), site.registry(kind)
    blob = f"/v2/{REPOSITORY}/blobs/{Digest.of(LAYER)}"
    registry.fail("GET", blob, times=-1, redirect=f"{elsewhere.url}{blob}")
    with pytest.raises(SealerError, match="401"):
        fetch(registry, source(site.host(registry)))
    assert set(shown(elsewhere)) == {None}
    if isinstance(elsewhere.auth, TokenServer):
        assert elsewhere.auth.seen == []


def test_a_login_is_not_shown_to_whoever_is_sent_back(site: Site) -> None:
    registry, elsewhere = site.registry("basic"), site.registry()
    registry.fail("GET", "/blobs/", redirect=f"{elsewhere.url}/away")
    elsewhere.fail("GET", "/away", redirect=f"{registry.url}/v2/private/blobs/x")
    with pytest.raises(SealerError, match="401"):
        fetch(registry, source(site.host(registry)))
    assert shown(registry, "private") == [None]


def test_a_login_follows_within_the_registry(site: Site) -> None:
    registry = site.registry("basic")
    registry.add_image("moved", "1", [LAYER])
    blob = f"{REPOSITORY}/blobs/{Digest.of(LAYER)}"
    registry.fail("GET", f"/v2/{blob}", redirect=f"/v2/moved/blobs/{Digest.of(LAYER)}")
    assert fetch(registry, source(site.host(registry))) == LAYER
    assert shown(registry, "moved")[-1] == basic()


@pytest.mark.parametrize(
    "goal",
    [
        "http://127.0.0.1:1/x",
        "file:///etc/passwd",
        "https://u:p@127.0.0.1:1/",
        "https://[/",
        "https://127.0.0.1:1\\@localhost/",
        "//127.0.0.1:1\\@localhost/",
        "https://0x7f.1:1/",
    ],
)
def test_where_no_host_goes(site: Site, goal: str) -> None:
    registry = site.registry()
    registry.fail("GET", "/blobs/", redirect=goal)
    with pytest.raises(SealerError, match="is not https|invalid URL"):
        fetch(registry, source(site.host(registry)))


def test_redirects_come_to_an_end(site: Site) -> None:
    registry = site.registry()
    registry.fail("GET", "/blobs/", times=99, redirect="/v2/x/blobs/y")
    with pytest.raises(SealerError, match="more than 5 redirects"):
        fetch(registry, source(site.host(registry)))
    assert len(registry.requests("GET", "/blobs/")) == 6


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_a_download_goes_on_at_the_next_registry(site: Site, kind: str) -> None:
    first, second = site.registry(kind), site.registry(kind)
    first.fail("GET", "/blobs/", cut_after=5000)
    first.fail("GET", "/blobs/", times=99, status=503)
    found = source(site.host(first), site.host(second), named=first.host)
    assert fetch(first, found) == LAYER
    assert second.requests("GET", "/blobs/")[-1].headers["Range"] == "bytes=5000-"
    assert found.downloaded > len(LAYER)


def test_a_certificate_that_nobody_vouches_for(site: Site) -> None:
    registry = site.registry("basic")
    with pytest.raises(SealerError, match="its certificate is not trusted"):
        fetch(registry, source(site.host(registry, ca_path=None)))
    assert registry.seen == []


def test_another_host_may_be_vouched_for_by_the_same_authority_only_for_its_name(site: Site) -> None:
    wrong = site.registry("basic", tls=site.certificates.server_context(other=True))
    with pytest.raises(SealerError, match="its certificate is not trusted"):
        fetch(wrong, source(site.host(wrong)))


def test_authorities_of_the_host_are_for_where_a_registry_sends_to(
    site: Site, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Certificates.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(others.ca))
    registry, elsewhere = site.registry(), site.registry(tls=others.server_context())
    blob = f"/v2/{REPOSITORY}/blobs/{Digest.of(LAYER)}"
    registry.fail("GET", blob, redirect=f"{elsewhere.url}{blob}")
    assert fetch(registry, source(site.host(registry))) == LAYER
    assert fetch(elsewhere, source(site.host(elsewhere, ca_path=None))) == LAYER
    with pytest.raises(SealerError, match="its certificate is not trusted"):
        fetch(elsewhere, source(site.host(elsewhere)))


@pytest.mark.parametrize("given", [{"ca_path": "/absent/ca.crt"}, {"ca_path": None, "ca_certificate": "none"}])
def test_authorities_that_cannot_be_read(site: Site, given: dict[str, t.Any]) -> None:
    registry = site.registry()
    with pytest.raises(SealerError, match="certificate authorities to trust cannot be read"):
        fetch(registry, source(site.host(registry, **given)))


@pytest.mark.parametrize(
    "url",
    ["", "registry.example", "ftp://a", "https://", "https://u:p@a", "https://a:b", "https://a:0", "https://https:"],
)
def test_what_is_no_registry(url: str) -> None:
    with pytest.raises(SealerError, match="is not the URL of a registry") as caught:
        Registry(url)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("open", {}, ""),
        ("basic", {}, ""),
        ("bearer", {}, ""),
        ("basic", {"username": None}, ""),
        ("bearer", {"username": None}, ""),
        ("basic", {"password": "wr0ng-word"}, "refuses.*401.*Check user and password"),
        ("bearer", {"password": "wr0ng-word"}, "cannot log in.*401.*Check user and password"),
        ("open", {"ca_path": None}, "its certificate is not trusted"),
    ],
)
def test_looking_whether_a_registry_is_there(site: Site, kind: str, options: dict[str, t.Any], problem: str) -> None:
    host = site.host(site.registry(kind), **options)
    if problem:
        with pytest.raises(SealerError, match=problem):
            host.check()
    else:
        host.check()


@pytest.mark.parametrize(("status", "problem"), [(404, "answers 404.*address of a registry"), (503, "answers 503")])
def test_what_answers_but_is_no_registry(site: Site, status: int, problem: str) -> None:
    registry = site.registry()
    registry.fail("GET", "/v2/", status=status)
    with pytest.raises(SealerError, match=problem):
        site.host(registry, username=None).check()


def test_nobody_is_there(site: Site, servers: list[Loopback]) -> None:
    registry = site.registry()
    servers.remove(registry)
    registry.close()
    with pytest.raises(SealerError, match=f"{registry.host}.*the connection was refused"):
        site.host(registry).check()
