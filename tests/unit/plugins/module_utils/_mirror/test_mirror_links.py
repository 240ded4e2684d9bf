# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking one URL."""

from __future__ import annotations

import json
import pathlib
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.addresses import ForbiddenAddress
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.limits import Busy, Resting
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import (
    Fetched,
    Link,
    Unchanged,
    timed_out,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.upstreams import Upstreams
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import (
    IDENTITY,
    PASSWORD,
    USER,
    FakeRegistry,
    TokenServer,
    basic,
)
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import (
    NAME,
    asked,
    config,
    upstream,
)

Registries = t.Callable[..., FakeRegistry]
DATA = bytes(range(256)) * 4000
NOWHERE = "http://127.0.0.1:9"


def links(store: pathlib.Path, *upstreams: t.Any, how: t.Any = None, **settings: t.Any) -> list[Link]:
    return Upstreams(config(store, *upstreams, **settings)).links(asked("team/app:1", **(how or {})))


def blob(digest: str, repository: str = "team/app") -> Reference:
    return Reference.parse(f"{NAME}/{repository}@{digest}")


TAG = Reference.parse(f"{NAME}/team/app:1")


def read(link: Link, reference: Reference, offset: int = 0) -> bytes:
    stream = link.open_blob(reference, offset)
    try:
        parts = [b"\0" * stream.start]
        while part := stream.read(65536):
            parts.append(part)
        return b"".join(parts)[offset:]
    finally:
        stream.close()


def test_a_blob(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    digest = registry.add_blob("team/app", DATA)
    (link,) = links(tmp_path, upstream(registry.url))
    stream = link.open_blob(blob(digest))
    assert (stream.size, stream.start) == (len(DATA), 0)
    stream.close()
    stream.close()
    assert read(link, blob(digest)) == DATA
    assert (link.name, link.kind) == (NAME, "upstream")
    assert not [seen for seen in registry.seen if "Via" in seen.headers or seen.query]


def test_the_rest_of_a_blob(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    digest = registry.add_blob("team/app", DATA)
    (link,) = links(tmp_path, upstream(registry.url))
    stream = link.open_blob(blob(digest), 1000)
    assert (stream.size, stream.start) == (len(DATA), 1000)
    stream.close()
    assert read(link, blob(digest), 1000) == DATA[1000:]


def test_a_registry_without_ranges_begins_at_the_first_byte(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    digest = registry.add_blob("team/app", DATA)
    registry.fail("GET", "/blobs/", ignore_range=True)
    (link,) = links(tmp_path, upstream(registry.url))
    stream = link.open_blob(blob(digest), 1000)
    assert (stream.size, stream.start) == (len(DATA), 0)
    stream.close()


def test_the_first_bytes_come_before_the_last(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    digest = registry.add_blob("team/app", DATA)
    (link,) = links(tmp_path, upstream(registry.url))
    stream = link.open_blob(blob(digest))
    first = stream.read(10)
    assert first == DATA[:10]
    stream.close()


def test_a_body_that_breaks_off(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    digest = registry.add_blob("team/app", DATA)
    registry.fail("GET", "/blobs/", cut_after=5000)
    (link,) = links(tmp_path, upstream(registry.url))
    with pytest.raises(RegistryError) as caught:
        read(link, blob(digest))
    assert caught.value.temporary and caught.value.status is None
    assert read(link, blob(digest), 5000) == DATA[5000:]


@pytest.mark.parametrize(("status", "temporary"), [(404, False), (401, False), (403, False), (429, True), (503, True)])
def test_refusals(tmp_path: pathlib.Path, fake_registry: Registries, status: int, temporary: bool) -> None:
    registry = fake_registry()
    registry.fail("GET", "/blobs/", status=status, headers={"Retry-After": "7"}, times=9)
    (link,) = links(tmp_path, upstream(registry.url))
    with pytest.raises(RegistryError) as caught:
        link.open_blob(blob(str(Digest.of(b""))))
    assert (caught.value.status, caught.value.temporary, caught.value.retry_after) == (status, temporary, 7.0)
    assert caught.value.not_found is (status == 404)
    assert not link.is_resting


def test_a_manifest(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    digest = registry.add_image("team/app", "1", [b"layer"])
    (link,) = links(tmp_path, upstream(registry.url))
    found = link.manifest(TAG)
    assert isinstance(found, Fetched)
    assert found.raw == registry.repositories["team/app"].manifests[digest][1]
    assert (str(found.digest), found.etag) == (digest, f'"{digest}"')
    assert found.media_type == "application/vnd.oci.image.manifest.v1+json"


@pytest.mark.parametrize("etags", [True, False])
def test_what_is_known_is_not_fetched_again(tmp_path: pathlib.Path, fake_registry: Registries, etags: bool) -> None:
    registry = fake_registry()
    registry.etags = etags
    digest = Digest.parse(registry.add_image("team/app", "1", [b"layer"]))
    (link,) = links(tmp_path, upstream(registry.url))
    assert link.manifest(TAG, f'"{digest}"' if etags else "", digest) == Unchanged()
    assert [(seen.method, seen.status) for seen in registry.seen] == [("HEAD", 304 if etags else 200)]
    registry.add_image("team/app", "1", [b"another"])
    assert isinstance(link.manifest(TAG, f'"{digest}"', digest), Fetched)


def test_a_registry_that_knows_no_head(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    digest = Digest.parse(registry.add_image("team/app", "1", [b"layer"]))
    registry.fail("HEAD", "/manifests/", status=405)
    (link,) = links(tmp_path, upstream(registry.url))
    assert isinstance(link.manifest(TAG, "", digest), Fetched)


@pytest.mark.parametrize("path", ["/proxy/hub", "/v2/proxy/hub", "/proxy/hub/"])
def test_a_path_goes_before_the_repository(tmp_path: pathlib.Path, fake_registry: Registries, path: str) -> None:
    registry = fake_registry(auth="basic")
    registry.add_image("proxy/hub/team/app", "1", [b"layer"])
    (tmp_path / "word").write_text(PASSWORD)
    login = {"username": USER, "password_file": str(tmp_path / "word")}
    (link,) = links(tmp_path, upstream(registry.url + path, **login))
    assert isinstance(link.manifest(TAG), Fetched)


@pytest.mark.parametrize("identity", [False, True])
def test_tokens(
    tmp_path: pathlib.Path, fake_registry: Registries, token_server: t.Callable[..., TokenServer], identity: bool
) -> None:
    tokens = token_server()
    registry = fake_registry(auth=tokens)
    registry.add_image("team/app", "1", [b"layer"])
    (tmp_path / "word").write_text(IDENTITY if identity else PASSWORD)
    login = (
        {"token_file": str(tmp_path / "word")}
        if identity
        else {
            "username": USER,
            "password_file": str(tmp_path / "word"),
        }
    )
    (link,) = links(tmp_path, upstream(registry.url, redirect_hosts=[tokens.host], **login))
    assert isinstance(link.manifest(TAG), Fetched)
    shown = [seen.headers.get("Authorization", "") for seen in registry.seen]
    assert not [header for header in shown if header == basic() or IDENTITY in header]


def test_a_token_server_at_a_private_address_is_not_asked(
    tmp_path: pathlib.Path, fake_registry: Registries, token_server: t.Callable[..., TokenServer]
) -> None:
    tokens = token_server(anonymous=True)
    registry = fake_registry(auth=tokens)
    (link,) = links(tmp_path, upstream(registry.url))
    with pytest.raises(ForbiddenAddress, match="redirect_hosts"):
        link.manifest(TAG)
    assert tokens.seen == []
    assert not link.is_resting


@pytest.mark.parametrize("named", [False, True])
def test_a_redirect_to_a_private_address(tmp_path: pathlib.Path, fake_registry: Registries, named: bool) -> None:
    storage, registry = fake_registry(), fake_registry(auth="basic")
    digest = storage.add_blob("team/app", DATA)
    registry.add_blob("team/app", DATA)
    (tmp_path / "word").write_text(PASSWORD)
    login = {"username": USER, "password_file": str(tmp_path / "word")}
    hosts = [storage.host] if named else []
    (link,) = links(tmp_path, upstream(registry.url, redirect_hosts=hosts, **login))
    link.open_blob(blob(digest)).close()
    registry.fail("GET", "/blobs/", redirect=f"{storage.url}/v2/team/app/blobs/{digest}")
    if named:
        assert read(link, blob(digest)) == DATA
        assert "Authorization" not in storage.seen[-1].headers
    else:
        with pytest.raises(ForbiddenAddress):
            link.open_blob(blob(digest))
        assert storage.seen == []


def test_the_login_files_of_the_user_are_nobody_elses(
    tmp_path: pathlib.Path, fake_registry: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = fake_registry(auth="basic")
    registry.add_image("team/app", "1", [b"layer"])
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {registry.host: {"username": USER, "password": PASSWORD}}}))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    (link,) = links(tmp_path / "store", upstream(registry.url))
    with pytest.raises(RegistryError, match="answered 401"):
        link.manifest(TAG)


def test_a_client_certificate_and_an_authority(
    tmp_path: pathlib.Path, fake_registry: Registries, certificates: Certificates
) -> None:
    registry = fake_registry(tls=certificates.server_context(ask_client=True))
    registry.add_image("team/app", "1", [b"layer"])
    shown = {"client_certificate": str(certificates.client), "client_key": str(certificates.client_key)}
    (link,) = links(tmp_path, {"name": NAME, "urls": [registry.url], "ca": str(certificates.ca), **shown})
    assert isinstance(link.manifest(TAG), Fetched)
    (link,) = links(tmp_path, {"name": NAME, "urls": [registry.url], "ca": str(certificates.ca)})
    with pytest.raises(RegistryError):
        link.manifest(TAG)


def test_a_proxy(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    """Plain HTTP goes to a proxy with the whole URL, which this registry takes for a path."""
    proxy = fake_registry()
    (link,) = links(tmp_path, upstream("http://registry.example.com", proxy=f"http://u:p@{proxy.host}"))
    with pytest.raises(RegistryError, match="404"):
        link.manifest(TAG)
    assert proxy.seen[0].headers["Host"] == "registry.example.com"
    assert proxy.seen[0].headers["proxy-authorization"] == basic("u", "p")


def test_who_does_not_answer_is_left_alone(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    registry.add_image("team/app", "1", [b"layer"])
    dead, alive = links(tmp_path, upstream(NOWHERE, registry.url))
    with pytest.raises(RegistryError, match="the connection was refused"):
        dead.manifest(TAG)
    assert dead.is_resting and not alive.is_resting
    with pytest.raises(Resting):
        dead.open_blob(blob(str(Digest.of(b""))))
    assert isinstance(alive.manifest(TAG), Fetched)
    again, _alive = links(tmp_path, upstream(NOWHERE, registry.url))
    assert again.is_resting


def test_one_that_hangs(tmp_path: pathlib.Path, fake_registry: Registries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{Upstreams.__module__}._READ_SECONDS", 0.2)
    registry = fake_registry()
    go_on = threading.Event()
    registry.fail("GET", "/manifests/", wait_for=go_on)
    (link,) = links(tmp_path, upstream(registry.url))
    with pytest.raises(RegistryError) as caught:
        link.manifest(TAG)
    go_on.set()
    assert timed_out(caught.value)
    assert link.is_resting


def test_a_kept_connection_that_was_closed_is_no_failure(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    digest = registry.add_image("team/app", "1", [b"layer"])
    (link,) = links(tmp_path, upstream(registry.url))
    registry.fail("GET", "/manifests/", cut_after=0, headers={}, status=0)
    with pytest.raises(RegistryError):
        link.manifest(TAG)
    found = link.manifest(TAG)
    assert isinstance(found, Fetched) and str(found.digest) == digest


def test_no_more_than_so_many_at_once(
    tmp_path: pathlib.Path, fake_registry: Registries, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = fake_registry()
    digest = registry.add_blob("team/app", DATA)
    (link,) = links(tmp_path, upstream(registry.url, concurrency=1))
    monkeypatch.setattr(link._endpoint.limits, "_longest_wait", 0.05)
    first = link.open_blob(blob(digest))
    with pytest.raises(Busy):
        link.open_blob(blob(digest))
    first.close()
    link.open_blob(blob(digest)).close()


def test_other_mirrors_are_told_for_whom(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    parent = fake_registry()
    parent.add_image("team/app", "1", [b"layer"])
    settings = {"parents": [{"url": parent.url, "insecure": True}]}
    (link,) = links(tmp_path, how={"via": ("below",)}, **settings)
    assert isinstance(link.manifest(TAG), Fetched)
    assert (link.name, link.kind) == (parent.host, "parent")
    assert parent.seen[0].query == {"ns": NAME}
    assert parent.seen[0].headers["Via"] == "1.1 below, 1.1 here"
    assert "Cache-Control" not in parent.seen[0].headers


def test_peers_are_asked_for_own_content_that_is_there(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    peer = fake_registry()
    settings = {"peers": [{"url": peer.url, "insecure": True}], "self_url": "https://10.0.0.1:5000"}
    (link,) = links(tmp_path, how={"own": True}, **settings)
    with pytest.raises(RegistryError) as caught:
        link.manifest(TAG)
    assert caught.value.not_found
    assert peer.seen[0].headers["Cache-Control"] == "only-if-cached"


def test_what_other_mirrors_say_of_the_age(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    parent = fake_registry()
    body = b"{}"
    told = {"Age": "30", "Warning": '110 - "Response is Stale"'}
    parent.fail("GET", "/manifests/", status=200, body=body, headers=told)
    (link,) = links(tmp_path, parents=[{"url": parent.url, "insecure": True}])
    found = link.manifest(TAG)
    assert isinstance(found, Fetched)
    assert (found.age, found.stale) == (30, True)


def test_listings(tmp_path: pathlib.Path, fake_registry: Registries) -> None:
    registry = fake_registry()
    (link,) = links(tmp_path, upstream(registry.url))
    next_page = {"Link": '</v2/team/app/tags/list?last=b&n=2>; rel="next"'}
    registry.fail("GET", "/tags/list", status=200, body=b'{"tags": ["a", "b"]}', headers=next_page)
    found = link.listing(TAG, "tags/list", [("n", "2")])
    assert (found.raw, found.next_query) == (b'{"tags": ["a", "b"]}', "last=b&n=2")
    assert (registry.seen[0].path, registry.seen[0].query) == ("/v2/team/app/tags/list", {"n": "2"})
