# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of images are read as Docker reads them, and written so that they are read the same again."""

from __future__ import annotations

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from hypothesis import given
from hypothesis import strategies as st

DIGEST = str(Digest.of(b"image"))
IMAGE_ID = "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
        ("library/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("index.docker.io/nginx", "docker.io/library/nginx:latest", "nginx:latest"),
        ("docker.io/library/nginx:1", "docker.io/library/nginx:1", "nginx:1"),
        ("grafana/loki:3", "docker.io/grafana/loki:3", "grafana/loki:3"),
        ("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
        ("quay.io/a/b:1", "quay.io/a/b:1", "quay.io/a/b:1"),
        ("registry.k8s.io/pause:3.10.1", "registry.k8s.io/pause:3.10.1", "registry.k8s.io/pause:3.10.1"),
        ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
        ("localhost", "docker.io/library/localhost:latest", "localhost:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
        ("Host/x", "Host/x:latest", "Host/x:latest"),
        ("10.0.0.1:5000/a:b", "10.0.0.1:5000/a:b", "10.0.0.1:5000/a:b"),
        ("[::1]:5000/x/y:1", "[::1]:5000/x/y:1", "[::1]:5000/x/y:1"),
        ("[fd00::2]/x", "[fd00::2]/x:latest", "[fd00::2]/x:latest"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}", f"nginx@{DIGEST}"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx:1@{DIGEST}", f"nginx:1@{DIGEST}"),
        (f"q.io:5/a@{DIGEST}", f"q.io:5/a@{DIGEST}", f"q.io:5/a@{DIGEST}"),
        ("docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest"),
        ("docker.io/localhost/c", "docker.io/localhost/c:latest", "docker.io/localhost/c:latest"),
        (
            f"docker.io/library/{IMAGE_ID}",
            f"docker.io/library/{IMAGE_ID}:latest",
            f"docker.io/library/{IMAGE_ID}:latest",
        ),
        ("x/a--b__c_d.e/f:_x.Y-z", "docker.io/x/a--b__c_d.e/f:_x.Y-z", None),
    ],
)
def test_names_are_made_full_and_short(text: str, full: str, familiar: str | None) -> None:
    reference = Reference.parse(text)
    assert str(reference) == full
    assert familiar in (None, reference.familiar)
    assert Reference.parse(reference.familiar) == reference


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no repository"),
        (":1", "no repository"),
        (f"@{DIGEST}", "no repository"),
        ("Nginx", "lower case"),
        ("quay.io/Nginx", "lower case"),
        ("nginx:", "tag is empty"),
        ("nginx:-x", "not a tag"),
        (f"nginx:{'x' * 129}", "not a tag"),
        ("nginx:1/", "cannot be part"),
        ("a//b", "cannot be part"),
        ("/a", "cannot be part"),
        ("a/", "cannot be part"),
        ("a/../b", "cannot be part"),
        ("quay.io/../b", "cannot be part"),
        ("a b", "cannot be part"),
        ("nginx\n", "cannot be part"),
        ("a___b", "cannot be part"),
        ("-a/b", "cannot be part"),
        ("a..b/c", "not a registry"),
        ("a:port/c", "not a registry"),
        ("a:123456/c", "not a registry"),
        ("[::1/c", "not a registry"),
        ("https://quay.io/a", "not a registry"),
        (IMAGE_ID, "image's id"),
        ("nginx@sha256:12", "64 lower-case hex"),
        ("nginx@", "algorithm:hex"),
        (f"nginx@{DIGEST}@{DIGEST}", "64 lower-case hex"),
        ("x" * 300, "longer than 255"),
        ("a." * 131 + "example/b", "not a registry"),
    ],
)
def test_what_is_no_name_is_refused_with_the_whole_text(text: str, why: str) -> None:
    with pytest.raises(OciError, match=why) as caught:
        Reference.parse(text)
    assert repr(text) in str(caught.value)


def test_a_tag_moves_and_a_digest_stays() -> None:
    pinned = Reference.parse("quay.io/a/b:1").with_digest(Digest.parse(DIGEST))
    assert str(pinned) == f"quay.io/a/b:1@{DIGEST}"
    assert pinned.name == "quay.io/a/b"
    assert str(pinned.with_tag("2")) == "quay.io/a/b:2"
    with pytest.raises(OciError, match="not a tag"):
        pinned.with_tag("a/b")


labels = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,6}[a-zA-Z0-9])?", fullmatch=True)
registries = st.builds(
    lambda host, port: host + port,
    st.one_of(
        st.sampled_from(["docker.io", "localhost", "[::1]", "[fd00:1::2]", "10.1.2.3"]),
        st.lists(labels, min_size=2, max_size=3).map(".".join),
    ),
    st.one_of(st.just(""), st.integers(1, 65535).map(lambda port: f":{port}")),
)
component = st.from_regex(r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
repositories = st.lists(component, min_size=2, max_size=4).map("/".join)
tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
digests = st.binary(max_size=4).map(Digest.of)


@given(registries, repositories, st.one_of(st.none(), tags), st.one_of(st.none(), digests))
def test_every_reference_survives_its_text(
    registry: str, repository: str, tag: str | None, digest: Digest | None
) -> None:
    if tag is None and digest is None:
        tag = "latest"
    reference = Reference(registry, repository, tag, digest)
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference


@given(st.text(alphabet="aA0.:/@-_[]\n ", max_size=20))
def test_any_text_is_a_name_or_an_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except OciError:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
