# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The application over a store with a sample image."""

from __future__ import annotations

import json
import logging
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.app import Application, Parts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import (
    Asked,
    Content,
    Found,
    Source,
    StoredContent,
    StoreSource,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import parse_document
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.serving import Answer, Client, Shop
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ABSENT = "sha256:" + "0" * 64
CLUSTER_IMAGE = "/v2/registry.example.com:5000/clusters/shop/manifests/1.0"


def code(answer: Answer) -> str:
    """The error code of an answer in the spec's form, checked to be one."""
    assert answer.headers["Content-Type"] == "application/json"
    (error,) = json.loads(answer.body)["errors"]
    assert set(error) == {"code", "message", "detail"}
    return str(error["code"])


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_version_check(shop: Shop, path: str) -> None:
    answer = shop.get(path)
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


def test_health(shop: Shop) -> None:
    answer = shop.get("/healthz")
    assert answer.status == 200
    assert json.loads(answer.body) == {"status": "ok", "sources": [{"source": "store", "names": 3}]}


def test_readiness(shop: Shop) -> None:
    assert (shop.get("/readyz").status, shop.get("/readyz").body) == (200, b'{"status": "ready"}')


class Away:
    """A source that cannot be used."""

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        return None

    def blob(self, asked: Asked) -> t.Optional[Content]:
        return None

    def status(self) -> dict[str, t.Any]:
        raise OSError("away")


def test_upstreams_make_no_mirror_unready(shop: Shop) -> None:
    get = Client(Application([StoreSource(Store(shop.layout.path)), Away()], logging.getLogger("test")))
    assert (get("/readyz").status, get("/healthz").status) == (200, 503)
    get = Client(Application([Away()], logging.getLogger("test")))
    assert get("/readyz").status == 503


class Told(NoCounts):
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.served_calls: list[tuple[str, str, str, int]] = []

    def served(self, registry: str, kind: str, source: str, size: int) -> None:
        self.served_calls.append((registry, kind, source, size))


def test_metrics(shop: Shop) -> None:
    class Far(Away):
        def manifest(self, asked: Asked) -> t.Optional[Found]:
            return Found(parse_document(b'{"schemaVersion":2,"manifests":[]}'), here=asked.reference.tag == "known")

    counts = Told()
    sources: list[Source] = [StoreSource(Store(shop.layout.path)), Far()]
    get = Client(Application(sources, logging.getLogger("test"), Parts(counts=counts)))
    answer = get("/metrics")
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
    size = len(get("/v2/pause/manifests/3.10.1", "ns=registry.k8s.io").body)
    get("/v2/pause/manifests/3.10.1", "ns=registry.k8s.io", "HEAD")
    layer = len(get(f"/v2/x/blobs/{shop.layer}", "ns=quay.io").body)
    get("/v2/x/manifests/1", "ns=quay.io")
    get("/v2/x/manifests/known", "ns=quay.io")
    assert counts.served_calls == [
        ("registry.k8s.io", "manifest", "store", size),
        ("quay.io", "blob", "store", layer),
        ("quay.io", "manifest", "upstream", 34),
        ("quay.io", "manifest", "store", 34),
    ]


def test_end() -> None:
    closed: list[str] = []
    parts = Parts(closing=[lambda: closed.append("a"), lambda: closed.append("b")])
    Application([], logging.getLogger("test"), parts).close()
    assert closed == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "query", "media_type"),
    [
        (CLUSTER_IMAGE, "", media.OCI_INDEX),
        ("/v2/clusters/shop/manifests/1.0", "ns=registry.example.com%3A5000", media.OCI_INDEX),
        ("/v2/registry.k8s.io/pause/manifests/3.10.1", "", media.OCI_INDEX),
        ("/v2/pause/manifests/3.10.1", "ns=registry.k8s.io", media.OCI_INDEX),
        ("/v2/web/manifests/1.0", "ns=docker.io", media.DOCKER_LIST),
        ("/v2/library/web/manifests/1.0", "ns=docker.io", media.DOCKER_LIST),
        ("/v2/web/manifests/1.0", "", media.DOCKER_LIST),
        ("/v2/docker.io/web/manifests/1.0", "", media.DOCKER_LIST),
    ],
)
def test_manifest_by_tag(shop: Shop, path: str, query: str, media_type: str) -> None:
    answer = shop.get(path, query)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["Content-Length"] == str(len(answer.body))
    digest = Digest.of(answer.body)
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert answer.headers["ETag"] == f'"{digest}"'
    head = shop.get(path, query, "HEAD")
    assert (head.status, head.headers, head.body) == (200, answer.headers, b"")


def test_every_document_and_blob_by_digest(shop: Shop) -> None:
    for descriptor in shop.layout.reachable(shop.made.descriptor):
        for name in ("quay.io/any/name", "x"):
            blob = shop.get(f"/v2/{name}/blobs/{descriptor.digest}")
            assert blob.status == 200
            assert Digest.of(blob.body) == descriptor.digest
            assert blob.headers["Content-Type"] == "application/octet-stream"
            document = shop.get(f"/v2/{name}/manifests/{descriptor.digest}")
            if descriptor.media_type == media.UPSTREAM_INDEX_V1:
                assert (document.status, document.body) == (200, blob.body)
                assert document.headers["Content-Type"] in media.INDEX_TYPES
            elif descriptor.media_type in media.DOCUMENT_TYPES:
                assert (document.status, document.headers["Content-Type"]) == (200, descriptor.media_type)
                assert document.body == blob.body
            else:
                assert (document.status, code(document)) == (404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("/v2/nothing/manifests/1", "", "MANIFEST_UNKNOWN"),
        ("/v2/web/manifests/2.0", "ns=docker.io", "MANIFEST_UNKNOWN"),
        ("/v2/web/manifests/1.0", "ns=quay.io", "MANIFEST_UNKNOWN"),
        ("/v2/quay.io/web/manifests/1.0", "", "MANIFEST_UNKNOWN"),
        (f"/v2/web/manifests/{ABSENT}", "", "MANIFEST_UNKNOWN"),
        (f"/v2/web/blobs/{ABSENT}", "", "BLOB_UNKNOWN"),
        ("/v2/web/tags/list", "", "UNSUPPORTED"),
        (f"/v2/web/referrers/{ABSENT}", "", "UNSUPPORTED"),
        ("/v2/_catalog", "", "UNSUPPORTED"),
        ("/metrics", "", "UNSUPPORTED"),
        ("", "", "UNSUPPORTED"),
    ],
)
def test_not_there(shop: Shop, path: str, query: str, wanted: str) -> None:
    answer = shop.get(path, query)
    assert (answer.status, code(answer)) == (404, wanted)
    head = shop.get(path, query, "HEAD")
    assert (head.status, head.headers, head.body) == (404, answer.headers, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get"])
@pytest.mark.parametrize(
    "path", ["/v2/", "/healthz", "/v2/web/manifests/1.0", f"/v2/web/blobs/{ABSENT}", "/v2/web/blobs/uploads/"]
)
def test_other_methods(shop: Shop, path: str, method: str) -> None:
    answer = shop.get(path, "", method)
    assert (answer.status, code(answer), answer.headers["Allow"]) == (405, "UNSUPPORTED", "GET, HEAD")


def test_conditional_requests(shop: Shop) -> None:
    for path in (CLUSTER_IMAGE, f"/v2/x/blobs/{shop.layer}"):
        whole = shop.get(path)
        for condition in (whole.headers["ETag"], f'"x", W/{whole.headers["ETag"]}', "*"):
            answer = shop.get(path, if_none_match=condition, range="bytes=0-0")
            assert (answer.status, answer.body) == (304, b"")
            assert answer.headers["ETag"] == whole.headers["ETag"]
            assert "Content-Length" not in answer.headers
        assert shop.get(path, if_none_match='"other"').body == whole.body


def test_ranges(shop: Shop) -> None:
    path = f"/v2/x/blobs/{shop.layer}"
    whole = shop.get(path)
    size = len(whole.body)
    assert whole.headers["Accept-Ranges"] == "bytes"
    for header, start, end in (("bytes=0-9", 0, 10), ("bytes=-7", size - 7, size), ("bytes=100-", 100, size)):
        answer = shop.get(path, range=header)
        assert (answer.status, answer.body) == (206, whole.body[start:end])
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/{size}"
        assert answer.headers["Content-Length"] == str(end - start)
        assert shop.get(path, range=header, if_range=whole.headers["ETag"]).status == 206
        assert shop.get(path, range=header, if_range='"other"').body == whole.body
        assert shop.get(path, "", "HEAD", range=header).headers == whole.headers
    outside = shop.get(path, range=f"bytes={size}-")
    assert (outside.status, outside.headers["Content-Range"]) == (416, f"bytes */{size}")
    assert shop.get(path, range="bytes=0-1,3-4").body == whole.body


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-1"}, {"range": "bytes=99-"}, {"if_none_match": "*"}])
def test_blobs_are_closed(tmp_path: pathlib.Path, method: str, headers: dict[str, str]) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"content")

    class OneBlob:
        content = StoredContent.open(Digest.parse(ABSENT), str(path))

        def manifest(self, asked: Asked) -> None:
            return None

        def blob(self, asked: Asked) -> t.Optional[Content]:
            return self.content

        def status(self) -> dict[str, t.Any]:
            return {}

    source = OneBlob()
    Client(Application([source], logging.getLogger("test")))(f"/v2/x/blobs/{ABSENT}", "", method, None, **headers)
    assert source.content is not None
    assert source.content.fileno() is None


@pytest.mark.parametrize(
    ("stale", "age", "wanted"),
    [(True, 400, {"Warning": '110 - "Response is Stale"', "Age": "400"}), (False, 0, {"Age": "0"}), (False, None, {})],
)
def test_age_is_told(shop: Shop, stale: bool, age: t.Optional[int], wanted: dict[str, str]) -> None:
    document = parse_document(shop.get(CLUSTER_IMAGE).body)

    class Old:
        def manifest(self, asked: Asked) -> Found:
            return Found(document, stale, age)

        def blob(self, asked: Asked) -> None:
            return None

        def status(self) -> dict[str, t.Any]:
            return {}

    answer = Client(Application([Old()], logging.getLogger("test")))("/v2/x/manifests/1")
    assert {name: answer.headers[name] for name in ("Warning", "Age") if name in answer.headers} == wanted


def test_new_content_shows_at_once(shop: Shop) -> None:
    path = "/v2/new/manifests/1"
    assert shop.get(path, "ns=quay.io").status == 404
    first = shop.get(CLUSTER_IMAGE).headers["Docker-Content-Digest"]
    shop.layout.tag(Reference.parse("quay.io/new:1"), shop.made.descriptor)
    assert shop.get(path, "ns=quay.io").headers["Docker-Content-Digest"] == first
    again = sample(shop.layout, str(shop.made.reference), seed="other")
    assert shop.get(CLUSTER_IMAGE).headers["Docker-Content-Digest"] == str(again.descriptor.digest) != first


def test_pruned_content_is_gone(shop: Shop) -> None:
    pinned = f"/v2/x/manifests/{shop.made.descriptor.digest}"
    assert shop.get(pinned).status == 200
    shop.layout.untag(shop.made.reference)
    shop.layout.prune()
    assert shop.get(pinned).status == 404
    assert shop.get(f"/v2/x/blobs/{shop.layer}").status == 404
    assert shop.get("/v2/web/manifests/1.0").status == 404


def test_document_without_media_type(shop: Shop) -> None:
    raw = b'{"schemaVersion":2,"manifests":[]}'
    shop.layout.put_bytes(raw)
    shop.layout.tag(Reference.parse("quay.io/bare:1"), parse_document(raw).descriptor())
    answer = shop.get("/v2/bare/manifests/1", "ns=quay.io")
    assert (answer.headers["Content-Type"], answer.body) == (media.OCI_INDEX, raw)


def test_damaged_document_is_not_served(shop: Shop) -> None:
    path = pathlib.Path(shop.layout.blob_path(shop.made.descriptor.digest))
    path.write_bytes(path.read_bytes().replace(b"a", b"b"))
    answer = shop.get(CLUSTER_IMAGE)
    assert (answer.status, code(answer)) == (503, "UNKNOWN")
    assert shop.get("/v2/web/manifests/1.0").status == 200


@pytest.mark.parametrize("damage", ["garbage", "gone", "no store"])
def test_store_that_cannot_be_read(tmp_path: pathlib.Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "store"
    if damage != "no store":
        Layout.open(str(path), create=True)
    if damage == "garbage":
        (path / "index.json").write_text("{")
    elif damage == "gone":
        (path / "index.json").unlink()
    get = Client(Application([StoreSource(Store(str(path)))], logging.getLogger("test")))
    assert (get("/v2/").status, get("/healthz").status) == (200, 503)
    answer = get("/v2/web/manifests/1.0")
    assert (answer.status, code(answer)) == (503, "UNKNOWN")
    assert str(path) in caplog.text
    assert str(path).encode() not in answer.body
    if damage == "no store":
        sample(Layout.open(str(path), create=True), "x:1")
        assert (get("/healthz").status, get("/v2/web/manifests/1.0").status) == (200, 200)


def test_first_source_that_has_it(tmp_path: pathlib.Path) -> None:
    near, far = (Layout.open(str(tmp_path / name), create=True) for name in ("near", "far"))
    mine = sample(near, "shop:1")
    sample(far, "shop:1", seed="other")
    theirs = sample(far, "shop:2", seed="another")
    sources = [StoreSource(Store(near.path)), StoreSource(Store(far.path))]
    get = Client(Application(sources, logging.getLogger("test")))
    assert get("/v2/shop/manifests/1").headers["Docker-Content-Digest"] == str(mine.descriptor.digest)
    assert get("/v2/shop/manifests/2").headers["Docker-Content-Digest"] == str(theirs.descriptor.digest)
    assert get(f"/v2/shop/blobs/{theirs.layers['linux/arm64']}").status == 200


TEXT = st.text(st.characters(max_codepoint=255), max_size=60)
PIECES = st.sampled_from(
    [
        "",
        "/",
        "v2",
        "..",
        "%2e%2e",
        "manifests",
        "blobs",
        "docker.io",
        "web",
        "1.0",
        "sha256:",
        ABSENT,
        "healthz",
        "\x00",
        "é",
    ]
)
PATHS = st.one_of(
    TEXT, st.lists(st.one_of(PIECES, TEXT), max_size=8).map("/".join), PIECES.map("/v2/{0}/manifests/{0}".format)
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=PATHS,
    query=st.one_of(TEXT, TEXT.map("ns={}".format)),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
    range_header=st.one_of(TEXT, TEXT.map("bytes={}".format)),
    condition=TEXT,
    at_blob=st.booleans(),
)
def test_any_request_gets_a_proper_answer(
    shop: Shop, path: str, query: str, method: str, range_header: str, condition: str, at_blob: bool
) -> None:
    wanted = f"/v2/x/blobs/{shop.layer}" if at_blob else path
    answer = shop.get(wanted, query, method, range=range_header, if_none_match=condition, if_range=condition)
    assert answer.status in (200, 206, 304, 400, 404, 405, 416)
    if answer.status >= 400 and method != "HEAD":
        code(answer)
    for name, value in answer.headers.items():
        assert (name + value).isascii()
        assert (name + value).isprintable()
