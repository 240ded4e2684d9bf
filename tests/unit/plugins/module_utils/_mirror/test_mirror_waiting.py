# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever waits, for upstreams, passwords or clients that send: what is on disk is served."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import logging
import os
import pathlib
import socket
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import Hash
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.assembly import assemble
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, canonical_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.looping import (
    Host,
    read_answer,
    wait_until,
)
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import NAME, upstream

THREADS = 8
MANY = 80
SOON = 10.0
"""Seconds after which a client gives up; what is held up here is held up for as long as the test wants."""
LAYER = os.urandom(100_000)
OTHER = "other.example"
USER = "node"

Make = t.Callable[..., FakeRegistry]


class Hold(threading.Event):
    """Holds those who wait for it, and counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0
        self._lock = threading.Lock()

    def wait(self, timeout: t.Optional[float] = None) -> bool:
        with self._lock:
            self.held += 1
        return super().wait(timeout)


def basic(password: str, user: str = USER) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def cheap(password: str) -> str:
    """A hash that takes no time."""
    weak = Hash(1, 1, 1, b"salt", bytes(32))
    return str(Hash(1, 1, 1, b"salt", weak.derive(password.encode())))


class Site:
    """A mirror behind the server's own loop, with few threads, and an upstream that is held or not."""

    def __init__(self, directory: pathlib.Path, slow: FakeRegistry, other: FakeRegistry, **settings: t.Any) -> None:
        self.slow = slow
        self.hold = Hold()
        self.layout = Layout.open(str(directory / "store"), create=True)
        self.layer = self.layout.put_bytes(LAYER)
        raw = canonical_json({"schemaVersion": 2, "manifests": []})
        digest = self.layout.put_bytes(raw)
        reference = Reference.parse("registry.example.com:5000/shop/app:1")
        self.layout.tag(reference, Descriptor(media.OCI_INDEX, digest, len(raw)))
        (directory / "users.json").write_text(json.dumps({USER: {"hash": cheap("right"), "push": True}}))
        value = {
            "store": self.layout.path,
            "listen": ["127.0.0.1:0"],
            "instance": "here",
            "keep_free": 0,
            "metrics": False,
            "users_file": str(directory / "users.json"),
            "pull_through": "configured",
            "upstreams": [
                upstream(slow.url, concurrency=1000),
                upstream(other.url, name=OTHER),
            ],
            **settings,
        }
        self.application = assemble(Config.parse(value), logging.getLogger("test.waiting"))
        self.host = Host(threads=THREADS)
        self.host.loop._service.application = self.application
        self._crowd: t.List[socket.socket] = []

    def hold_upstream(self) -> None:
        """It answers nothing any more until the test ends."""
        for method in ("GET", "HEAD"):
            self.slow.fail(method, "/v2/", times=-1, wait_for=self.hold)

    def begin(self, target: str, *headers: str, method: str = "GET", body: bytes = b"") -> socket.socket:
        """A request whose answer is not waited for."""
        client = self.host.served.connect()
        lines = [f"{method} {target} HTTP/1.1", "Host: mirror", *headers]
        client.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body)
        self._crowd.append(client)
        return client

    def get(
        self, target: str, method: str = "GET", body: t.Optional[bytes] = None, **headers: t.Any
    ) -> t.Tuple[int, t.Dict[str, str], bytes]:
        """The answer, which has to come soon."""
        connection = http.client.HTTPConnection("127.0.0.1", self.host.served.port, timeout=SOON)
        with contextlib.closing(connection):
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def check_disk(self, **headers: t.Any) -> None:
        """What is here is served, by digest and by tag, whole and in part."""
        for _time in range(3):
            assert self.get(f"/v2/any/blobs/{self.layer}", **headers)[::2] == (200, LAYER)
            assert self.get("/v2/shop/app/manifests/1?ns=registry.example.com:5000", **headers)[0] == 200
            assert self.get(f"/v2/any/blobs/{self.layer}", method="HEAD", **headers)[0] == 200
            assert self.get(f"/v2/any/blobs/{self.layer}", Range="bytes=5-9", **headers)[2] == LAYER[5:10]
        assert self.get("/healthz")[0] == 200
        assert self.get("/readyz")[0] == 200

    def let_go(self) -> t.List[t.Tuple[int, bytes]]:
        """The upstream answers again; what the crowd gets: status and head."""
        self.hold.set()
        answers = []
        for client in self._crowd:
            head, _body = read_answer(client)
            answers.append((int(head.split()[1]), head))
        return answers

    def close(self) -> None:
        self.hold.set()
        for client in self._crowd:
            client.close()
        self.host.close()
        self.application.close()


@pytest.fixture
def site(tmp_path: pathlib.Path, fake_registry: Make) -> t.Iterator[Site]:
    made = Site(tmp_path, fake_registry(), fake_registry())
    yield made
    made.close()


def digest_of(number: int) -> str:
    return f"sha256:{hashlib.sha256(str(number).encode()).hexdigest()}"


WAITING: t.Dict[str, t.Callable[[int], str]] = {
    "tags": lambda number: f"/v2/team/app/manifests/tag-{number}?ns={NAME}",
    "one tag": lambda _number: f"/v2/team/app/manifests/tag?ns={NAME}",
    "digests": lambda number: f"/v2/team/app/manifests/{digest_of(number)}?ns={NAME}",
    "blobs": lambda number: f"/v2/team/app/blobs/{digest_of(number)}?ns={NAME}",
    "one blob": lambda _number: f"/v2/team/app/blobs/{digest_of(0)}?ns={NAME}",
    "lists of tags": lambda number: f"/v2/team/app-{number}/tags/list?ns={NAME}",
    "referrers": lambda number: f"/v2/team/app/referrers/{digest_of(number)}?ns={NAME}",
    "a path": lambda number: f"/v2/{NAME}/team/app/manifests/tag-{number}",
}


@pytest.mark.parametrize("what", WAITING)
def test_a_slow_upstream_holds_up_nothing_that_is_here(site: Site, what: str) -> None:
    site.hold_upstream()
    for number in range(MANY):
        site.begin(WAITING[what](number))
    assert wait_until(lambda: site.hold.held > 0)
    site.check_disk()
    answers = site.let_go()
    assert len(answers) == MANY
    for status, head in answers:
        assert status in (200, 404) or (status == 503 and b"\r\nRetry-After: " in head), head


def test_all_who_wait_are_answered_when_there_is_an_answer(site: Site) -> None:
    """Far more than there are threads ask for one image that nobody has asked for before."""
    digest = site.slow.add_image("team/app", "tag", [LAYER])
    site.hold_upstream()
    for _number in range(MANY):
        site.begin(f"/v2/team/app/manifests/tag?ns={NAME}")
    assert wait_until(lambda: site.hold.held > 0)
    answers = site.let_go()
    served = [head for status, head in answers if status == 200]
    assert len(served) == sum(digest.encode() in head for head in served) > THREADS
    assert all(status == 200 or b"\r\nRetry-After: " in head for status, head in answers)
    assert len(site.slow.requests("GET", "manifests/tag")) == 1


def test_another_upstream_is_asked_meanwhile(site: Site) -> None:
    site.hold_upstream()
    for number in range(MANY):
        site.begin(WAITING["tags"](number))
    assert wait_until(lambda: site.hold.held > 0)
    assert site.get(f"/v2/team/none/manifests/1?ns={OTHER}")[0] == 404
    assert site.get(f"/v2/team/none/blobs/{digest_of(1)}?ns={OTHER}")[0] == 404


def test_who_finds_too_many_waiting_is_told_to_come_back(site: Site) -> None:
    site.hold_upstream()
    bulkhead = site.host.loop._bulkheads.of("upstream")
    for number in range(16 * THREADS):
        site.begin(WAITING["tags"](number))
    assert wait_until(lambda: not bulkhead.admits(NAME))
    status, headers, body = site.get(WAITING["tags"](1000))
    assert (status, json.loads(body)["errors"][0]["code"]) == (503, "UNAVAILABLE")
    assert int(headers["Retry-After"]) > 0
    site.check_disk()


def test_tags_that_are_here_are_served_stale_at_once_while_all_wait(
    tmp_path: pathlib.Path, fake_registry: Make
) -> None:
    """Their time is over, and the upstream would be asked; but nobody is free to wait for it."""
    site = Site(tmp_path, fake_registry(), fake_registry(), tag_ttl=0)
    try:
        site.slow.add_image("team/app", "1", [LAYER])
        assert site.get(f"/v2/team/app/manifests/1?ns={NAME}")[0] == 200
        site.hold_upstream()
        bulkhead = site.host.loop._bulkheads.of("upstream")
        for number in range(MANY):
            site.begin(WAITING["tags"](number))
        assert wait_until(lambda: not bulkhead.is_free(NAME))
        for _time in range(20):
            status, headers, _body = site.get(f"/v2/team/app/manifests/1?ns={NAME}")
            assert (status, headers.get("Warning", "")[:3]) == (200, "110")
    finally:
        site.close()


@pytest.fixture
def slow_hash(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Hold]:
    """Passwords take for ever to hash."""
    hold = Hold()
    fits = Hash.fits

    def wait(self: Hash, password: bytes) -> bool:
        return hold.wait(60) and fits(self, password)

    monkeypatch.setattr(Hash, "fits", wait)
    yield hold
    hold.set()


@pytest.mark.parametrize("anonymous", [True, False])
def test_wrong_passwords_hold_up_nothing_that_is_here(
    tmp_path: pathlib.Path, fake_registry: Make, monkeypatch: pytest.MonkeyPatch, anonymous: bool
) -> None:
    site = Site(tmp_path, fake_registry(), fake_registry(), anonymous_pull=anonymous)
    hold, fits = Hold(), Hash.fits
    login: t.Dict[str, t.Any] = {} if anonymous else {"Authorization": basic("right")}
    try:
        assert site.get("/v2/", **login)[0] == 200
        monkeypatch.setattr(Hash, "fits", lambda self, password: hold.wait(60) and fits(self, password))
        for number in range(MANY):
            site.begin(f"/v2/any/blobs/{site.layer}", f"Authorization: {basic(f'wrong-{number}')}")
        assert wait_until(lambda: hold.held > 0)
        site.check_disk(**login)
        hold.set()
        answers = site.let_go()
        assert {status for status, _head in answers} <= {401, 429}
        assert all(status == 401 or b"\r\nRetry-After: " in head for status, head in answers)
        assert 401 in {status for status, _head in answers}
    finally:
        hold.set()
        site.close()


def test_only_so_many_passwords_are_hashed_at_once(site: Site, slow_hash: Hold) -> None:
    for number in range(MANY):
        site.begin("/v2/", f"Authorization: {basic(f'wrong-{number}')}")
    assert wait_until(lambda: not site.host.loop._bulkheads.of("login").admits("127.0.0.1"))
    status, headers, _body = site.get("/v2/", Authorization=basic("right"))
    assert (status, "Retry-After" in headers) == (429, True)
    assert slow_hash.held == 2


def begin_uploads(site: Site) -> t.List[str]:
    """Where many uploads go on."""
    login: t.Dict[str, t.Any] = {"Authorization": basic("right")}
    return [site.get("/v2/new/app/blobs/uploads/", "POST", **login)[1]["Location"] for _number in range(MANY)]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_slow_uploads_hold_up_nothing_that_is_here(site: Site, method: str) -> None:
    headers = [f"Authorization: {basic('right')}", f"Content-Length: {len(LAYER)}"]
    for place in begin_uploads(site):
        target = f"{place}?digest={Digest.of(LAYER)}" if method == "PUT" else place
        site.begin(target, *headers, method=method, body=LAYER[:10])
    assert wait_until(lambda: not site.host.loop._bulkheads.of("write").is_free("127.0.0.1"))
    site.check_disk()


def test_uploads_that_take_long_to_be_written_hold_up_nothing_that_is_here(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All their bytes have come: what is sent now is the digest alone."""
    login: t.Dict[str, t.Any] = {"Authorization": basic("right")}
    places = begin_uploads(site)
    for place in places:
        assert site.get(place, "PATCH", body=place.encode(), **login)[0] == 202
    hold, sync = Hold(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: hold.wait(60) and sync(handle))
    try:
        for place in places:
            target = f"{place}?digest={Digest.of(place.encode())}"
            site.begin(target, f"Authorization: {basic('right')}", "Content-Length: 0", method="PUT")
        assert wait_until(lambda: hold.held > 0)
        site.check_disk()
    finally:
        hold.set()


BAD_DOCUMENTS = {
    "a key that stands twice": b'{"schemaVersion": 2, %s, "k0": 1}' % b",".join(b'"k%d": 1' % n for n in range(40_000)),
    "many values": b'{"schemaVersion": 2, "x": [' + b",".join([b"[]"] * 2_000_000) + b"]}",
    "deep": b'{"schemaVersion": 2, "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "a long number": b'{"schemaVersion": 2, "x": ' + b"9" * 1_000_000 + b"}",
    "a long name": b'{"schemaVersion": "' + b"x" * 1_000_000 + b'"}',
}


@pytest.mark.parametrize("what", BAD_DOCUMENTS)
def test_a_bad_manifest_of_an_upstream_stops_nothing(site: Site, what: str) -> None:
    """Each request comes back soon, and so does the mirror's health meanwhile."""
    site.slow.add_manifest("team/app", BAD_DOCUMENTS[what], media.OCI_MANIFEST, "bad")
    for _number in range(4):
        site.begin(f"/v2/team/app/manifests/bad?ns={NAME}")
    site.check_disk()
    status, _headers, body = site.get(f"/v2/team/app/manifests/bad?ns={NAME}")
    assert (status, len(body) < 2000) == (502, True)


def test_all_of_it_at_once(site: Site, slow_hash: Hold) -> None:
    site.hold_upstream()
    for number in range(MANY):
        for what in WAITING.values():
            site.begin(what(number))
        site.begin("/v2/", f"Authorization: {basic(f'wrong-{number}')}")
        site.begin("/v2/new/app/blobs/uploads/", f"Authorization: {basic(f'wrong-{number}')}", method="POST")
    assert wait_until(lambda: site.hold.held > 0 and slow_hash.held > 0)
    site.check_disk()
