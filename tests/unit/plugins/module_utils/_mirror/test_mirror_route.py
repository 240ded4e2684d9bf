# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What paths and queries mean."""

from __future__ import annotations

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.route import Router

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
