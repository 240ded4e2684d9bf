# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tags, repositories and referrers: those here, and those that upstreams tell."""

from __future__ import annotations

import json
import pathlib
import typing as t
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api import listing as module
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api import referrers
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Content, Found
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import parse_document
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.pushing import (
    NAME,
    Pushing,
    code,
    descriptor,
    image,
    index,
)
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SBOM = "application/vnd.example.sbom.v1"
AWAY = Refused(HTTPStatus.BAD_GATEWAY, "UNAVAILABLE", "the upstream is away")


@dataclass
class Told:
    """What an upstream tells."""

    raw: bytes
    next_query: str = ""


@dataclass
class Upstream:
    """A farther source that lists."""

    answers: dict[str, t.Union[Told, Refused]] = field(default_factory=dict)
    asked: list[tuple[str, str, list[tuple[str, str]]]] = field(default_factory=list)

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        return None

    def blob(self, asked: Asked) -> t.Optional[Content]:
        return None

    def listing(self, asked: Asked, path: str, query: t.Sequence[tuple[str, str]]) -> t.Optional[Told]:
        self.asked.append((asked.reference.name, path, list(query)))
        answer = self.answers.get(asked.reference.name)
        if isinstance(answer, Refused):
            raise answer
        return answer

    def status(self) -> dict[str, t.Any]:
        return {}

    def close(self) -> None:
        return None


@pytest.fixture
def mirror(tmp_path: pathlib.Path) -> Pushing:
    return Pushing.over(tmp_path, Layout.open(str(tmp_path / "store"), create=True))


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
def joined(mirror: Pushing, upstream: Upstream, tmp_path: pathlib.Path) -> Pushing:
    """The same store, with an upstream."""
    return Pushing.over(tmp_path, mirror.layout, upstream)


def listed(mirror: Pushing, path: str, key: str) -> tuple[list[t.Any], str]:
    """The items, and where the next page is."""
    answer = mirror.client(*path.partition("?")[::2])
    assert answer.status == 200, answer
    link = answer.headers.get("Link", "")
    if link:
        assert link.startswith("</v2/")
        assert link.endswith('>; rel="next"')
    return json.loads(answer.body)[key], link[1:].partition(">")[0]


def walked(mirror: Pushing, path: str, key: str) -> list[list[t.Any]]:
    """All pages."""
    pages = []
    while path:
        items, path = listed(mirror, path, key)
        pages.append(items)
    return pages


def test_tags(mirror: Pushing) -> None:
    mirror.push("team/app", "1")
    for tag in ("b", "a", "A", "10", "2"):
        mirror.manifest("team/app", tag, image())
    mirror.push("team/app/sub", "other")
    wanted = ["1", "10", "2", "A", "a", "b"]
    answer = mirror.client("/v2/team/app/tags/list")
    assert json.loads(answer.body) == {"name": "team/app", "tags": wanted}
    assert answer.headers["Content-Type"] == "application/json"
    assert listed(mirror, "/v2/team/app/tags/list?n=0", "tags") == ([], "")
    assert listed(mirror, "/v2/team/app/tags/list?last=2", "tags") == (["A", "a", "b"], "")
    assert listed(mirror, "/v2/team/app/tags/list?last=3", "tags") == (["A", "a", "b"], "")
    assert listed(mirror, "/v2/team/app/tags/list?last=z&n=5", "tags") == ([], "")
    assert listed(mirror, "/v2/team/app/tags/list?n=6", "tags") == (wanted, "")
    assert walked(mirror, "/v2/team/app/tags/list?n=4", "tags") == [wanted[:4], wanted[4:]]
    assert walked(mirror, f"/v2/{NAME}/team/app/tags/list?n=4", "tags") == [wanted[:4], wanted[4:]]
    assert walked(mirror, f"/v2/team/app/tags/list?n=4&ns={NAME}", "tags") == [wanted[:4], wanted[4:]]
    head = mirror.client("/v2/team/app/tags/list", "", "HEAD")
    assert (head.status, head.headers, head.body) == (200, answer.headers, b"")


TAGS = st.lists(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,3}", fullmatch=True), min_size=1, max_size=8, unique=True)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tags=TAGS, number=st.integers(1, 9))
def test_pages_give_every_tag_once(tmp_path_factory: pytest.TempPathFactory, tags: list[str], number: int) -> None:
    directory = tmp_path_factory.mktemp("pages")
    mirror = Pushing.over(directory, Layout.open(str(directory / "store"), create=True))
    mirror.push("a", tags[0])
    query = "&".join(f"tag={tag}" for tag in tags)
    mirror.manifest("a", f"{Digest.of(image())}?{query}", image())
    pages = walked(mirror, f"/v2/a/tags/list?n={number}", "tags")
    assert [tag for page in pages for tag in page] == sorted(tags)
    assert all(len(page) == number for page in pages[:-1])


@pytest.mark.parametrize("query", ["n=x", "n=-1", "n=1.5", "n=1e3", "n=%D9%A1", "n=1&n=2", "n=9999999999999999999"])
def test_number_that_is_none(mirror: Pushing, query: str) -> None:
    mirror.push("a", "1")
    for path in ("/v2/a/tags/list", "/v2/_catalog"):
        answer = mirror.client(path, query)
        assert answer.status == 400
        code(answer)


def test_repository_without_tags(mirror: Pushing) -> None:
    answer = mirror.client("/v2/a/tags/list")
    assert (answer.status, code(answer)) == (404, "NAME_UNKNOWN")
    mirror.blob("a", b"x")
    assert listed(mirror, "/v2/a/tags/list", "tags") == ([], "")


def test_tags_of_mirrored_repositories(mirror: Pushing) -> None:
    sample(mirror.layout, "quay.io/shop:1")
    for path in ("/v2/pause/tags/list?ns=registry.k8s.io", "/v2/registry.k8s.io/pause/tags/list"):
        assert listed(mirror, path, "tags") == (["3.10.1"], "")
    for path in ("/v2/web/tags/list", "/v2/library/web/tags/list", "/v2/web/tags/list?ns=docker.io"):
        assert listed(mirror, path, "tags") == (["1.0"], "")
    assert mirror.client("/v2/quay.io/pause/tags/list").status == 404


def test_tags_that_an_upstream_tells(joined: Pushing, upstream: Upstream) -> None:
    raw = json.dumps({"name": "x", "tags": ["a", "b"]}).encode()
    upstream.answers["quay.io/team/app"] = Told(raw, "n=2&last=b")
    assert listed(joined, "/v2/team/app/tags/list?ns=quay.io&n=2", "tags") == (
        ["a", "b"],
        "/v2/team/app/tags/list?ns=quay.io&n=2&last=b",
    )
    assert upstream.asked == [("quay.io/team/app", "tags/list", [("n", "2")])]
    sample(joined.layout, "quay.io/shop:1")
    upstream.answers["registry.k8s.io/pause"] = AWAY
    assert listed(joined, "/v2/registry.k8s.io/pause/tags/list", "tags") == (["3.10.1"], "")
    upstream.answers["registry.k8s.io/other"] = AWAY
    answer = joined.client("/v2/registry.k8s.io/other/tags/list")
    assert (answer.status, code(answer)) == (502, "UNAVAILABLE")
    assert joined.client("/v2/quay.io/none/tags/list").status == 404


def test_own_repository_hides_that_of_docker_hub(joined: Pushing, upstream: Upstream) -> None:
    joined.push("app", "1")
    upstream.answers["docker.io/library/app"] = Told(b'{"tags": ["other"]}')
    assert listed(joined, "/v2/app/tags/list", "tags") == (["1"], "")
    assert listed(joined, "/v2/docker.io/app/tags/list", "tags") == (["other"], "")
    assert listed(joined, "/v2/library/app/tags/list", "tags") == (["other"], "")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b'{"tags": 1}', b'{"tags": [1, null]}', b"[" * 100000])
def test_garbage_of_an_upstream(joined: Pushing, upstream: Upstream, raw: bytes) -> None:
    upstream.answers["quay.io/a"] = Told(raw)
    assert listed(joined, "/v2/quay.io/a/tags/list", "tags") == ([], "")
    assert listed(joined, f"/v2/quay.io/a/referrers/{Digest.of(b'')}", "manifests") == ([], "")


def test_catalog(mirror: Pushing) -> None:
    assert listed(mirror, "/v2/_catalog", "repositories") == ([], "")
    for name in ("z", "a/b"):
        mirror.push(name, "1")
    mirror.push("untagged", "1")
    mirror("DELETE", "/v2/untagged/manifests/1")
    sample(mirror.layout, "quay.io/shop:1")
    ours, others = ["a/b", "untagged", "z"], ["docker.io/library/web", "quay.io/shop", "registry.k8s.io/pause"]
    wanted = sorted([*ours, *others])
    assert listed(mirror, "/v2/_catalog", "repositories") == (wanted, "")
    assert walked(mirror, "/v2/_catalog?n=4", "repositories") == [wanted[:4], wanted[4:]]
    assert walked(mirror, f"/v2/_catalog?n=2&ns={NAME}", "repositories") == [["a/b", "untagged"], ["z"]]
    assert listed(mirror, "/v2/_catalog?ns=docker.io", "repositories") == (["library/web"], "")
    assert listed(mirror, "/v2/_catalog?n=0", "repositories") == ([], "")


def refer(mirror: Pushing, subject: bytes, **more: t.Any) -> Digest:
    raw = image(subject=descriptor(subject, media.OCI_MANIFEST), **more)
    answer = mirror.manifest("a", Digest.of(raw), raw)
    assert answer.headers["OCI-Subject"] == str(Digest.of(subject))
    return Digest.of(raw)


def test_referrers(mirror: Pushing) -> None:
    mirror.push("a", "1")
    subject, path = image(), f"/v2/a/referrers/{Digest.of(image())}"
    assert listed(mirror, path, "manifests") == ([], "")
    plain = refer(mirror, subject)
    sbom = refer(mirror, subject, artifactType=SBOM, annotations={"k": "v"})
    raw = index(subject=descriptor(subject, media.OCI_MANIFEST))
    mirror.manifest("a", "list", raw)
    refer(mirror, b"something else")
    answer = mirror.client(path)
    assert answer.headers["Content-Type"] == media.OCI_INDEX
    assert "OCI-Filters-Applied" not in answer.headers
    document = json.loads(answer.body)
    assert (document["schemaVersion"], document["mediaType"]) == (2, media.OCI_INDEX)
    found = {entry["digest"]: entry for entry in document["manifests"]}
    assert set(found) == {str(plain), str(sbom), str(Digest.of(raw))}
    assert found[str(plain)]["artifactType"] == media.OCI_CONFIG
    assert (found[str(sbom)]["artifactType"], found[str(sbom)]["annotations"]) == (SBOM, {"k": "v"})
    assert "artifactType" not in found[str(Digest.of(raw))]
    assert found[str(Digest.of(raw))]["size"] == len(raw)
    filtered = mirror.client(path, f"artifactType={SBOM}")
    assert filtered.headers["OCI-Filters-Applied"] == "artifactType"
    assert [entry["digest"] for entry in json.loads(filtered.body)["manifests"]] == [str(sbom)]
    mirror("DELETE", f"/v2/a/manifests/{sbom}")
    assert len(listed(mirror, path, "manifests")[0]) == 2
    assert listed(mirror, path.replace("/a/", "/b/"), "manifests") == ([], "")


def test_referrers_in_pages(mirror: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFERRERS_PAGE", 2)
    mirror.push("a", "1")
    wanted = sorted(str(refer(mirror, image(), artifactType=SBOM, annotations={"k": str(n)})) for n in range(5))
    for query in ("", f"?artifactType={SBOM}"):
        pages = walked(mirror, f"/v2/a/referrers/{Digest.of(image())}{query}", "manifests")
        assert [len(page) for page in pages] == [2, 2, 1]
        assert [entry["digest"] for page in pages for entry in page] == wanted


def test_referrers_under_the_fallback_tag(mirror: Pushing) -> None:
    mirror.push("a", "1")
    subject = Digest.of(image())
    good = image(subject=descriptor(image(), media.OCI_MANIFEST), artifactType=SBOM)
    no_subject, absent = image(annotations={"x": "y"}), image(annotations={"z": "z"})
    for name in ("quay.io/app", f"{NAME}/app"):
        for raw in (good, no_subject, index(good, no_subject, absent)):
            mirror.layout.put_bytes(raw)
        listed_under = index(good, no_subject, absent)
        entry = parse_document(listed_under).descriptor()
        mirror.layout.tag(Reference.parse(f"{name}:sha256-{subject.hex}"), entry)
        found, _more = listed(mirror, f"/v2/{name}/referrers/{subject}", "manifests")
        assert [(entry["digest"], entry["artifactType"]) for entry in found] == [(str(Digest.of(good)), SBOM)]
    assert listed(mirror, f"/v2/app/referrers/{subject}", "manifests")[0] == found
    mirror.layout.tag(Reference.parse(f"quay.io/b:sha256-{subject.hex}"), parse_document(good).descriptor())
    assert listed(mirror, f"/v2/quay.io/b/referrers/{subject}", "manifests") == ([], "")


def test_referrers_that_take_for_ever(mirror: Pushing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lists them decides how many there are to be looked at."""
    subject = Digest.of(image())
    listed_under = index(image(subject=descriptor(image(), media.OCI_MANIFEST), artifactType=SBOM))
    mirror.layout.put_bytes(listed_under)
    mirror.layout.tag(Reference.parse(f"quay.io/app:sha256-{subject.hex}"), parse_document(listed_under).descriptor())
    monkeypatch.setattr(referrers, "LONGEST_SECONDS", -1.0)
    answer = mirror.client(f"/v2/quay.io/app/referrers/{subject}")
    assert (answer.status, code(answer)) == (504, "UNAVAILABLE")


def test_referrers_that_an_upstream_tells(joined: Pushing, upstream: Upstream) -> None:
    subject = Digest.of(b"image")
    entries = [{"digest": f"d{number}", "artifactType": kind} for number, kind in enumerate((SBOM, "x/y"))]
    raw = json.dumps({"manifests": entries}).encode()
    upstream.answers["quay.io/a"] = Told(raw, "token=t")
    answer = joined.client(f"/v2/quay.io/a/referrers/{subject}", f"artifactType={SBOM}")
    assert json.loads(answer.body)["manifests"] == entries[:1]
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert answer.headers["Link"] == f'</v2/quay.io/a/referrers/{subject}?token=t>; rel="next"'
    assert upstream.asked == [("quay.io/a", f"referrers/{subject}", [("artifactType", SBOM)])]
    upstream.answers["quay.io/a"] = AWAY
    away = joined.client(f"/v2/quay.io/a/referrers/{subject}")
    assert (away.status, code(away)) == (502, "UNAVAILABLE")
    upstream.answers["quay.io/a"] = Refused(HTTPStatus.FORBIDDEN, "DENIED", "not this one")
    assert listed(joined, f"/v2/quay.io/a/referrers/{subject}", "manifests") == ([], "")


def test_referrers_of_no_digest(mirror: Pushing) -> None:
    answer = mirror.client("/v2/a/referrers/sha256:short")
    assert (answer.status, code(answer)) == (400, "DIGEST_INVALID")
