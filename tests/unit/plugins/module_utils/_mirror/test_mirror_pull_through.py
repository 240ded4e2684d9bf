# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole mirror before upstreams that behave and that do not, over real sockets."""

from __future__ import annotations

import hashlib
import http.client
import json
import logging
import pathlib
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.assembly import assemble
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import push
from ansible_collections.sealer.cluster.tests.unit.certificates import Certificates
from ansible_collections.sealer.cluster.tests.unit.fake_registry import PASSWORD, USER, FakeRegistry, TokenServer
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.mirrors import Mirror
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import NAME, upstream
from ansible_collections.sealer.cluster.tests.unit.real_registry import RealRegistry
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample

Registries = t.Callable[..., FakeRegistry]
NOWHERE = "http://127.0.0.1:9"
DATA = bytes(range(256)) * 20_000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
BLOB = f"/v2/team/app/blobs/{DIGEST}"
TAG = "/v2/team/app/manifests/1"


@pytest.fixture
def registry(fake_registry: Registries) -> FakeRegistry:
    """An upstream with a large blob and an image."""
    made = fake_registry()
    made.add_blob("team/app", DATA)
    made.add_image("team/app", "1", [DATA])
    return made


@pytest.fixture
def mirror(tmp_path: pathlib.Path) -> t.Iterator[Mirror]:
    """A mirror that is not started yet."""
    made = Mirror(tmp_path, "here")
    yield made
    made.stop()


def start(mirror: Mirror, *upstreams: dict[str, t.Any], **settings: t.Any) -> Mirror:
    return mirror.start(**{"pull_through": "configured", "upstreams": list(upstreams), **settings})


def test_two_upstreams_with_the_same_names_and_other_content(mirror: Mirror, fake_registry: Registries) -> None:
    registries = {name: fake_registry() for name in ("one.example", "other.example:5000", "docker.io")}
    wanted = {}
    for name, registry in registries.items():
        digest = registry.add_image("team/app", "1", [name.encode()])
        wanted[name] = registry.repositories["team/app"].manifests[digest][1]
    start(mirror, *(upstream(registry.url, name=name) for name, registry in registries.items()))
    for _round in range(2):
        for name, raw in wanted.items():
            assert mirror.get(TAG, ns=name).body == raw
            assert mirror.get(f"/v2/{name}/team/app/manifests/1").body == raw
            assert mirror.get(TAG, headers={"Host": name}).body == raw
        assert mirror.get(TAG).body == wanted["docker.io"]
    assert [len(registry.seen) for registry in registries.values()] == [1, 1, 1]


def test_an_upstream_that_dies_in_the_middle_of_a_blob(
    mirror: Mirror, registry: FakeRegistry, fake_registry: Registries
) -> None:
    fallback = fake_registry()
    fallback.add_blob("team/app", DATA)
    registry.fail("GET", "/blobs/", cut_after=1_000_000)
    registry.fail("GET", "/blobs/", status=503, times=9)
    start(mirror, upstream(registry.url, fallback.url))
    assert mirror.get(BLOB, ns=NAME).body == DATA
    resumed = [seen.headers.get("Range", "") for seen in fallback.requests("GET", "/blobs/")]
    assert len(resumed) == 1 and resumed[0] not in ("", "bytes=0-")
    assert mirror.get(BLOB, ns=NAME).body == DATA
    assert len(fallback.seen) == 1


def test_an_upstream_that_lies(mirror: Mirror, registry: FakeRegistry, fake_registry: Registries) -> None:
    fallback = fake_registry()
    fallback.add_blob("team/app", DATA)
    registry.fail("GET", "/blobs/", wrong_bytes=True, times=9)
    registry.fail("GET", "/manifests/", wrong_bytes=True, times=9)
    start(mirror, upstream(registry.url, fallback.url))
    with pytest.raises(http.client.IncompleteRead):
        mirror.get(BLOB, ns=NAME)
    assert mirror.get(BLOB, ns=NAME).body == DATA
    assert mirror.get(TAG, ns=NAME).status in (404, 502)
    assert Layout.open(str(mirror.store)).verify() == []


def test_an_upstream_that_is_gone(mirror: Mirror, registry: FakeRegistry, tmp_path: pathlib.Path) -> None:
    start(mirror, upstream(registry.url), tag_ttl=0)
    fresh = mirror.get(TAG, ns=NAME)
    assert mirror.get(BLOB, ns=NAME).body == DATA
    mirror.stop()
    again = start(Mirror(tmp_path, "here"), upstream(NOWHERE), tag_ttl=0)
    try:
        for _number in range(3):
            stale = again.get(TAG, ns=NAME)
            assert (stale.status, stale.body) == (200, fresh.body)
            assert stale.headers["Warning"] == '110 - "Response is Stale"'
            assert int(stale.headers["Age"]) >= 0
        assert again.get(BLOB, ns=NAME).body == DATA
        for path in ("/v2/team/app/manifests/2", f"/v2/team/app/blobs/sha256:{'0' * 64}"):
            missing = again.get(path, ns=NAME)
            assert (missing.status, missing.code) == (503, "UNAVAILABLE")
    finally:
        again.stop()


def test_an_upstream_that_changes_a_tag(mirror: Mirror, registry: FakeRegistry) -> None:
    start(mirror, upstream(registry.url), tag_ttl=0)
    before = mirror.get(TAG, ns=NAME)
    digest = registry.add_image("team/app", "1", [b"another"])
    after = mirror.get(TAG, ns=NAME)
    assert after.headers["Docker-Content-Digest"] == digest != before.headers["Docker-Content-Digest"]
    pinned = mirror.get(f"/v2/team/app/manifests/{before.headers['Docker-Content-Digest']}", ns=NAME)
    assert pinned.body == before.body


def test_a_wrong_password_is_told_as_a_denial(
    mirror: Mirror, fake_registry: Registries, token_server: t.Callable[..., TokenServer], tmp_path: pathlib.Path
) -> None:
    tokens = token_server()
    registry = fake_registry(auth=tokens)
    registry.add_image("team/app", "1", [DATA])
    (tmp_path / "word").write_text("not-the-password")
    login = {"username": USER, "password_file": str(tmp_path / "word")}
    start(mirror, upstream(registry.url, redirect_hosts=[tokens.host], **login))
    for path in (TAG, BLOB):
        got = mirror.get(path, ns=NAME)
        assert (got.status, got.code) == (403, "DENIED")
        assert b"not-the-password" not in got.body
        assert "Www-Authenticate" not in got.headers


@pytest.mark.parametrize("path", [TAG, BLOB])
def test_a_redirect_to_a_private_address_is_not_followed(
    mirror: Mirror, registry: FakeRegistry, fake_registry: Registries, path: str
) -> None:
    inside = fake_registry()
    inside.add_blob("team/app", DATA)
    registry.fail("GET", ".", redirect=f"{inside.url}{BLOB}", times=9)
    start(mirror, upstream(registry.url))
    got = mirror.get(path, ns=NAME)
    assert (got.status, got.code) == (403, "DENIED")
    assert inside.seen == []


@pytest.mark.parametrize(
    "name",
    ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "169.254.169.254", "10.0.0.1", "LOCALHOST:{port}"],
)
def test_clients_cannot_send_it_to_private_addresses(mirror: Mirror, registry: FakeRegistry, name: str) -> None:
    start(mirror, pull_through="any")
    for path in (TAG, BLOB):
        got = mirror.get(path, ns=name.format(port=registry.host.rpartition(":")[2]))
        assert (got.status, got.code) == (403, "DENIED")
    assert registry.seen == []


def test_whom_nobody_named_is_not_asked(mirror: Mirror, registry: FakeRegistry) -> None:
    start(mirror, upstream(registry.url, repositories=["library/*"]))
    for name in ("elsewhere.example", NAME):
        got = mirror.get(TAG, ns=name)
        assert (got.status, got.code) == (403, "DENIED")
    assert registry.seen == []


def test_an_upstream_that_hangs_holds_up_no_other(
    mirror: Mirror, registry: FakeRegistry, fake_registry: Registries
) -> None:
    hanging = fake_registry()
    go_on = threading.Event()
    hanging.fail("GET", ".", wait_for=go_on, times=99)
    start(mirror, upstream(registry.url), upstream(hanging.url, name="hanging.example"))
    waiting = [
        threading.Thread(target=lambda number=number: mirror.get(f"/v2/a/b/manifests/{number}", ns="hanging.example"))
        for number in range(8)
    ]
    for thread in waiting:
        thread.start()
    assert mirror.get(TAG, ns=NAME).status == 200
    assert mirror.get(BLOB, ns=NAME).body == DATA
    go_on.set()
    for thread in waiting:
        thread.join(30)


def test_tags_are_listed_by_the_upstream(mirror: Mirror, registry: FakeRegistry) -> None:
    told = {"Link": '</v2/team/app/tags/list?last=b&n=2>; rel="next"'}
    registry.fail("GET", "/tags/list", status=200, body=b'{"name": "x", "tags": ["a", "b"]}', headers=told)
    start(mirror, upstream(registry.url))
    got = mirror.get("/v2/team/app/tags/list", ns=NAME, n="2")
    assert json.loads(got.body) == {"name": "team/app", "tags": ["a", "b"]}
    assert "last=b" in got.headers["Link"] and f"ns={NAME}" in got.headers["Link"]


def test_what_was_pulled_is_served_when_it_is_switched_off(
    mirror: Mirror, registry: FakeRegistry, tmp_path: pathlib.Path
) -> None:
    start(mirror, upstream(registry.url))
    fresh = mirror.get(TAG, ns=NAME)
    mirror.stop()
    asked = len(registry.seen)
    off = Mirror(tmp_path, "here").start()
    try:
        assert off.get(TAG, ns=NAME).body == fresh.body
        assert off.get("/v2/team/app/manifests/2", ns=NAME).status == 404
    finally:
        off.stop()
    assert len(registry.seen) == asked


@pytest.mark.parametrize("name", ["password_file", "ca", "client_certificate"])
def test_files_that_cannot_be_used_are_told_when_it_starts(tmp_path: pathlib.Path, name: str) -> None:
    settings = {name: str(tmp_path / "none")}
    settings.update({"password_file": {"username": "u"}, "client_certificate": {"client_key": "k"}}.get(name, {}))
    value = {
        "store": str(tmp_path / "store"),
        "listen": ["127.0.0.1:0"],
        "pull_through": "configured",
        "upstreams": [{"name": NAME, **settings}],
    }
    with pytest.raises(SealerError, match="none: "):
        assemble(Config.parse(value), logging.getLogger("test"))


def test_real_registries(
    mirror: Mirror,
    real_registry: t.Callable[..., RealRegistry],
    certificates: Certificates,
    tmp_path: pathlib.Path,
) -> None:
    """Two at once, one behind TLS and a login, the same names in both."""
    (tmp_path / "word").write_text(PASSWORD)
    plain, private = real_registry(), real_registry(login=True, certificates=certificates)
    client = RegistryClient(
        [
            RegistrySettings(plain.host, insecure=True),
            RegistrySettings(private.host, username=USER, password=PASSWORD, ca_path=str(certificates.ca)),
        ]
    )
    pushed = {}
    for host in (plain.host, private.host):
        layout = Layout.open(str(tmp_path / host.replace(":", "-")), create=True)
        made = sample(layout, f"{host}/team/app:1", seed=host)
        pushed[host] = (layout, layout.resolve(made.reference), made)
        push(client, layout, layout.resolve(made.reference), made.reference)
    login = {"username": USER, "password_file": str(tmp_path / "word")}
    start(
        mirror,
        upstream(f"http://{plain.host}", name="plain.example"),
        {"name": "private.example", "urls": [f"https://{private.host}"], "ca": str(certificates.ca), **login},
        tag_ttl=0,
    )
    for name, host in (("plain.example", plain.host), ("private.example", private.host)):
        layout, descriptor, made = pushed[host]
        assert len({str(one[1].digest) for one in pushed.values()}) == 2
        for _round in range(2):
            got = mirror.get(TAG, ns=name)
            assert got.headers["Docker-Content-Digest"] == str(descriptor.digest)
            assert "Warning" not in got.headers
        for digest in made.layers.values():
            assert mirror.get(f"/v2/team/app/blobs/{digest}", ns=name).body == layout.read_blob(digest)
        tags = mirror.get("/v2/team/app/tags/list", ns=name)
        assert json.loads(tags.body)["tags"] == ["1"]
    plain.close()
    stale = mirror.get(TAG, ns="plain.example")
    assert (stale.status, stale.headers["Warning"]) == (200, '110 - "Response is Stale"')
