# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the OCI distribution specification 1.1 requires of a registry, requirement by requirement.

A registry of two processes runs as the program that nodes run, and each request may meet either. With
``SEALER_CONFORMANCE_BINARY`` naming the specification's own conformance program, that is run, too.
"""

from __future__ import annotations

import hashlib
import http.client
import itertools
import json
import os
import pathlib
import re
import subprocess
import typing as t
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.plugin_utils._mirror_bundle import build
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.pushing import basic, users
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.running import RunningMirror

BINARY = os.environ.get("SEALER_CONFORMANCE_BINARY", "")
CODES = frozenset(
    {
        "BLOB_UNKNOWN",
        "BLOB_UPLOAD_INVALID",
        "BLOB_UPLOAD_UNKNOWN",
        "DIGEST_INVALID",
        "MANIFEST_BLOB_UNKNOWN",
        "MANIFEST_INVALID",
        "MANIFEST_UNKNOWN",
        "NAME_INVALID",
        "NAME_UNKNOWN",
        "SIZE_INVALID",
        "UNAUTHORIZED",
        "DENIED",
        "UNSUPPORTED",
        "TOOMANYREQUESTS",
    }
)
ALGORITHMS = ("sha256", "sha512")
SBOM = "application/vnd.example.sbom.v1"
NUMBERS = itertools.count()
DATA = bytes(range(256)) * 40


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def location(self) -> str:
        """Where it leads, as a path."""
        parts = urlsplit(self.headers["Location"])
        return parts.path + (f"?{parts.query}" if parts.query else "")

    @property
    def codes(self) -> set[str]:
        """The codes of an error body, checked to be of the specification's form."""
        errors = json.loads(self.body)["errors"]
        assert errors
        found = {error["code"] for error in errors}
        assert all(re.fullmatch("[A-Z_]+", code) for code in found)
        assert found <= CODES
        return found

    def json(self) -> t.Any:
        """The body."""
        return json.loads(self.body)


def digest(data: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def with_query(path: str, query: str) -> str:
    return f"{path}{'&' if '?' in path else '?'}{query}"


@dataclass
class Repository:
    """One repository of the registry, fresh for each test, and a client that may push."""

    port: int
    name: str

    @property
    def path(self) -> str:
        return f"/v2/{self.name}"

    def call(self, method: str, path: str, body: t.Any = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        told = {"Authorization": basic("ci", "secret")}
        told.update({name.replace("_", "-"): value for name, value in headers.items()})
        try:
            connection.request(method, path, body, told)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def begin(self) -> Answer:
        answer = self.call("POST", f"{self.path}/blobs/uploads/", b"")
        assert answer.status == 202
        return answer

    def blob(self, data: bytes, algorithm: str = "sha256") -> str:
        name = digest(data, algorithm)
        answer = self.call("POST", f"{self.path}/blobs/uploads/?digest={name}", data)
        assert answer.status == 201
        return name

    def image(self, *layers: bytes, algorithm: str = "sha256", **more: t.Any) -> bytes:
        """A manifest, after its blobs."""
        entries = []
        for data in (b"{}", *layers):
            name = self.blob(data, algorithm)
            entries.append({"mediaType": "application/vnd.example", "digest": name, "size": len(data)})
        document = {"schemaVersion": 2, "mediaType": media.OCI_MANIFEST, "config": entries[0], "layers": entries[1:]}
        return json.dumps({**document, **more}, indent=1).encode()

    def put(self, what: str, raw: bytes, media_type: str = media.OCI_MANIFEST) -> Answer:
        return self.call("PUT", f"{self.path}/manifests/{what}", raw, Content_Type=media_type)

    def get(self, rest: str, **headers: str) -> Answer:
        return self.call("GET", f"{self.path}/{rest}", **headers)

    def sibling(self) -> Repository:
        return Repository(self.port, f"{self.name}-other")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[RunningMirror]:
    directory = tmp_path_factory.mktemp("registry")
    program = directory / "mirror.pyz"
    program.write_bytes(build().data)
    layout = Layout.open(str(directory / "store"), create=True)
    running = RunningMirror(
        program, directory, store=layout.path, workers=2, users_file=str(users(directory / "users.json"))
    )
    yield running
    assert running.close() == 0, running.log
    assert "Traceback" not in running.log
    assert layout.verify() == []


@pytest.fixture
def here(registry: RunningMirror) -> Repository:
    return Repository(int(registry.port), f"conformance/repository{next(NUMBERS)}")


class TestPull:
    """Pulling: end-1, end-2, end-3."""

    def test_registry_tells_that_it_implements_the_specification(self, here: Repository) -> None:
        assert here.call("GET", "/v2/").status == 200

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_blob_is_given_with_digest_and_length(self, here: Repository, algorithm: str) -> None:
        name = here.blob(DATA, algorithm)
        for method, body in (("GET", DATA), ("HEAD", b"")):
            answer = here.call(method, f"{here.path}/blobs/{name}")
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["Docker-Content-Digest"] == name
            assert answer.headers["Content-Length"] == str(len(DATA))

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_manifest_is_given_byte_for_byte_by_tag_and_digest(self, here: Repository, algorithm: str) -> None:
        raw = here.image(DATA, algorithm=algorithm)
        name = digest(raw, algorithm)
        assert here.put(f"{name}?tag=latest", raw).status == 201
        for what, (method, body) in itertools.product((name, "latest"), (("GET", raw), ("HEAD", b""))):
            answer = here.call(method, f"{here.path}/manifests/{what}", Accept=media.OCI_MANIFEST)
            assert (answer.status, answer.body) == (200, body)
            assert answer.headers["Content-Type"] == media.OCI_MANIFEST
            assert answer.headers["Docker-Content-Digest"] == name
            assert answer.headers["Content-Length"] == str(len(raw))

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_what_is_not_there_is_404(self, here: Repository, method: str) -> None:
        for rest in (f"blobs/{digest(b'absent')}", f"manifests/{digest(b'absent')}", "manifests/absent"):
            answer = here.call(method, f"{here.path}/{rest}")
            assert answer.status == 404
            if method == "GET":
                assert answer.codes <= {"BLOB_UNKNOWN", "MANIFEST_UNKNOWN"}

    @pytest.mark.parametrize(
        ("header", "part", "told"),
        [
            ("bytes=0-9", DATA[:10], "bytes 0-9"),
            ("bytes=100-", DATA[100:], f"bytes 100-{len(DATA) - 1}"),
            ("bytes=-7", DATA[-7:], f"bytes {len(DATA) - 7}-{len(DATA) - 1}"),
            ("bytes=10-999999", DATA[10:], f"bytes 10-{len(DATA) - 1}"),
        ],
    )
    def test_blob_is_given_in_ranges(self, here: Repository, header: str, part: bytes, told: str) -> None:
        answer = here.get(f"blobs/{here.blob(DATA)}", Range=header)
        assert (answer.status, answer.body) == (206, part)
        assert answer.headers["Content-Range"] == f"{told}/{len(DATA)}"

    def test_range_outside_of_the_blob_is_416(self, here: Repository) -> None:
        answer = here.get(f"blobs/{here.blob(DATA)}", Range=f"bytes={len(DATA)}-")
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(DATA)}")

    def test_what_the_client_has_is_not_sent_again(self, here: Repository) -> None:
        raw = here.image()
        here.put("1", raw)
        for rest in ("manifests/1", f"manifests/{digest(raw)}", f"blobs/{digest(b'{}')}"):
            answer = here.get(rest, If_None_Match=here.get(rest).headers["ETag"])
            assert (answer.status, answer.body) == (304, b"")


class TestPushOfBlobs:
    """Pushing blobs: end-4a, end-4b, end-4c, end-6."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("data", [DATA, b""])
    def test_post_then_put(self, here: Repository, algorithm: str, data: bytes) -> None:
        query = f"?digest-algorithm={algorithm}" if algorithm != "sha256" else ""
        begun = here.call("POST", f"{here.path}/blobs/uploads/{query}", b"")
        assert begun.status == 202
        name = digest(data, algorithm)
        done = here.call(
            "PUT", with_query(begun.location, f"digest={name}"), data, Content_Type="application/octet-stream"
        )
        assert done.status == 201
        assert done.headers["Docker-Content-Digest"] == name
        assert here.call("GET", done.location).body == data

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_single_post(self, here: Repository, algorithm: str) -> None:
        name = digest(DATA, algorithm)
        done = here.call("POST", f"{here.path}/blobs/uploads/?digest={name}", DATA)
        assert (done.status, here.call("GET", done.location).body) == (201, DATA)

    def test_upload_has_a_unique_id(self, here: Repository) -> None:
        places = {here.begin().location for _time in range(5)}
        assert len(places) == 5
        assert all(
            re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", place) for place in places
        )

    def test_wrong_digest_is_400(self, here: Repository) -> None:
        wrong = digest(b"something else")
        for answer in (
            here.call("POST", f"{here.path}/blobs/uploads/?digest={wrong}", DATA),
            here.call("PUT", with_query(here.begin().location, f"digest={wrong}"), DATA),
        ):
            assert (answer.status, answer.codes) == (400, {"DIGEST_INVALID"})
            assert here.get(f"blobs/{wrong}").status == 404
            assert here.get(f"blobs/{digest(DATA)}").status == 404

    @pytest.mark.parametrize("wrong", ["sha256:short", "md5:d41d8cd98f00b204e9800998ecf8427e", "x", ""])
    def test_invalid_digest_or_algorithm_is_400(self, here: Repository, wrong: str) -> None:
        answer = here.call("PUT", with_query(here.begin().location, f"digest={wrong}"), DATA)
        assert (answer.status, answer.codes) == (400, {"DIGEST_INVALID"})

    def test_unknown_upload_is_404(self, here: Repository) -> None:
        place = here.begin().location.replace(here.name, here.sibling().name)
        for method, query in (("PATCH", ""), ("PUT", f"digest={digest(b'x')}"), ("GET", ""), ("DELETE", "")):
            answer = here.call(method, with_query(place, query), b"x" if method[0] == "P" else None)
            assert (answer.status, answer.codes) == (404, {"BLOB_UPLOAD_UNKNOWN"})

    def test_invalid_name_is_refused(self, here: Repository) -> None:
        for name in ("a//b", "a/UPPER", "a/../b", "a/-b", "a" * 256):
            answer = here.call("POST", f"/v2/{name}/blobs/uploads/", b"")
            assert (answer.status, answer.codes) == (400, {"NAME_INVALID"})

    def test_blob_that_is_here_can_be_pushed_again(self, here: Repository) -> None:
        assert here.blob(DATA) == here.blob(DATA)


class TestPushInChunks:
    """Chunked and streamed pushes: end-5, end-6, end-13, end-14."""

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("last_by_put", [False, True])
    def test_chunks_in_order(self, here: Repository, algorithm: str, last_by_put: bool) -> None:
        place, step = here.begin().location, 4000
        name = digest(DATA, algorithm)
        rest = b""
        told = {}
        for start in range(0, len(DATA), step):
            chunk = DATA[start : start + step]
            content_range = f"{start}-{start + len(chunk) - 1}"
            if last_by_put and start + step >= len(DATA):
                rest, told = chunk, {"Content_Range": content_range}
                break
            answer = here.call("PATCH", place, chunk, Content_Range=content_range)
            assert answer.status == 202
            assert answer.headers["Range"] == f"0-{start + len(chunk) - 1}"
            place = answer.location
        done = here.call("PUT", with_query(place, f"digest={name}"), rest, **told)
        assert (done.status, here.call("GET", done.location).body) == (201, DATA)

    @pytest.mark.parametrize("known_length", [True, False])
    def test_stream_without_range(self, here: Repository, known_length: bool) -> None:
        body = DATA if known_length else iter([DATA[:5000], DATA[5000:]])
        answer = here.call("PATCH", here.begin().location, body)
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{len(DATA) - 1}")
        done = here.call("PUT", with_query(answer.location, f"digest={digest(DATA)}"), b"")
        assert (done.status, here.call("GET", done.location).body) == (201, DATA)

    @pytest.mark.parametrize("method", ["PATCH", "PUT"])
    @pytest.mark.parametrize("start", [0, 50, 200])
    def test_chunk_out_of_order_is_416_and_the_upload_goes_on(self, here: Repository, method: str, start: int) -> None:
        place = here.call("PATCH", here.begin().location, DATA[:100], Content_Range="0-99").location
        wrong = with_query(place, f"digest={digest(DATA[:200])}") if method == "PUT" else place
        answer = here.call(method, wrong, DATA[start : start + 100], Content_Range=f"{start}-{start + 99}")
        assert answer.status == 416
        status = here.call("GET", place)
        assert (status.status, status.headers["Range"]) == (204, "0-99")
        done = here.call(
            "PUT",
            with_query(status.location, f"digest={digest(DATA[:200])}"),
            DATA[100:200],
            Content_Range="100-199",
        )
        assert done.status == 201

    def test_first_chunk_begins_with_0(self, here: Repository) -> None:
        assert here.call("PATCH", here.begin().location, b"x", Content_Range="1-1").status == 416

    @pytest.mark.parametrize("told", ["x", "0", "0-", "5-0", "0-7"])
    def test_range_that_is_none_or_does_not_fit_is_400(self, here: Repository, told: str) -> None:
        answer = here.call("PATCH", here.begin().location, b"12345", Content_Range=told)
        assert (answer.status, answer.codes <= {"BLOB_UPLOAD_INVALID", "SIZE_INVALID"}) == (400, True)

    def test_status_of_an_upload(self, here: Repository) -> None:
        begun = here.begin()
        assert here.call("GET", begun.location).status == 204
        place = here.call("PATCH", begun.location, b"12345").location
        status = here.call("GET", place)
        assert (status.status, status.headers["Range"], status.body) == (204, "0-4", b"")
        assert here.call("PATCH", status.location, b"6").headers["Range"] == "0-5"

    def test_cancelled_upload_is_gone(self, here: Repository) -> None:
        place = here.begin().location
        assert here.call("DELETE", place).status == 204
        assert here.call("GET", place).status == 404
        assert here.call("PUT", with_query(place, f"digest={digest(b'')}"), b"").status == 404

    def test_finished_upload_is_gone(self, here: Repository) -> None:
        place = here.begin().location
        assert here.call("PUT", with_query(place, f"digest={digest(DATA)}"), DATA).status == 201
        assert here.call("GET", place).status == 404


class TestMount:
    """Mounting blobs of other repositories: end-11."""

    def test_mount(self, here: Repository) -> None:
        name, other = here.blob(DATA), here.sibling()
        answer = here.call("POST", f"{other.path}/blobs/uploads/?mount={name}&from={here.name}", b"")
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, name)
        assert answer.location.startswith(other.path)
        assert here.call("GET", answer.location).body == DATA

    def test_mount_without_a_source(self, here: Repository) -> None:
        name, other = here.blob(DATA), here.sibling()
        assert here.call("POST", f"{other.path}/blobs/uploads/?mount={name}", b"").status == 201
        assert other.get(f"blobs/{name}").body == DATA

    def test_what_cannot_be_mounted_begins_an_upload(self, here: Repository) -> None:
        absent, other = digest(b"only here " + here.name.encode()), here.sibling()
        for query in (f"mount={absent}", f"mount={absent}&from={here.name}", f"mount={absent}&from=no/such"):
            answer = here.call("POST", f"{other.path}/blobs/uploads/?{query}", b"")
            assert answer.status == 202
            data = b"only here " + here.name.encode()
        assert here.call("PUT", with_query(answer.location, f"digest={absent}"), data).status == 201

    def test_blob_is_not_seen_where_it_was_not_mounted(self, here: Repository) -> None:
        name = here.blob(b"not mounted " + here.name.encode())
        for method in ("GET", "HEAD", "DELETE"):
            assert here.call(method, f"{here.sibling().path}/blobs/{name}").status == 404


class TestPushOfManifests:
    """Pushing manifests: end-7a, end-7b."""

    def test_manifest_by_tag(self, here: Repository) -> None:
        raw = here.image(DATA)
        answer = here.put("latest", raw)
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest(raw))
        assert here.call("GET", answer.location).body == raw

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_manifest_by_digest_with_tags(self, here: Repository, algorithm: str) -> None:
        raw = here.image(DATA)
        tags = [f"t{number}" for number in range(12)]
        answer = here.put(f"{digest(raw, algorithm)}?{'&'.join(f'tag={tag}' for tag in tags)}", raw)
        assert answer.status == 201
        assert answer.headers["OCI-Tag"].replace(" ", "").split(",") == tags
        assert answer.headers["Docker-Content-Digest"] == digest(raw, algorithm)
        assert all(here.get(f"manifests/{tag}").body == raw for tag in tags)

    def test_index_and_index_in_index(self, here: Repository) -> None:
        raw, kind = here.image(), media.OCI_MANIFEST
        here.put(digest(raw), raw)
        for _level in range(2):
            entry = {"mediaType": kind, "digest": digest(raw), "size": len(raw)}
            raw = json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}).encode()
            kind = media.OCI_INDEX
            assert here.put(digest(raw), raw, kind).status == 201
            assert here.get(f"manifests/{digest(raw)}").headers["Content-Type"] == kind

    def test_empty_lists_are_allowed(self, here: Repository) -> None:
        assert here.put("image", here.image()).status == 201
        raw = json.dumps({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": []}).encode()
        assert here.put("index", raw, media.OCI_INDEX).status == 201

    def test_unknown_fields_and_inline_data_are_kept(self, here: Repository) -> None:
        document = {**json.loads(here.image(artifactType=SBOM)), "org.example": {"any": [1, 2]}}
        document["config"]["data"] = "e30="
        raw = json.dumps(document).encode()
        assert here.put("1", raw).status == 201
        assert here.get("manifests/1").body == raw

    def test_parameters_of_the_content_type_are_ignored(self, here: Repository) -> None:
        raw = here.image()
        assert here.put("1", raw, f"{media.OCI_MANIFEST}; charset=utf-8").status == 201
        assert here.get("manifests/1").headers["Content-Type"] == media.OCI_MANIFEST

    def test_layers_that_are_not_distributable_need_not_be_here(self, here: Repository) -> None:
        kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        layer = {"mediaType": kind, "digest": digest(b"elsewhere"), "size": 9, "urls": ["https://layers.example/1"]}
        assert here.put("1", here.image(layers=[layer])).status == 201

    def test_missing_blob_is_told(self, here: Repository) -> None:
        missing = {"mediaType": media.LAYER_TAR, "digest": digest(b"missing " + here.name.encode()), "size": 9}
        answer = here.put("1", here.image(layers=[missing]))
        assert (answer.status, answer.codes) == (400, {"MANIFEST_BLOB_UNKNOWN"})
        assert here.get("manifests/1").status == 404

    @pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"schemaVersion": 2}'])
    def test_invalid_manifest_is_400(self, here: Repository, raw: bytes) -> None:
        answer = here.put("1", raw)
        assert (answer.status, answer.codes) == (400, {"MANIFEST_INVALID"})

    def test_wrong_or_invalid_digest_is_400(self, here: Repository) -> None:
        raw = here.image()
        for what in (digest(raw + b" "), "sha256:short"):
            answer = here.put(what, raw)
            assert (answer.status, answer.codes) == (400, {"DIGEST_INVALID"})
            assert here.get(f"manifests/{what}").status in (400, 404)

    def test_4_megabytes_are_taken_and_far_more_are_413(self, here: Repository) -> None:
        raw = here.image(annotations={"large": "x" * 4_000_000})
        assert here.put("large", raw).status == 201
        assert here.get("manifests/large").body == raw
        assert here.put("larger", here.image(annotations={"large": "x" * 9_000_000})).status == 413

    def test_subject_that_is_not_here_is_accepted_and_told(self, here: Repository) -> None:
        subject = {"mediaType": media.OCI_MANIFEST, "digest": digest(b"not here"), "size": 8}
        answer = here.put("1", here.image(subject=subject))
        assert (answer.status, answer.headers["OCI-Subject"]) == (201, subject["digest"])
        assert "OCI-Subject" not in here.put("2", here.image()).headers

    def test_tag_of_128_characters(self, here: Repository) -> None:
        assert here.put("t" * 128, here.image()).status == 201
        assert here.get(f"manifests/{'t' * 128}").status == 200
        assert here.put("t" * 129, here.image()).status in (400, 404)

    def test_tag_moves(self, here: Repository) -> None:
        first, second = here.image(), here.image(annotations={"second": ""})
        for raw in (first, second):
            here.put("1", raw)
            assert here.get("manifests/1").body == raw
        assert here.get(f"manifests/{digest(first)}").body == first


class TestDiscovery:
    """Tags and referrers: end-8a, end-8b, end-12a, end-12b."""

    def test_tags_are_listed_in_order(self, here: Repository) -> None:
        raw = here.image()
        for tag in ("b", "A", "10", "9"):
            here.put(tag, raw)
        assert here.get("tags/list").json() == {"name": here.name, "tags": ["10", "9", "A", "b"]}
        assert here.get("tags/list?n=0").json()["tags"] == []
        assert "Link" not in here.get("tags/list?n=0").headers
        assert here.get("tags/list?last=9").json()["tags"] == ["A", "b"]
        assert here.get("tags/list?n=1&last=9").json()["tags"] == ["A"]

    def test_next_tags_are_linked(self, here: Repository) -> None:
        raw = here.image()
        for tag in "abcde":
            here.put(tag, raw)
        found, path = [], f"{here.path}/tags/list?n=2"
        while path:
            answer = here.call("GET", path)
            found.append(answer.json()["tags"])
            link = re.fullmatch('<(.+)>; rel="next"', answer.headers.get("Link", ""))
            path = link.group(1) if link else ""
        assert found == [["a", "b"], ["c", "d"], ["e"]]

    def test_unknown_repository_is_404(self, here: Repository) -> None:
        answer = here.get("tags/list")
        assert (answer.status, answer.codes) == (404, {"NAME_UNKNOWN"})

    def test_referrers(self, here: Repository) -> None:
        subject_raw = here.image()
        subject = {"mediaType": media.OCI_MANIFEST, "digest": digest(subject_raw), "size": len(subject_raw)}
        before = here.get(f"referrers/{subject['digest']}")
        assert (before.status, before.json()["manifests"]) == (200, [])
        here.put("1", subject_raw)
        kinds = {SBOM: here.image(subject=subject, artifactType=SBOM, annotations={"k": "v"})}
        kinds["application/vnd.example"] = here.image(subject=subject)
        for raw in kinds.values():
            assert here.put(digest(raw), raw).headers["OCI-Subject"] == subject["digest"]
        answer = here.get(f"referrers/{subject['digest']}")
        assert answer.headers["Content-Type"] == media.OCI_INDEX
        index = answer.json()
        assert (index["schemaVersion"], index["mediaType"]) == (2, media.OCI_INDEX)
        for kind, raw in kinds.items():
            (entry,) = (entry for entry in index["manifests"] if entry["digest"] == digest(raw))
            assert (entry["artifactType"], entry["size"]) == (kind, len(raw))
            assert (entry["mediaType"], entry.get("annotations")) == (
                media.OCI_MANIFEST,
                json.loads(raw).get("annotations"),
            )
        filtered = here.get(f"referrers/{subject['digest']}?artifactType={SBOM}")
        assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
        assert [entry["digest"] for entry in filtered.json()["manifests"]] == [digest(kinds[SBOM])]

    def test_index_without_artifact_type_has_none_as_a_referrer(self, here: Repository) -> None:
        subject = {"mediaType": media.OCI_MANIFEST, "digest": digest(b"any"), "size": 3}
        document = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [], "subject": subject}
        assert here.put("index", json.dumps(document).encode(), media.OCI_INDEX).status == 201
        (entry,) = here.get(f"referrers/{subject['digest']}").json()["manifests"]
        assert (entry["mediaType"], "artifactType" in entry) == (media.OCI_INDEX, False)

    def test_manifests_under_the_fallback_tag_are_referrers(self, here: Repository) -> None:
        subject_raw = here.image()
        name = digest(subject_raw)
        subject = {"mediaType": media.OCI_MANIFEST, "digest": name, "size": len(subject_raw)}
        raw = here.image(subject=subject, artifactType=SBOM)
        here.put(digest(raw), raw)
        entry = {"mediaType": media.OCI_MANIFEST, "digest": digest(raw), "size": len(raw)}
        index = {"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": [entry]}
        here.put(name.replace(":", "-"), json.dumps(index).encode(), media.OCI_INDEX)
        (found,) = here.get(f"referrers/{name}").json()["manifests"]
        assert found["digest"] == digest(raw)

    def test_invalid_digest_is_400(self, here: Repository) -> None:
        answer = here.get("referrers/sha256:short")
        assert (answer.status, answer.codes) == (400, {"DIGEST_INVALID"})

    def test_catalog_lists_the_repository(self, here: Repository) -> None:
        here.put("1", here.image())
        assert here.name in here.call("GET", "/v2/_catalog").json()["repositories"]


class TestManagement:
    """Deleting: end-9, end-10."""

    def test_deleted_tag_is_gone(self, here: Repository) -> None:
        raw = here.image()
        for tag in ("1", "2"):
            here.put(tag, raw)
        assert here.call("DELETE", f"{here.path}/manifests/1").status == 202
        assert here.get("manifests/1").status == 404
        assert here.get("tags/list").json()["tags"] == ["2"]
        assert here.get("manifests/2").status == 200

    def test_deleted_manifest_is_gone_with_its_tags(self, here: Repository) -> None:
        raw = here.image()
        for tag in ("1", "2"):
            here.put(tag, raw)
        assert here.call("DELETE", f"{here.path}/manifests/{digest(raw)}").status == 202
        assert all(here.get(f"manifests/{what}").status == 404 for what in (digest(raw), "1", "2"))
        assert here.get("tags/list").json()["tags"] == []
        assert here.put("1", raw).status == 201

    def test_deleted_blob_is_gone(self, here: Repository) -> None:
        name = here.blob(DATA)
        assert here.call("DELETE", f"{here.path}/blobs/{name}").status == 202
        assert here.get(f"blobs/{name}").status == 404
        assert here.blob(DATA) == name

    def test_deleted_referrer_is_gone(self, here: Repository) -> None:
        subject = {"mediaType": media.OCI_MANIFEST, "digest": digest(b"any"), "size": 3}
        raw = here.image(subject=subject)
        here.put(digest(raw), raw)
        here.call("DELETE", f"{here.path}/manifests/{digest(raw)}")
        assert here.get(f"referrers/{subject['digest']}").json()["manifests"] == []

    def test_what_is_not_there_is_404(self, here: Repository) -> None:
        for rest in (f"blobs/{digest(b'absent')}", f"manifests/{digest(b'absent')}", "manifests/absent"):
            answer = here.call("DELETE", f"{here.path}/{rest}")
            assert (answer.status, answer.codes <= {"BLOB_UNKNOWN", "MANIFEST_UNKNOWN"}) == (404, True)


class TestProxying:
    """Registry proxying: the query's ``ns``."""

    def test_registry_that_was_named_is_told(self, here: Repository) -> None:
        here.put("1", here.image())
        answer = here.get("manifests/1?ns=registry.sealer.local")
        assert (answer.status, answer.headers["OCI-Namespace"]) == (200, "registry.sealer.local")

    def test_other_registries_are_not_written(self, here: Repository) -> None:
        answer = here.call("POST", f"{here.path}/blobs/uploads/?ns=quay.io", b"")
        assert (answer.status, answer.codes) == (403, {"DENIED"})


@pytest.mark.skipif(not BINARY, reason="SEALER_CONFORMANCE_BINARY names no conformance program")
@pytest.mark.parametrize("version", ["1.1", "dev"])
def test_conformance_program(registry: RunningMirror, tmp_path: pathlib.Path, version: str) -> None:
    settings = {
        "OCI_REGISTRY": f"127.0.0.1:{registry.port}",
        "OCI_TLS": "disabled",
        "OCI_USERNAME": "ci",
        "OCI_PASSWORD": "secret",
        "OCI_REPO1": f"program/{version}/one",
        "OCI_REPO2": f"program/{version}/two",
        "OCI_VERSION": version,
        "OCI_RESULTS_DIR": str(tmp_path),
        "OCI_API_BLOBS_DIGEST_HEADER": "true",
        "OCI_API_BLOBS_UPLOAD_CANCEL": "true",
        "OCI_API_MANIFESTS_DIGEST_HEADER": "true",
        "OCI_API_MANIFESTS_TAG_PARAM": "true",
    }
    done = subprocess.run(
        [BINARY], env={**os.environ, **settings}, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    counts = {kind: int(number) for kind, number in re.findall(r"^  (\w+)\.+: +([0-9]+)$", done.stdout, re.MULTILINE)}
    assert counts["FAIL"] == counts["Error"] == 0
    assert counts["Total"] > 800
