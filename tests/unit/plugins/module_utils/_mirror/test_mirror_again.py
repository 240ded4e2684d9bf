# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers that are kept with a request's head: given again while they are right, and no longer."""

from __future__ import annotations

import logging
import os
import re
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.app import Application, Parts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import (
    Asked,
    Content,
    Found,
    Source,
    StoreSource,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.exchange import Environ, Exchange, Heads
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, canonical_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.looping import Host, read_answer
from gunicorn.config import Config

NAME = "quay.io/team/app"
TAG = "/v2/team/app/manifests/1?ns=quay.io"


class Nobody:
    def receive(self) -> bytes:
        return b""


class Elsewhere:
    """A source that has nothing, and counts who asks."""

    def __init__(self) -> None:
        self.asked = 0

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        self.asked += 1
        return None

    def blob(self, asked: Asked) -> t.Optional[Content]:
        return None

    def status(self) -> t.Dict[str, t.Any]:
        return {}


class Counted(NoCounts):
    def __init__(self) -> None:
        self.sizes: t.List[int] = []

    def served(self, registry: str, kind: str, source: str, size: int) -> None:
        assert (bool(registry), kind, source) == (True, "manifest", "store")
        self.sizes.append(size)


class Desk:
    """The application behind the server's half that reads heads and makes them; counts how often it is called."""

    def __init__(self, path: str, shares_own: bool = True) -> None:
        self.layout = Layout.open(path, create=True)
        self.counts, self.elsewhere, self.calls = Counted(), Elsewhere(), 0
        self.heads = Heads(Config())
        sources: t.List[Source] = [StoreSource(Store(path)), self.elsewhere]
        self._application = Application(
            sources, logging.getLogger("test"), Parts(counts=self.counts, shares_own=shares_own)
        )

    def application(self, environ: Environ, start_response: t.Any) -> t.Iterable[bytes]:
        self.calls += 1
        return self._application(environ, start_response)

    def put(self, text: str, tag: str = "1", name: str = NAME) -> bytes:
        raw = canonical_json({"schemaVersion": 2, "manifests": [], "annotations": {"text": text}})
        digest = self.layout.put_bytes(raw)
        self.layout.tag(Reference.parse(f"{name}:{tag}"), Descriptor(media.OCI_INDEX, digest, len(raw)))
        return raw

    def exchange(self, target: str, *headers: str, method: str = "GET") -> Exchange:
        lines = [f"{method} {target} HTTP/1.1", "Host: mirror", *headers]
        return Exchange(self.heads.read("".join(f"{line}\r\n" for line in [*lines, ""]).encode()), NO, ("::1", 9), NONE)

    def ask(self, target: str, *headers: str, method: str = "GET") -> t.Tuple[str, str, bytes]:
        """Status, head and body, whichever way they come about."""
        exchange = self.exchange(target, *headers, method=method)
        found = exchange.repeat()
        if found is None:
            body = exchange.answer(self.application)
            found = exchange.head(body), b"".join(body)
        assert exchange.reference == "-" or exchange.reference.startswith(NAME)
        return exchange.status, found[0].decode(), found[1]


NO, NONE = bytearray(), Nobody()


@pytest.fixture
def desk(tmp_path: t.Any) -> Desk:
    return Desk(str(tmp_path / "store"))


def without_id(head: str) -> str:
    assert re.search(r"\r\nDate: [^\r]+ GMT\r\n", head)
    return re.sub(r"\r\n(Date|X-Request-Id): [^\r]+", "", head)


@pytest.mark.parametrize(("method", "headers"), [("GET", []), ("HEAD", []), ("GET", ["If-None-Match: *"])])
@pytest.mark.parametrize("by_digest", [False, True])
def test_the_same_again(desk: Desk, method: str, headers: t.List[str], by_digest: bool) -> None:
    raw = desk.put("one")
    target = f"/v2/team/app/manifests/{desk.layout.put_bytes(raw)}?ns=quay.io" if by_digest else TAG
    first, second, third = (desk.ask(target, *headers, method=method) for _time in range(3))
    assert desk.calls == 1
    assert first[0] == second[0] == ("304 Not Modified" if headers else "200 OK")
    assert without_id(first[1]) == without_id(second[1])
    assert len({re.findall("X-Request-Id: (.*)\r", head)[0] for _status, head, _body in (first, second, third)}) == 3
    assert {body for _status, _head, body in (first, second, third)} == {b"" if method == "HEAD" or headers else raw}
    assert desk.counts.sizes == ([] if method == "HEAD" else [len(raw)] * 3)
    assert desk.elsewhere.asked == 0


def test_a_tag_that_moves(desk: Desk) -> None:
    for text in ("one", "two", "one", "three"):
        raw = desk.put(text)
        assert [desk.ask(TAG)[2] for _time in range(3)] == [raw] * 3
    assert desk.calls == 4
    desk.layout.untag(Reference.parse(f"{NAME}:1"))
    assert desk.ask(TAG)[0] == "404 Not Found"


def test_a_document_that_goes(desk: Desk) -> None:
    raw = desk.put("one")
    digest = desk.layout.put_bytes(raw)
    target = f"/v2/team/app/manifests/{digest}?ns=quay.io"
    assert [desk.ask(target)[0] for _time in range(2)] == ["200 OK"] * 2
    os.unlink(desk.layout.blob_path(digest))
    assert desk.ask(target)[0] == "404 Not Found"


def test_a_store_that_goes(desk: Desk) -> None:
    desk.put("one")
    assert [desk.ask(TAG)[0] for _time in range(2)] == ["200 OK"] * 2
    index = os.path.join(desk.layout.path, "index.json")
    os.rename(index, f"{index}.away")
    assert desk.ask(TAG)[0] == "503 Service Unavailable"
    os.rename(f"{index}.away", index)
    assert desk.ask(TAG)[0] == "200 OK"


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (TAG, ["Authorization: Basic YTpi"]),
        (TAG, ["X-Request-Id: a"]),
        (TAG, ["Connection: close"]),
        (TAG, ["Content-Length: 1"]),
        ("/v2/team/app/manifests/none?ns=quay.io", []),
        ("/v2/", []),
    ],
)
def test_what_is_not_kept(desk: Desk, target: str, headers: t.List[str]) -> None:
    desk.put("one")
    answers = [desk.ask(target, *headers) for _time in range(3)]
    assert desk.calls == 3
    assert len({status for status, _head, _body in answers}) == 1


@pytest.mark.parametrize(("shares_own", "calls"), [(True, 2), (False, 1)])
def test_where_others_were_asked_first(tmp_path: t.Any, shares_own: bool, calls: int) -> None:
    """A repository that nobody named a registry of may be our own, which peers may have."""
    desk = Desk(str(tmp_path / "store"), shares_own)
    raw = desk.put("one", name="docker.io/team/app")
    for _time in range(2):
        exchange = desk.exchange("/v2/team/app/manifests/1")
        found = exchange.repeat()
        if found is None:
            body = exchange.answer(desk.application)
            exchange.head(body)
            assert b"".join(body) == raw
    assert (desk.calls, desk.elsewhere.asked) == (calls, calls)


def test_over_a_connection_that_is_to_end(desk: Desk) -> None:
    raw = desk.put("one")
    host = Host()
    try:
        host.loop._service.application = desk.application
        asked = f"GET {TAG} HTTP/1.1\r\nHost: mirror\r\n\r\n".encode()
        with host.served.connect() as client:
            answers = []
            for alive in (True, True, False):
                host.served.alive = alive
                client.sendall(asked)
                answers.append(read_answer(client))
            assert client.recv(1) == b""
        assert [body for _head, body in answers] == [raw] * 3
        assert [b"Connection: close" in head for head, _body in answers] == [False, False, True]
        assert desk.calls == 2
        for told in host.served.told:
            assert told == (TAG.partition("?")[0], "200 OK", len(raw), True)
    finally:
        host.close()
