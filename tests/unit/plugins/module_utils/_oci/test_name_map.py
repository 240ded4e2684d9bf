# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.name_map import (
    NameMap,
    Rule,
    path_of_registry,
    prefixes,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from hypothesis import given
from hypothesis import strategies as st

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
SITE = "harbor.example/site"


def mapped(source: str, *rules: t.Tuple[str, str], destination: str = SITE) -> t.Optional[str]:
    found = NameMap(destination, [Rule(*rule) for rule in rules]).destination(Reference.parse(source))
    return None if found is None else str(found)


@pytest.mark.parametrize(
    "source, destination, expected",
    [
        ("nginx", SITE, f"{SITE}/docker.io/library/nginx:latest"),
        ("quay.io/a/b/c:1", SITE, f"{SITE}/quay.io/a/b/c:1"),
        ("quay.io/a/b:1", "harbor.example:8443", "harbor.example:8443/quay.io/a/b:1"),
        ("quay.io/a/b:1", "harbor.example:8443/", "harbor.example:8443/quay.io/a/b:1"),
        ("localhost:5000/a:1", SITE, f"{SITE}/localhost-5000/a:1"),
        ("[::1]:5000/a:1", SITE, f"{SITE}/1-5000/a:1"),
        ("Reg.Example/a:1", SITE, f"{SITE}/reg.example/a:1"),
        (f"quay.io/a@{ONE}", SITE, f"{SITE}/quay.io/a@{ONE}"),
        (f"quay.io/a:1@{ONE}", SITE, f"{SITE}/quay.io/a:1@{ONE}"),
    ],
)
def test_without_rules_the_registry_stands_in_front(source: str, destination: str, expected: str) -> None:
    assert mapped(source, destination=destination) == expected


@pytest.mark.parametrize(
    "source, rule, expected",
    [
        ("nginx:1", ("*", "{destination}/{repository}"), f"{SITE}/library/nginx:1"),
        ("nginx:1", ("*", "{destination}/{name}"), f"{SITE}/nginx:1"),
        ("nginx:1", ("docker.io/library/*", "{destination}/hub/{1}"), f"{SITE}/hub/nginx:1"),
        ("nginx:1", ("docker.io/*", "other.example/{1}:{tag}"), "other.example/library/nginx:1"),
        ("nginx:1", ("docker.io/*", "{destination}/{name}:v-{tag}"), f"{SITE}/nginx:v-1"),
        ("quay.io/a/b:1", ("quay.io/?/*", "{destination}/{2}-{1}"), f"{SITE}/b-a:1"),
        ("quay.io/a/b:1", (r"~quay\.io/(?P<team>[^/]+)/(.*)", "{destination}/{team}/{2}"), f"{SITE}/a/b:1"),
        ("quay.io/a/b:1", (r"~.*/(x)?b", "{destination}/{name}{1}"), f"{SITE}/b:1"),
        (f"quay.io/a@{ONE}", ("*", "{destination}/{name}:{tag}"), f"{SITE}/a@{ONE}"),
        ("nginx:1", ("docker.io/library/nginx", ""), None),
        # not all of the name matches, so the rule is not meant
        ("nginx:1", ("docker.io", "{destination}/x"), f"{SITE}/docker.io/library/nginx:1"),
        ("nginx:1", ("~library", "{destination}/x"), f"{SITE}/docker.io/library/nginx:1"),
        ("a.b/c+d:1".replace("+", "."), ("a?b/c.d", "{destination}/x"), f"{SITE}/x:1"),
        ("axb.io/c:1", ("a.b.io/c", "{destination}/x"), f"{SITE}/axb.io/c:1"),
    ],
)
def test_rules(source: str, rule: t.Tuple[str, str], expected: t.Optional[str]) -> None:
    assert mapped(source, rule) == expected


def test_the_first_rule_that_matches_counts() -> None:
    rules = ("docker.io/library/*", "{destination}/first"), ("docker.io/*", "{destination}/second")
    assert mapped("nginx:1", *rules) == f"{SITE}/first:1"
    assert mapped("a/b:1", *rules) == f"{SITE}/second:1"


@pytest.mark.parametrize(
    "rule, message",
    [
        (("*", "{destination}/{nothing}"), "{nothing} in `to` is unknown; there is 1, destination, name, registry"),
        (("docker.io/x", "{destination}/{1}"), "{1} in `to` is unknown"),
        (("*", "{destination}/{name"), "a brace without its other one"),
        (("*", "{destination}/{}"), "{} in `to` is unknown"),
        (("~(", "{destination}/x"), "is not a regular expression"),
    ],
)
def test_bad_rules(rule: t.Tuple[str, str], message: str) -> None:
    with pytest.raises(OciError) as caught:
        mapped("nginx:1", rule)
    assert message in str(caught.value)
    assert f"rule {rule[0]!r}" in str(caught.value)


@pytest.mark.parametrize(
    "destination, rule, message",
    [
        ("harbor/site", ("nothing", ""), "names no registry"),
        ("", ("nothing", ""), "cannot be an image's name"),
        (SITE, ("*", "{destination}/UPPER"), "has to be lower case"),
        (SITE, ("*", "{repository}"), "names no registry"),
        ("docker.io", ("*", "docker.io/x"), None),
    ],
)
def test_names_that_cannot_be(destination: str, rule: t.Tuple[str, str], message: t.Optional[str]) -> None:
    if message is None:
        assert mapped("nginx:1", rule, destination=destination) == "docker.io/library/x:1"
        return
    with pytest.raises(OciError, match=message):
        mapped("nginx:1", rule, destination=destination)


@pytest.mark.parametrize(
    "registry, expected",
    [("docker.io", "docker.io"), ("localhost:5000", "localhost-5000"), ("[fe80::1]:5", "fe80-1-5"), ("A.b", "a.b")],
)
def test_path_of_registry(registry: str, expected: str) -> None:
    assert path_of_registry(registry) == expected


def destinations(images: t.Mapping[str, Digest], *rules: t.Tuple[str, str]) -> t.Dict[str, str]:
    sources: t.Dict[Reference, t.Optional[Digest]] = {Reference.parse(name): one for name, one in images.items()}
    found = NameMap(SITE, [Rule(*rule) for rule in rules]).destinations(sources)
    return {str(source): str(place) for source, place in found.items()}


@pytest.mark.parametrize(
    "names, rule",
    [
        (("quay.io/a/b:1", "docker.io/a/b:1"), ("*", "{destination}/{repository}")),
        (("quay.io/a/b:1", "quay.io/a/b:2"), ("*", "{destination}/{repository}:latest")),
        (("localhost:5000/a:1", "localhost-5000.x/a:1"), ("*-5000.x/*", "{destination}/{1}-5000/{2}")),
    ],
)
def test_two_images_never_get_one_name(names: t.Sequence[str], rule: t.Tuple[str, str]) -> None:
    with pytest.raises(OciError, match="would both become") as caught:
        destinations(dict(zip(names, (ONE, TWO))), rule)
    assert all(name in str(caught.value) for name in names)
    with pytest.raises(OciError, match="would both become"):
        destinations(dict.fromkeys(names, ONE), rule)


def test_a_tag_means_what_it_means_without_a_pin() -> None:
    name = f"{SITE}/quay.io/a"
    assert destinations({"quay.io/a:1": ONE, f"quay.io/a:1@{TWO}": TWO, f"quay.io/a:1@{ONE}": ONE}) == {
        "quay.io/a:1": f"{name}:1",
        f"quay.io/a:1@{TWO}": f"{name}@{TWO}",
        f"quay.io/a:1@{ONE}": f"{name}:1@{ONE}",
    }
    both = {f"quay.io/a:1@{ONE}": ONE, f"quay.io/a:1@{TWO}": TWO}
    assert destinations(both) == {f"quay.io/a:1@{ONE}": f"{name}@{ONE}", f"quay.io/a:1@{TWO}": f"{name}@{TWO}"}


@pytest.mark.parametrize(
    "names, rules, expected",
    [
        (("quay.io/a:1", "quay.io/b/c:2"), (), {"quay.io": f"{SITE}/quay.io"}),
        (
            ("quay.io/a:1", "nginx"),
            (("docker.io/*", "{destination}/hub/{1}"),),
            {"quay.io": f"{SITE}/quay.io", "docker.io": f"{SITE}/hub"},
        ),
        (("quay.io/a:1", "quay.io/b/c:2"), (("*/c", "{destination}/{repository}"),), {"quay.io": None}),
        (("quay.io/a/b:1",), (("*", "{destination}/{name}"),), {"quay.io": None}),
        (("quay.io/a/b:1",), (("*", "{destination}/{repository}:v{tag}"),), {"quay.io": None}),
        (("quay.io/a/b:1",), (("*", ""),), {"quay.io": None}),
        ((f"quay.io/a/b@{ONE}",), (), {"quay.io": f"{SITE}/quay.io"}),
    ],
)
def test_prefixes(
    names: t.Sequence[str], rules: t.Sequence[t.Tuple[str, str]], expected: t.Dict[str, t.Optional[str]]
) -> None:
    sources: t.Dict[Reference, t.Optional[Digest]] = {Reference.parse(name): ONE for name in names}
    assert prefixes(NameMap(SITE, [Rule(*rule) for rule in rules]).destinations(sources)) == expected


REGISTRIES = st.sampled_from(["docker.io", "quay.io", "localhost:5000", "a-b.example", "[::1]:5000"])
REPOSITORIES = st.lists(st.sampled_from(["a", "b", "a-b", "c.d", "library"]), min_size=1, max_size=3).map("/".join)
TAGS = st.sampled_from(["1", "latest", "v1.0-x"])
IMAGES = st.builds(
    lambda registry, repository, tag, pin: Reference.parse(
        f"{registry}/{repository}:{tag}" + (f"@{pin}" if pin else "")
    ),
    REGISTRIES,
    REPOSITORIES,
    TAGS,
    st.sampled_from([None, ONE, TWO]),
)
RULES = st.lists(
    st.builds(
        Rule,
        st.sampled_from(["*", "docker.io/*", "*/a", "~(?P<x>[^/]+)/(.*)", "quay.io/?", "localhost:5000/*"]),
        st.sampled_from(
            [
                "",
                "{destination}/{name}",
                "{destination}/{repository}",
                "{destination}/{registry}/{name}:{tag}",
                "x.y/z:1",
            ]
        ),
    ),
    max_size=3,
)


@given(st.dictionaries(IMAGES, st.sampled_from([ONE, TWO]), max_size=8), RULES)
def test_a_name_means_one_image_or_it_is_an_error(images: t.Dict[Reference, Digest], rules: t.List[Rule]) -> None:
    sources = {source: source.digest or digest for source, digest in images.items()}
    try:
        found = NameMap(SITE, rules).destinations(t.cast("t.Dict[Reference, t.Optional[Digest]]", sources))
    except OciError as error:
        assert "would both become" in str(error)
        return
    assert set(found) == set(sources)
    meanings: t.Dict[t.Tuple[str, t.Optional[str]], t.Tuple[str, t.Optional[str], Digest]] = {}
    for source, place in found.items():
        if place is not None and place.tag is not None:
            mine = (source.name, source.tag, sources[source])
            assert meanings.setdefault((place.name, place.tag), mine) == mine
        if place is not None:
            assert Reference.parse(str(place)) == place
            assert place.digest == source.digest
