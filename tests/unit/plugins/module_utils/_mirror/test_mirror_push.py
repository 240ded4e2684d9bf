# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pushes into the mirror's own namespace, and what is seen of them where."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import typing as t
from http import HTTPStatus
from urllib.parse import quote

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api import push as push_module
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api import uploads as uploads_module
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Content, Found
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.pushing import (
    CONFIG,
    NAME,
    Pushing,
    basic,
    code,
    descriptor,
    image,
    index,
)
from ansible_collections.sealer.cluster.tests.unit.sample_image import Sample, sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LAYER = b"a layer"
ABSENT = Digest.of(b"absent")


@pytest.fixture
def mirror(tmp_path: pathlib.Path) -> Pushing:
    return Pushing.over(tmp_path, Layout.open(str(tmp_path / "store"), create=True))


@pytest.fixture
def cluster(mirror: Pushing) -> Sample:
    """A cluster image in the same store, named by an operator."""
    return sample(mirror.layout, f"{NAME}/clusters/shop:1")


def test_image_that_was_pushed(mirror: Pushing) -> None:
    digest = mirror.push("team/app", "1.0", LAYER)
    assert mirror.index_names() == {f"{NAME}/team/app:1.0": str(digest)}
    for path in (f"team/app/manifests/{digest}", "team/app/manifests/1.0", f"{NAME}/team/app/manifests/1.0"):
        assert mirror("GET", f"/v2/{path}", authorization="").status == 401
        answer = mirror.client(f"/v2/{path}")
        assert (answer.status, answer.body) == (200, image(LAYER))
    for ns in (NAME, f"{NAME}%3A5000"):
        assert mirror("GET", f"/v2/team/app/manifests/1.0?ns={ns}").headers["Docker-Content-Digest"] == str(digest)
    assert mirror.layout.find(Reference.parse(f"{NAME}/team/app:1.0")) is not None
    assert mirror.layout.verify() == []
    assert mirror.layout.prune() == []


def test_manifest_comes_as_it_went(mirror: Pushing) -> None:
    mirror.blob("a", CONFIG)
    raw = json.dumps(json.loads(image(annotations={"\u00e9": "\u4e2d"})), indent=3).encode() + b"\n\n"
    mirror.manifest("a", "1", raw)
    assert mirror.client("/v2/a/manifests/1").body == raw


def test_repositories_are_apart(mirror: Pushing) -> None:
    digest = mirror.push("a", "1", LAYER)
    for other in ("b", "a/a", "quay.io/a", "docker.io/library/a"):
        assert code(mirror("GET", f"/v2/{other}/manifests/{digest}")) == "MANIFEST_UNKNOWN"
        assert code(mirror("GET", f"/v2/{other}/manifests/1")) == "MANIFEST_UNKNOWN"
        assert code(mirror("GET", f"/v2/{other}/blobs/{Digest.of(LAYER)}")) == "BLOB_UNKNOWN"
    assert mirror("GET", f"/v2/a/blobs/{Digest.of(LAYER)}").body == LAYER
    assert mirror("GET", f"/v2/a/blobs/{digest}").status == 404


def test_content_of_cluster_images_stays_seen_everywhere(mirror: Pushing, cluster: Sample) -> None:
    layer = cluster.layers["linux/amd64"]
    data = mirror.layout.read_blob(layer)
    mirror.blob("a", data)
    mirror("DELETE", f"/v2/a/blobs/{layer}")
    for path in (f"/v2/x/blobs/{layer}", f"/v2/quay.io/x/blobs/{layer}"):
        assert mirror.client(path).body == data


def test_content_that_comes_again_by_other_ways_is_seen_everywhere(mirror: Pushing) -> None:
    other = Layout.open(mirror.layout.path + "-other", create=True)
    made = sample(other, "quay.io/shop:1")
    layer = made.layers["linux/amd64"]
    mirror.blob("a", other.read_blob(layer))
    assert mirror.client(f"/v2/quay.io/shop/blobs/{layer}").status == 404
    sample(mirror.layout, "quay.io/shop:1")
    assert mirror.client(f"/v2/quay.io/shop/blobs/{layer}").status == 200
    mirror.blob("a", LAYER)
    assert mirror.client(f"/v2/quay.io/x/blobs/{Digest.of(LAYER)}").status == 404
    PulledRecords(mirror.layout).mark(Digest.of(LAYER), len(LAYER), "quay.io")
    assert mirror.client(f"/v2/quay.io/x/blobs/{Digest.of(LAYER)}").status == 200


def test_operator_names_what_was_pushed(mirror: Pushing) -> None:
    digest = mirror.push("a", "1", LAYER)
    entry = mirror.layout.resolve(Reference.parse(f"{NAME}/a:1"))
    mirror.layout.tag(Reference.parse(f"{NAME}/b:1"), entry)
    assert mirror.client(f"/v2/b/blobs/{Digest.of(LAYER)}").body == LAYER
    assert mirror.client(f"/v2/b/manifests/{digest}").status == 200


@pytest.mark.parametrize("registry", ["quay.io", "docker.io", "localhost:5000"])
def test_other_registries_cannot_be_written(mirror: Pushing, registry: str) -> None:
    raw = image(LAYER)
    for method, path, body in (
        ("POST", "x/blobs/uploads/", b""),
        ("PUT", "x/manifests/1", raw),
        ("DELETE", "x/manifests/1", b""),
        ("DELETE", f"x/blobs/{ABSENT}", b""),
        ("PATCH", f"x/blobs/uploads/{'0' * 8}-0000-0000-0000-{'0' * 12}", b"x"),
    ):
        for answer in (
            mirror(method, f"/v2/{registry}/{path}", body),
            mirror(method, f"/v2/{path}?ns={registry}", body),
        ):
            assert (answer.status, code(answer)) == (403, "DENIED")


@pytest.mark.parametrize(
    ("authorization", "status", "wanted"),
    [
        (basic("node", "secret"), 403, "DENIED"),
        (basic("ci", "wrong"), 401, "UNAUTHORIZED"),
        (basic("", ""), 401, "UNAUTHORIZED"),
        ("Bearer x", 401, "UNAUTHORIZED"),
    ],
)
def test_who_may_not_push(mirror: Pushing, authorization: str, status: int, wanted: str) -> None:
    for method, path in (
        ("POST", "/v2/a/blobs/uploads/"),
        ("GET", "/v2/a/blobs/uploads/x"),
        ("PUT", "/v2/a/manifests/1"),
        ("DELETE", "/v2/a/manifests/1"),
    ):
        answer = mirror(method, path, b"", authorization=authorization)
        assert (answer.status, code(answer)) == (status, wanted)
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v2/a/manifests/1", "GET, HEAD, PUT, DELETE"),
        ("PUT", f"/v2/a/blobs/{ABSENT}", "GET, HEAD, DELETE"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("POST", "/v2/a/blobs/uploads/x", "GET, HEAD, PATCH, PUT, DELETE"),
        ("DELETE", "/v2/a/tags/list", "GET, HEAD"),
        ("PUT", "/v2/_catalog", "GET, HEAD"),
        ("PUT", f"/v2/a/referrers/{ABSENT}", "GET, HEAD"),
        ("POST", "/v2/", "GET, HEAD"),
        ("POST", "/nothing", "GET, HEAD"),
    ],
)
def test_methods(mirror: Pushing, method: str, path: str, allowed: str) -> None:
    answer = mirror(method, path, b"")
    assert (answer.status, code(answer), answer.headers["Allow"]) == (405, "UNSUPPORTED", allowed)


def test_login_is_offered(mirror: Pushing, tmp_path: pathlib.Path) -> None:
    assert "WWW-Authenticate" in mirror.client("/v2/").headers
    assert "WWW-Authenticate" not in mirror("GET", "/v2/").headers
    assert mirror.client("/v2/").status == 200
    closed = Pushing.over(tmp_path, mirror.layout, anonymous_pull=False)
    for path in ("/v2/", "/v2/a/manifests/1", f"/v2/a/blobs/{ABSENT}", "/v2/_catalog", "/v2/a/tags/list"):
        answer = closed.client(path)
        assert (answer.status, code(answer)) == (401, "UNAUTHORIZED")
        assert "WWW-Authenticate" in answer.headers
        assert closed("GET", path, authorization=basic("node", "secret")).status in (200, 404)
    assert (closed.client("/healthz").status, closed.client("/readyz").status) == (200, 200)


def rejected(mirror: Pushing, raw: bytes, what: t.Union[str, Digest] = "1", query: str = "") -> tuple[int, str]:
    answer = mirror("PUT", f"/v2/a/manifests/{what}{query}", raw)
    names, held = mirror.index_names(), mirror.client("/v2/a/tags/list").body
    assert names == {}
    assert b'"tags": []' in held or b"NAME_UNKNOWN" in held
    return answer.status, code(answer)


def test_manifests_that_are_not_taken(mirror: Pushing) -> None:
    config = mirror.blob("a", CONFIG)
    good = image()
    assert rejected(mirror, b"") == (400, "MANIFEST_INVALID")
    assert rejected(mirror, b"{}") == (400, "MANIFEST_INVALID")
    assert rejected(mirror, b"[" * 9999) == (400, "MANIFEST_INVALID")
    assert rejected(mirror, good.replace(b"OCI", b"").replace(b'"schemaVersion":2', b'"schemaVersion":1')) == (
        400,
        "MANIFEST_INVALID",
    )
    assert rejected(mirror, good, Digest.of(b"else")) == (400, "DIGEST_INVALID")
    assert rejected(mirror, good, "1", f"?digest={Digest.of(b'else')}") == (400, "DIGEST_INVALID")
    assert rejected(mirror, good, "sha256:short") == (400, "DIGEST_INVALID")
    assert rejected(mirror, good, Digest.of(good), "?tag=-x") == (400, "MANIFEST_INVALID")
    many = "&".join(f"tag=t{number}" for number in range(101))
    assert rejected(mirror, good, Digest.of(good), f"?{many}") == (414, "MANIFEST_INVALID")
    wrong_size = good.replace(f'"size":{len(CONFIG)}'.encode(), b'"size":7')
    assert rejected(mirror, wrong_size) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert rejected(mirror, image(LAYER)) == (400, "MANIFEST_BLOB_UNKNOWN")
    mirror.blob("b", LAYER)
    assert rejected(mirror, image(LAYER)) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert mirror.layout.has(config)
    contradicts = mirror("PUT", "/v2/a/manifests/1", good, content_type=media.OCI_INDEX)
    assert (contradicts.status, code(contradicts)) == (400, "MANIFEST_INVALID")


def test_manifest_that_is_too_large(mirror: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.blob("a", CONFIG)
    fits = image()
    monkeypatch.setattr(push_module, "MANIFEST_LIMIT", len(fits))
    mirror.manifest("a", "1", fits)
    for headers in ({}, {"content_length": ""}):
        answer = mirror("PUT", "/v2/a/manifests/1", fits + b" ", **headers)
        assert (answer.status, code(answer)) == (413, "SIZE_INVALID")
    assert push_module.MANIFEST_LIMIT < 5 * 1024 * 1024


def test_manifest_with_many_blobs(mirror: Pushing) -> None:
    mirror.blob("a", CONFIG)
    raw = json.loads(image())
    raw["layers"] = [descriptor(CONFIG)] * 10000
    mirror_answer = mirror("PUT", "/v2/a/manifests/1", json.dumps(raw).encode())
    assert (mirror_answer.status, code(mirror_answer)) == (400, "MANIFEST_INVALID")


def test_blobs_of_elsewhere_that_a_manifest_names_are_held(mirror: Pushing, cluster: Sample) -> None:
    layer = cluster.layers["linux/amd64"]
    data = mirror.layout.read_blob(layer)
    mirror.blob("a", CONFIG)
    assert mirror("HEAD", f"/v2/a/blobs/{layer}").status == 200
    mirror.manifest("a", "1", image(data))
    mirror.layout.untag(cluster.reference)
    mirror.layout.prune()
    assert mirror.client(f"/v2/a/blobs/{layer}").body == data


def test_blobs_that_a_manifest_names_stay_seen(mirror: Pushing) -> None:
    layer = mirror.blob("b", LAYER)
    records = PulledRecords(mirror.layout)
    records.mark(layer, len(LAYER), "quay.io")
    mirror.blob("a", CONFIG)
    mirror.manifest("a", "1", image(LAYER))
    records.forget(layer)
    assert mirror.client(f"/v2/quay.io/x/blobs/{layer}").status == 404
    assert mirror.client(f"/v2/a/blobs/{layer}").body == LAYER


def test_foreign_layers_need_not_be_here(mirror: Pushing) -> None:
    mirror.blob("a", CONFIG)
    foreign = descriptor(LAYER, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    mirror.manifest("a", "1", image(layers=[foreign]))


def test_index_may_lack_platforms(mirror: Pushing) -> None:
    mirror.blob("a", CONFIG)
    here, absent = image(), image(annotations={"x": "y"})
    mirror.manifest("a", Digest.of(here), here)
    raw = index(here, absent)
    answer = mirror("PUT", "/v2/a/manifests/all", raw, content_type=media.OCI_INDEX)
    assert answer.status == 201
    assert mirror.client("/v2/a/manifests/all").headers["Content-Type"] == media.OCI_INDEX
    assert mirror.layout.prune() == []


def test_sha512(mirror: Pushing) -> None:
    config, raw = Digest.of(CONFIG, "sha512"), image().replace(
        str(Digest.of(CONFIG)).encode(), str(Digest.of(CONFIG, "sha512")).encode()
    )
    assert mirror("POST", f"/v2/a/blobs/uploads/?digest={config}", CONFIG).status == 201
    digest = Digest.of(raw, "sha512")
    answer = mirror("PUT", f"/v2/a/manifests/{digest}?tag=1&tag=2", raw)
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert answer.headers["OCI-Tag"] == "1, 2"
    for what in (digest, "1", "2"):
        found = mirror.client(f"/v2/a/manifests/{what}")
        assert (found.status, found.body, found.headers["Docker-Content-Digest"]) == (200, raw, str(digest))
    assert mirror.layout.prune() == []
    assert mirror.layout.verify() == []
    assert mirror("DELETE", f"/v2/a/manifests/{digest}").status == 202
    assert mirror.index_names() == {}


def test_tag_and_other_digest(mirror: Pushing) -> None:
    mirror.blob("a", CONFIG)
    digest = Digest.of(image(), "sha512")
    answer = mirror("PUT", f"/v2/a/manifests/1?digest={digest}", image())
    assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, str(digest))
    assert "OCI-Tag" not in answer.headers


def test_tags_move(mirror: Pushing) -> None:
    first, second = mirror.push("a", "1", LAYER), mirror.push("a", "1", b"other")
    assert mirror.index_names() == {f"{NAME}/a:1": str(second)}
    assert mirror.client(f"/v2/a/manifests/{first}").status == 200


def test_deleting_a_tag(mirror: Pushing) -> None:
    digest = mirror.push("a", "1", LAYER)
    mirror.manifest("a", "2", image(LAYER))
    assert mirror("DELETE", "/v2/a/manifests/1").status == 202
    assert mirror.client("/v2/a/manifests/1").status == 404
    assert mirror.client("/v2/a/manifests/2").status == 200
    assert mirror("DELETE", "/v2/a/manifests/2").status == 202
    assert mirror.client(f"/v2/a/manifests/{digest}").status == 200
    answer = mirror("DELETE", "/v2/a/manifests/2")
    assert (answer.status, code(answer)) == (404, "MANIFEST_UNKNOWN")


def test_deleting_a_manifest(mirror: Pushing) -> None:
    digest = mirror.push("a", "1", LAYER)
    mirror.push("b", "1", LAYER)
    mirror.push("a", "other", b"other")
    mirror.manifest("a", "2", image(LAYER))
    assert mirror("DELETE", f"/v2/a/manifests/{digest}").status == 202
    for what in (digest, "1", "2"):
        assert mirror.client(f"/v2/a/manifests/{what}").status == 404
    assert set(mirror.index_names()) == {f"{NAME}/a:other", f"{NAME}/b:1"}
    assert mirror.client(f"/v2/b/manifests/{digest}").status == 200
    answer = mirror("DELETE", f"/v2/a/manifests/{digest}")
    assert (answer.status, code(answer)) == (404, "MANIFEST_UNKNOWN")


def test_deleting_a_blob(mirror: Pushing) -> None:
    for repository in ("a", "b"):
        mirror.blob(repository, LAYER)
    digest = Digest.of(LAYER)
    assert mirror("DELETE", f"/v2/a/blobs/{digest}").status == 202
    assert mirror.client(f"/v2/a/blobs/{digest}").status == 404
    assert mirror.client(f"/v2/b/blobs/{digest}").status == 200
    answer = mirror("DELETE", f"/v2/a/blobs/{digest}")
    assert (answer.status, code(answer)) == (404, "BLOB_UNKNOWN")


def test_cluster_images_belong_to_operators(mirror: Pushing, cluster: Sample) -> None:
    names = mirror.index_names()
    mirror.blob("clusters/shop", CONFIG)
    for method, path in (
        ("PUT", "clusters/shop/manifests/1"),
        ("DELETE", "clusters/shop/manifests/1"),
        ("DELETE", f"clusters/shop/manifests/{cluster.descriptor.digest}"),
    ):
        answer = mirror(method, f"/v2/{path}", image() if method == "PUT" else b"")
        assert (answer.status, code(answer)) == (403, "DENIED")
    assert mirror.index_names() == names


def test_pushed_cluster_image_names_no_others(mirror: Pushing, tmp_path: pathlib.Path) -> None:
    elsewhere = Layout.open(str(tmp_path / "elsewhere"), create=True)
    evil = sample(elsewhere, "x:1")
    for found in elsewhere.reachable(evil.descriptor):
        data = elsewhere.read_blob(found.digest)
        mirror.blob("evil", data)
        if found.media_type in media.DOCUMENT_TYPES:
            mirror.manifest("evil", found.digest, data)
    mirror.manifest("evil", "1", elsewhere.read_blob(evil.descriptor.digest))
    assert list(mirror.index_names()) == [f"{NAME}/evil:1"]
    mirror.push("a", "1", LAYER)
    assert set(mirror.index_names()) == {f"{NAME}/a:1", f"{NAME}/evil:1"}
    assert mirror.client("/v2/pause/manifests/3.10.1", "ns=registry.k8s.io").status == 404


def test_mounting(mirror: Pushing, cluster: Sample) -> None:
    digest = mirror.blob("a", LAYER)
    layer = cluster.layers["linux/amd64"]
    for query in (
        f"mount={digest}&from=a",
        f"mount={digest}&from={NAME}/a",
        f"mount={digest}",
        f"mount={layer}&from=registry.k8s.io/pause",
        f"mount={layer}&from=b",
    ):
        answer = mirror("POST", f"/v2/c/blobs/uploads/?{query}", b"")
        assert answer.status == 201, query
        assert mirror.client(answer.headers["Location"]).status == 200
        mirror("DELETE", answer.headers["Location"])
    for query in (
        f"mount={digest}&from=b",
        f"mount={digest}&from=quay.io/a",
        f"mount={ABSENT}",
        f"mount={ABSENT}&from=a",
    ):
        answer = mirror("POST", f"/v2/c/blobs/uploads/?{query}", b"")
        assert answer.status == 202, query
        assert mirror.client(f"/v2/c/blobs/{digest}").status == 404
        assert mirror("PUT", f"{answer.headers['Location']}?digest={Digest.of(b'x')}", b"x").status == 201
    for query in ("mount=x", f"mount={digest}&from=A..B", f"digest-algorithm=md5&mount={digest}"):
        assert mirror("POST", f"/v2/c/blobs/uploads/?{query}", b"").status == 400


def test_locations_keep_the_registry(mirror: Pushing) -> None:
    answer = mirror("POST", f"/v2/a/blobs/uploads/?ns={NAME}%3A5000", b"")
    place = answer.headers["Location"]
    assert place.endswith(f"?ns={NAME}%3A5000")
    assert mirror("PATCH", place, b"ab").headers["Location"] == place
    done = mirror("PUT", f"{place}&digest={Digest.of(b'ab')}", b"")
    assert done.headers["Location"] == f"/v2/a/blobs/{Digest.of(b'ab')}?ns={NAME}%3A5000"
    answer = mirror("POST", f"/v2/{NAME}/a/blobs/uploads/", b"")
    assert answer.headers["Location"].startswith(f"/v2/{NAME}/a/blobs/uploads/")


def test_wrong_single_post_leaves_nothing(mirror: Pushing) -> None:
    for body, headers in ((b"else", {}), (LAYER, {"content_length": "99"}), (LAYER, {"content_range": "5-11"})):
        answer = mirror("POST", f"/v2/a/blobs/uploads/?digest={Digest.of(LAYER)}", body, **headers)
        assert answer.status in (400, 416)
        assert os.listdir(os.path.join(mirror.layout.path, "uploads")) == []
    assert mirror.client(f"/v2/a/blobs/{Digest.of(LAYER)}").status == 404


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk(mirror: Pushing, monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    digest = mirror.push("a", "1", LAYER)

    def full(_handle: int, _data: bytes) -> None:
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(uploads_module, "write_all", full)
    answer = mirror("POST", f"/v2/a/blobs/uploads/?digest={ABSENT}", b"absent")
    assert (answer.status, code(answer)) == (507, "DENIED")
    assert mirror.client(f"/v2/a/manifests/{digest}").status == 200
    monkeypatch.undo()
    mirror.blob("a", b"absent")


class Elsewhere:
    """A farther source that tells what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        self.asked.append(asked)
        return None

    def blob(self, asked: Asked) -> t.Optional[Content]:
        self.asked.append(asked)
        return None

    def listing(self, asked: Asked, path: str, query: t.Sequence[tuple[str, str]]) -> None:
        self.asked.append(asked)

    def status(self) -> dict[str, t.Any]:
        return {}

    def close(self) -> None:
        self.asked.clear()


def test_what_others_are_asked(mirror: Pushing, tmp_path: pathlib.Path) -> None:
    far = Elsewhere()
    mirror = Pushing.over(tmp_path, mirror.layout, far)

    def asked(method: str, path: str, **headers: str) -> list[tuple[str, bool, bool]]:
        far.asked.clear()
        assert mirror(method, path, None, **headers).status == 404
        return [(str(one.reference), one.own, one.cached_only) for one in far.asked]

    own, hub = f"{NAME}/app", "docker.io/library/app"
    assert asked("GET", "/v2/app/manifests/1") == [(f"{own}:1", True, False), (f"{hub}:1", False, False)]
    assert asked("GET", "/v2/app/manifests/1?ns=quay.io") == [("quay.io/app:1", False, False)]
    assert asked("GET", f"/v2/app/manifests/1?ns={NAME}") == [(f"{own}:1", True, False)]
    assert asked("GET", "/v2/app/manifests/1", cache_control="max-age=0, only-if-cached") == [
        (f"{own}:1", True, True),
        (f"{hub}:1", False, True),
    ]
    asked("GET", "/v2/app/manifests/1", via="1.1 rack-1:5000 (x), HTTP/1.1 site:5000,bad")
    assert far.asked[0].via == ("rack-1:5000", "site:5000")
    blob = f"/v2/app/blobs/{ABSENT}"
    whole = [(f"{own}@{ABSENT}", True, False), (f"{hub}@{ABSENT}", False, False)]
    assert asked("GET", blob) == whole
    assert asked("HEAD", blob, authorization=basic("node", "secret")) == whole
    assert [cached for _name, _own, cached in asked("HEAD", blob)] == [True, True]
    mirror.push("app", "2", LAYER)
    assert asked("GET", "/v2/app/manifests/1") == [(f"{own}:1", True, False), (f"{hub}:1", False, True)]


@pytest.mark.parametrize(("status", "wanted"), [(403, 404), (502, 502)])
def test_docker_hub_that_nobody_named_may_be_forbidden(
    mirror: Pushing, tmp_path: pathlib.Path, status: int, wanted: int
) -> None:
    class Forbidding(Elsewhere):
        def manifest(self, asked: Asked) -> t.Optional[Found]:
            if asked.own:
                return None
            raise Refused(HTTPStatus(status), "DENIED", "not this registry")

        def blob(self, asked: Asked) -> t.Optional[Content]:
            self.manifest(asked)
            return None

        def listing(self, asked: Asked, path: str, query: t.Sequence[tuple[str, str]]) -> None:
            self.manifest(asked)

    mirror = Pushing.over(tmp_path, mirror.layout, Forbidding())
    for rest in ("manifests/1", f"manifests/{ABSENT}", f"blobs/{ABSENT}", "tags/list"):
        assert mirror("GET", f"/v2/app/{rest}").status == wanted
        assert mirror("GET", f"/v2/docker.io/app/{rest}").status == status


def test_peers_that_are_away(mirror: Pushing, tmp_path: pathlib.Path) -> None:
    class Away(Elsewhere):
        def manifest(self, asked: Asked) -> t.Optional[Found]:
            super().manifest(asked)
            if asked.own and not asked.cached_only:
                raise Refused(HTTPStatus.BAD_GATEWAY, "UNAVAILABLE", "the peer is away")
            return None

        def blob(self, asked: Asked) -> t.Optional[Content]:
            self.manifest(asked)
            return None

    far = Away()
    mirror = Pushing.over(tmp_path, mirror.layout, far)
    for rest in ("manifests/1", f"manifests/{ABSENT}", f"blobs/{ABSENT}"):
        for path in (f"/v2/app/{rest}", f"/v2/{NAME}/app/{rest}"):
            for authorization in ("", mirror.authorization):
                assert mirror.client(path, "", "HEAD", None, **one(authorization)).status == 404
            answer = mirror("GET", path)
            assert (answer.status, code(answer)) == (502, "UNAVAILABLE")
    assert all(asked.own or asked.cached_only for asked in far.asked)
    mirror.push("app", "1", LAYER)
    assert mirror("GET", "/v2/app/manifests/1").status == 200
    assert mirror("GET", f"/v2/app/referrers/{ABSENT}").status == 200


def one(authorization: str) -> dict[str, str]:
    """The header, if there is one."""
    return {"authorization": authorization} if authorization else {}


def test_registry_that_was_named_is_told(mirror: Pushing, cluster: Sample) -> None:
    answer = mirror.client("/v2/pause/manifests/3.10.1", "ns=registry.k8s.io")
    assert answer.headers["OCI-Namespace"] == "registry.k8s.io"
    assert "OCI-Namespace" not in mirror.client("/v2/registry.k8s.io/pause/manifests/3.10.1").headers


TEXT = st.text(st.characters(max_codepoint=255), max_size=40)
WORD = st.sampled_from(
    ["a", "b/c", "quay.io/a", "manifests", "blobs", "uploads", "", "1", "latest", str(ABSENT), "sha512:x", "..", NAME]
)
PATHS = st.one_of(TEXT, st.lists(st.one_of(WORD, TEXT), max_size=6).map(lambda parts: "/".join(["/v2", *parts])))
FIELDS = st.tuples(
    st.sampled_from(["digest", "mount", "from", "tag", "n", "last", "ns", "artifactType", "digest-algorithm"]),
    st.one_of(WORD, TEXT.map(quote)),
).map("=".join)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    path=PATHS,
    query=st.lists(FIELDS, max_size=4).map("&".join),
    body=st.one_of(st.binary(max_size=50), st.just(image()), st.just(index())),
    content_range=st.one_of(TEXT, st.sampled_from(["", "0-1", "5-9"])),
    content_length=st.one_of(TEXT, st.sampled_from(["", "0", "50", "-1", "99999999999999999999"])),
    content_type=st.one_of(TEXT, st.sampled_from([media.OCI_MANIFEST, media.OCI_INDEX])),
)
def test_any_request_of_a_pusher_gets_a_proper_answer(
    mirror: Pushing, method: str, path: str, query: str, body: bytes, **headers: str
) -> None:
    answer = mirror.client(path, query, method, body, authorization=mirror.authorization, **headers)
    assert answer.status in (200, 201, 202, 204, 400, 403, 404, 405, 413, 414, 416)
    if answer.status >= 400 and method != "HEAD":
        code(answer)
    for name, value in answer.headers.items():
        assert (name + value).isascii()
        assert (name + value).isprintable()
