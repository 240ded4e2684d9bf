# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What paths and queries mean."""

from __future__ import annotations

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.route import Router, Site, Target
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from hypothesis import given
from hypothesis import strategies as st

D = "sha256:" + "a" * 64
D512 = "sha512:" + "b" * 128
LONG = "/".join(["a" * 50] * 5)

FOUND = [
    ("/v2/library/nginx/manifests/1.27", "ns=docker.io", "manifests", "docker.io/library/nginx:1.27"),
    ("/v2/nginx/manifests/1.27", "ns=docker.io", "manifests", "docker.io/library/nginx:1.27"),
    ("/v2/nginx/manifests/1.27", "ns=registry-1.docker.io", "manifests", "docker.io/library/nginx:1.27"),
    ("/v2/nginx/manifests/1.27", "ns=index.docker.io", "manifests", "docker.io/library/nginx:1.27"),
    ("/v2/nginx/manifests/1.27", "", "manifests", "docker.io/library/nginx:1.27"),
    ("/v2/team/app/manifests/1", "", "manifests", "docker.io/team/app:1"),
    ("/v2/docker.io/nginx/manifests/1.27", "", "manifests", "docker.io/library/nginx:1.27"),
    ("/v2/registry-1.docker.io/nginx/manifests/1", "", "manifests", "docker.io/library/nginx:1"),
    ("/v2/docker.io/library/nginx/manifests/1.27", "", "manifests", "docker.io/library/nginx:1.27"),
    ("/v2/registry.k8s.io/pause/manifests/3.10.1", "", "manifests", "registry.k8s.io/pause:3.10.1"),
    ("/v2/pause/manifests/3.10.1", "ns=registry.k8s.io", "manifests", "registry.k8s.io/pause:3.10.1"),
    ("/v2/localhost/x/manifests/1", "", "manifests", "localhost/x:1"),
    ("/v2/localhost:5000/x/manifests/1", "", "manifests", "localhost:5000/x:1"),
    ("/v2/x/manifests/1", "ns=localhost%3A5000", "manifests", "localhost:5000/x:1"),
    ("/v2/x/manifests/1", "ns=[::1]:5000", "manifests", "[::1]:5000/x:1"),
    ("/v2/x/manifests/1", "ns=plainhost", "manifests", "plainhost/x:1"),
    ("/v2/quay.io/a/b/manifests/1", "ns=mirror.example.com", "manifests", "mirror.example.com/quay.io/a/b:1"),
    ("/v2/a/manifests/manifests/manifests/manifests", "ns=q.io", "manifests", "q.io/a/manifests/manifests:manifests"),
    ("/v2/blobs/manifests/blobs/" + D, "ns=q.io", "blobs", f"q.io/blobs/manifests@{D}"),
    (f"/v2/nginx/manifests/{D}", "", "manifests", f"docker.io/library/nginx@{D}"),
    (f"/v2/nginx/blobs/{D512}", "", "blobs", f"docker.io/library/nginx@{D512}"),
    (f"/v2/{LONG}/blobs/{D}", "ns=q.io&x=y", "blobs", f"q.io/{LONG}@{D}"),
    ("/v2/nginx/manifests/" + "t" * 128, "", "manifests", "docker.io/library/nginx:" + "t" * 128),
]


SITE = Site(
    "registry.sealer.local",
    frozenset({"registry.sealer.local", "hub.example", "hub.example:5000"}),
    frozenset({"docker.io", "quay.io", "reg.example:5000"}),
)
OWN = "registry.sealer.local/"

MEANT = [
    # path, query, Host, full name that is meant first, whether it is our own, the one at Docker Hub
    ("/v2/nginx/manifests/1", "", "10.0.0.1:5000", OWN + "nginx:1", True, "docker.io/library/nginx:1"),
    ("/v2/a/b/manifests/1", "", "", OWN + "a/b:1", True, "docker.io/a/b:1"),
    ("/v2/nginx/manifests/1", "", "hub.example", OWN + "nginx:1", True, None),
    ("/v2/nginx/manifests/1", "", "hub.example:443", OWN + "nginx:1", True, None),
    ("/v2/quay.io/a/manifests/1", "", "hub.example", "quay.io/a:1", False, None),
    ("/v2/nginx/manifests/1", "ns=registry.sealer.local", "", OWN + "nginx:1", True, None),
    ("/v2/nginx/manifests/1", "ns=registry.sealer.local:5000", "", OWN + "nginx:1", True, None),
    ("/v2/nginx/manifests/1", "ns=hub.example:5000", "quay.io", OWN + "nginx:1", True, None),
    ("/v2/registry.sealer.local/a/manifests/1", "", "", OWN + "a:1", True, None),
    ("/v2/registry.sealer.local:5000/a/manifests/1", "", "", OWN + "a:1", True, None),
    ("/v2/hub.example/a/b/manifests/1", "", "", OWN + "a/b:1", True, None),
    ("/v2/a/manifests/1", "", "quay.io", "quay.io/a:1", False, None),
    ("/v2/a/manifests/1", "", "quay.io:443", "quay.io/a:1", False, None),
    ("/v2/a/manifests/1", "", "reg.example:5000", "reg.example:5000/a:1", False, None),
    ("/v2/a/manifests/1", "", "reg.example", OWN + "a:1", True, "docker.io/library/a:1"),
    ("/v2/a/manifests/1", "", "registry-1.docker.io", "docker.io/library/a:1", False, None),
    ("/v2/a/manifests/1", "", "index.docker.io:443", "docker.io/library/a:1", False, None),
    ("/v2/quay.io/a/manifests/1", "", "docker.io", "docker.io/quay.io/a:1", False, None),
    ("/v2/a/manifests/1", "ns=other.example", "quay.io", "other.example/a:1", False, None),
]


@pytest.mark.parametrize(("path", "query", "host", "first", "own", "elsewhere"), MEANT)
def test_registry_that_is_meant(path: str, query: str, host: str, first: str, own: bool, elsewhere: str | None) -> None:
    router = Router(SITE)
    for _time in range(2):
        target = router.target(path, query, host)
        assert target is not None
        assert (str(target.reference), target.own) == (first, own)
        assert target.elsewhere == (None if elsewhere is None else Reference.parse(elsewhere))


KINDS = [
    ("GET", "/v2/a/b/tags/list", "tags", ""),
    ("GET", "/v2/a/tags/tags/list", "tags", ""),
    ("GET", f"/v2/a/referrers/{D}", "referrers", ""),
    ("POST", "/v2/a/blobs/uploads/", "uploads", ""),
    ("POST", "/v2/a/blobs/uploads", "uploads", ""),
    ("PATCH", "/v2/a/blobs/uploads/some-id", "uploads", "some-id"),
    ("GET", "/v2/_catalog", "_catalog", ""),
    ("GET", "/v2/a/blobs/uploads/manifests/x", "manifests", ""),
]


@pytest.mark.parametrize(("_method", "path", "kind", "upload"), KINDS)
def test_kinds(_method: str, path: str, kind: str, upload: str) -> None:
    target = Router().target(path)
    assert target is not None
    assert (target.kind, target.upload) == (kind, upload)


@pytest.mark.parametrize(
    ("query", "host", "registry", "own", "named"),
    [
        ("", "", "", False, False),
        ("ns=quay.io", "", "quay.io", False, True),
        ("ns=hub.example", "", "registry.sealer.local", True, True),
        ("", "quay.io", "quay.io", False, True),
        ("", "hub.example", "", False, False),
    ],
)
def test_catalog(query: str, host: str, registry: str, own: bool, named: bool) -> None:
    target = Router(SITE).target("/v2/_catalog", query, host)
    assert target is not None
    assert (target.registry, target.own, target.named) == (registry, own, named)


WORDS = st.sampled_from(["a", "b0", "quay.io", "manifests", "blobs", "uploads", "tags", "list", "x_y", "localhost:1"])
NAMES = st.lists(WORDS, min_size=1, max_size=4).map("/".join)


def links_to(target: Target, rest: str) -> Target:
    path, _mark, query = target.url(rest).partition("?")
    found = Router(SITE).target(path, query)
    assert found is not None
    return found


@given(name=NAMES, tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True), ns=st.booleans())
def test_what_is_told_leads_back(name: str, tag: str, ns: bool) -> None:
    """A path that an answer tells is read as the same repository again."""
    try:
        target = Router(SITE).target(f"/v2/{name}/manifests/{tag}", "ns=quay.io" if ns else "")
    except Refused:
        return
    assert target is not None
    assert target.reference.tag == tag
    assert links_to(target, f"manifests/{tag}") == target
    digest = links_to(target, f"blobs/{D}")
    assert (digest.registry, digest.repository, str(digest.digest)) == (target.registry, target.repository, D)
    upload = links_to(target, "blobs/uploads/some-id")
    assert (upload.kind, upload.repository, upload.upload) == ("uploads", target.repository, "some-id")


TEXT = st.text(st.characters(max_codepoint=255), max_size=80)


@given(path=st.one_of(TEXT, TEXT.map("/v2/{}/manifests/x".format)), query=TEXT, host=TEXT)
def test_any_request_is_read_or_refused(path: str, query: str, host: str) -> None:
    try:
        target = Router(SITE).target(path, query, host)
    except Refused as refused:
        assert refused.status in (400, 404)
        return
    if target is not None and target.kind != "_catalog":
        assert target.reference.repository.endswith(target.repository)


@pytest.mark.parametrize(("path", "query", "kind", "name"), FOUND)
def test_found(path: str, query: str, kind: str, name: str) -> None:
    target = Router().target(path, query)
    assert target is not None
    assert (target.kind, str(target.elsewhere or target.reference)) == (kind, name)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1/nginx/manifests/1",
        "/v2/manifests/1",
        "/v2/nginx/manifests/",
        "/v2/nginx/manifests/1/2",
        "//v2/nginx/manifests/1",
        "/v2//manifests/1",
        "/v2/a\nb/manifests/1",
    ],
)
def test_nothing_here(path: str) -> None:
    assert Router().target(path) is None


REFUSED = [
    ("/v2/NGINX/manifests/1", "ns=docker.io", 400, "NAME_INVALID"),
    ("/v2/../../etc/passwd/manifests/1", "", 400, "NAME_INVALID"),
    ("/v2/a/../b/manifests/1", "", 400, "NAME_INVALID"),
    ("/v2/a//b/manifests/1", "", 400, "NAME_INVALID"),
    ("/v2/a\x00b/manifests/1", "", 400, "NAME_INVALID"),
    ("/v2/a/manifests/1", "ns=../etc", 400, "NAME_INVALID"),
    ("/v2/a/manifests/1", "ns=a/b", 400, "NAME_INVALID"),
    ("/v2/a/manifests/1", "ns=user%40quay.io", 400, "NAME_INVALID"),
    ("/v2/a/manifests/1", "ns=quay.io&ns=docker.io", 400, "NAME_INVALID"),
    ("/v2/a/manifests/1", "&".join(f"a{index}=1" for index in range(129)), 400, "NAME_INVALID"),
    (f"/v2/{LONG}{LONG}/manifests/1", "", 400, "NAME_INVALID"),
    ("/v2/a/manifests/sha256:1", "", 400, "DIGEST_INVALID"),
    ("/v2/a/manifests/sha256:" + "A" * 64, "", 400, "DIGEST_INVALID"),
    ("/v2/a/blobs/sha256", "", 400, "DIGEST_INVALID"),
    ("/v2/a/blobs/..", "", 400, "DIGEST_INVALID"),
    ("/v2/a/blobs/md5:" + "a" * 32, "", 400, "DIGEST_INVALID"),
    ("/v2/a/manifests/" + "t" * 129, "", 404, "MANIFEST_UNKNOWN"),
    ("/v2/a/manifests/-x", "", 404, "MANIFEST_UNKNOWN"),
]


@pytest.mark.parametrize(("path", "query", "status", "code"), REFUSED)
def test_refused(path: str, query: str, status: int, code: str) -> None:
    with pytest.raises(Refused) as caught:
        Router().target(path, query)
    assert (caught.value.status, caught.value.code) == (status, code)
