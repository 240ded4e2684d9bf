# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whom the mirror asks, in which order, and whom not."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.trees import order_of_peers
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.upstreams import Upstreams
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import asked, config

QUAY = {"name": "quay.io"}
PEERS = [{"url": f"https://10.0.0.{number}:5000"} for number in (1, 2, 3)]
PARENTS = [{"url": "https://10.9.0.1:5000"}, {"url": "https://10.9.0.2:5000"}]


def urls(store: pathlib.Path, name: str, *upstreams: t.Any, how: t.Any = None, **settings: t.Any) -> list[str]:
    """Where the mirror asks for an image."""
    return [link.url for link in Upstreams(config(store, *upstreams, **settings)).links(asked(name, **(how or {})))]


@pytest.mark.parametrize(
    ("name", "settings", "wanted"),
    [
        ("quay.io/a/b:1", {"pull_through": "off"}, []),
        ("quay.io/a/b:1", {}, ["https://quay.io"]),
        ("QUAY.io/a/b:1", {}, ["https://quay.io"]),
        ("quay.io/a/b:1", {"parents": PARENTS}, ["https://10.9.0.1:5000", "https://10.9.0.2:5000", "https://quay.io"]),
        ("ghcr.io/a/b:1", {"parents": PARENTS}, ["https://10.9.0.1:5000", "https://10.9.0.2:5000"]),
        ("ghcr.io/a/b:1", {"parents": PARENTS[:1], "pull_through": "off"}, ["https://10.9.0.1:5000"]),
        ("ghcr.io/a/b:1", {"pull_through": "any"}, ["https://ghcr.io"]),
        ("docker.io/library/b:1", {"pull_through": "any"}, ["https://registry-1.docker.io"]),
        ("a.example.com:5000/b:1", {"pull_through": "any"}, ["https://a.example.com:5000"]),
        ("a.example.com/b:1", {"pull_through": "any", "allow": ["*.example.com"]}, ["https://a.example.com"]),
        ("quay.io/b:1", {"pull_through": "any", "allow": ["*.example.com"], "deny": ["*"]}, ["https://quay.io"]),
    ],
)
def test_whom_the_policy_allows(tmp_path: pathlib.Path, name: str, settings: t.Any, wanted: list[str]) -> None:
    assert urls(tmp_path, name, QUAY, **settings) == wanted


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ghcr.io/a/b:1", {}),
        ("ghcr.io/a/b:1", {"pull_through": "any", "allow": ["*.example.com"]}),
        ("a.example.com/b:1", {"pull_through": "any", "allow": ["*.example.com"], "deny": ["a.*"]}),
        ("A.EXAMPLE.com/b:1", {"pull_through": "any", "deny": ["a.example.com"]}),
        ("a.example.com:444/b:1", {"pull_through": "any", "deny": ["a.example.com"]}),
        ("docker.io/library/b:1", {"pull_through": "any", "deny": ["registry-1.docker.io"]}),
        ("docker.io/library/b:1", {"pull_through": "any", "deny": ["docker.io"]}),
    ],
)
def test_whom_the_policy_forbids(tmp_path: pathlib.Path, name: str, settings: t.Any) -> None:
    with pytest.raises(Refused, match="does not pull from") as caught:
        urls(tmp_path, name, QUAY, **settings)
    assert (caught.value.status, caught.value.code) == (403, "DENIED")


@pytest.mark.parametrize(("repository", "good"), [("library/nginx", True), ("team/app", True), ("other/app", False)])
def test_repositories_of_an_upstream(tmp_path: pathlib.Path, repository: str, good: bool) -> None:
    upstream = {**QUAY, "repositories": ["library/*", "team/app"]}
    if good:
        assert urls(tmp_path, f"quay.io/{repository}:1", upstream)
    else:
        with pytest.raises(Refused, match="does not pull this repository"):
            urls(tmp_path, f"quay.io/{repository}:1", upstream, parents=PARENTS)


def test_fallbacks_come_in_their_order(tmp_path: pathlib.Path) -> None:
    upstream = {**QUAY, "urls": ["https://b.example", "https://a.example"]}
    assert urls(tmp_path, "quay.io/a:1", upstream) == ["https://b.example", "https://a.example"]


@pytest.mark.parametrize("how", [{"via": ("other", "here")}, {"cached_only": True}])
def test_nobody_is_asked(tmp_path: pathlib.Path, how: t.Any) -> None:
    assert urls(tmp_path, "quay.io/a:1", QUAY, how=how, parents=PARENTS) == []


def test_another_mirror_on_the_way_is_no_loop(tmp_path: pathlib.Path) -> None:
    assert urls(tmp_path, "quay.io/a:1", QUAY, how={"via": ("there", "her")}) == ["https://quay.io"]


def test_own_content_is_looked_for_on_peers_and_parents(tmp_path: pathlib.Path) -> None:
    settings = {"peers": PEERS, "self_url": PEERS[0]["url"], "parents": PARENTS[:1], "pull_through": "any"}
    found = urls(tmp_path, "registry.sealer.local/a:1", how={"own": True}, **settings)
    assert found == ["https://10.0.0.2:5000", "https://10.0.0.3:5000", "https://10.9.0.1:5000"]
    upstreams = Upstreams(config(tmp_path, **settings))
    assert upstreams.tag_ttl(asked("registry.sealer.local/a:1", own=True)) == 0


def test_how_long_tags_are_good(tmp_path: pathlib.Path) -> None:
    upstreams = Upstreams(config(tmp_path, QUAY, {"name": "ghcr.io", "tag_ttl": 7}, tag_ttl=60))
    assert upstreams.tag_ttl(asked("quay.io/a:1")) == 60
    assert upstreams.tag_ttl(asked("ghcr.io/a:1")) == 7


def test_peers_agree_on_who_fetches(tmp_path: pathlib.Path) -> None:
    everybody = [Upstreams(config(tmp_path, QUAY, peers=PEERS, self_url=peer["url"])) for peer in PEERS]
    owners = []
    for number in range(60):
        wanted = asked(f"quay.io/a@{Digest.of(str(number).encode())}")
        first = [upstreams.links(wanted)[0].url for upstreams in everybody]
        owner = [peer["url"] for peer, url in zip(PEERS, first, strict=True) if url == "https://quay.io"]
        assert len(owner) == 1
        assert set(first) == {owner[0], "https://quay.io"}
        owners += owner
    assert {url: owners.count(url) >= 10 for url in owners} == {peer["url"]: True for peer in PEERS}


def test_a_peer_that_goes_changes_nothing_for_what_others_own() -> None:
    names = [f"https://10.0.0.{number}:5000" for number in range(8)]
    for number in range(100):
        reference = Reference.parse(f"quay.io/a:{number}")
        order = order_of_peers(reference, names)
        assert sorted(order) == sorted(names)
        assert order_of_peers(reference, list(reversed(names))) == order
        without = [name for name in names if name != names[3]]
        assert order_of_peers(reference, without) == [name for name in order if name != names[3]]


def test_content_has_one_owner_whatever_it_is_called() -> None:
    names = [f"https://10.0.0.{number}:5000" for number in range(8)]
    digest = Digest.of(b"x")
    orders = [order_of_peers(Reference.parse(f"{name}@{digest}"), names) for name in ("quay.io/a", "quay.io/a:1", "b")]
    assert orders[0] == orders[1] == orders[2]


def test_strangers_are_forgotten(tmp_path: pathlib.Path) -> None:
    upstreams = Upstreams(config(tmp_path, pull_through="any"))
    for number in range(200):
        assert upstreams.links(asked(f"r{number}.example.com/a:1"))
    assert len(upstreams._strangers) == 64
    upstreams.close()


def test_status(tmp_path: pathlib.Path) -> None:
    upstreams = Upstreams(config(tmp_path, QUAY, peers=PEERS, self_url=PEERS[0]["url"], parents=PARENTS[:1]))
    assert [(one["kind"], one["url"], one["away"]) for one in upstreams.status()] == [
        ("upstream", "https://quay.io", False),
        ("parent", "https://10.9.0.1:5000", False),
        ("peer", "https://10.0.0.2:5000", False),
        ("peer", "https://10.0.0.3:5000", False),
    ]


def test_an_upstream_that_is_off_needs_no_secret(tmp_path: pathlib.Path) -> None:
    upstream = {**QUAY, "username": "u", "password_file": str(tmp_path / "none")}
    Upstreams(config(tmp_path, upstream, pull_through="off"))
