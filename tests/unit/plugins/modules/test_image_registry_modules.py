# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that talk to a registry: what they ask, what they change, and the same answer in check and real mode."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._registries import registry_client
from ansible_collections.sealer.cluster.plugins.modules.image_pull import pull_image
from ansible_collections.sealer.cluster.plugins.modules.image_push import push_image
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.sample_image import Sample, sample

NAME = "registry.example/shop:1"
Answer = t.Dict[str, t.Any]


class Site:
    """A store with an image, and a registry."""

    def __init__(self, path: pathlib.Path, registry: FakeRegistry) -> None:
        self.path = path
        self.registry = registry
        self.store = Layout.open(str(path / "store"), create=True)
        self.made: Sample = sample(self.store, NAME)
        self.dest = f"{registry.host}/site/shop:1"
        self.far = str(path / "far")

    def options(self, **options: t.Any) -> Answer:
        registries = [{"host": self.registry.host, "insecure": True}]
        return {"registries": registries, "authfile": None, "parallel": 4, **options}

    def push(self, check_mode: bool = False, **options: t.Any) -> Answer:
        params = self.options(**{"store": self.store.path, "name": NAME, "dest": self.dest, **options})
        with registry_client(params) as client:
            return push_image(client, params, check_mode)

    def pull(self, check_mode: bool = False, **options: t.Any) -> Answer:
        given = {"store": self.far, "name": self.dest, "platforms": [], "pull": "always", **options}
        params = self.options(**given)
        with registry_client(params) as client:
            return pull_image(client, params, check_mode)

    def methods(self) -> t.Set[str]:
        return {request.method for request in self.registry.requests()}


@pytest.fixture(name="site")
def fixture_site(tmp_path: pathlib.Path, fake_registry: t.Callable[..., FakeRegistry]) -> Site:
    return Site(tmp_path, fake_registry())


def three_times(step: t.Callable[[bool], Answer]) -> Answer:
    """A step in check mode, for real, and again; gives the real answer."""
    checked, real, again = step(True), step(False), step(False)
    assert (checked["changed"], checked["diff"]) == (real["changed"], real["diff"])
    assert real["changed"]
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"]
    return real


def test_push(site: Site) -> None:
    answer = three_times(site.push)
    assert answer["diff"] == {"before": {site.dest: None}, "after": {site.dest: str(site.made.descriptor.digest)}}
    assert answer["stats"]["bytes_pushed"] == answer["image"]["size"]
    assert answer["dest"] == site.dest
    assert answer["image"]["name"] == NAME


def test_push_in_check_mode_only_asks(site: Site) -> None:
    site.push(check_mode=True)
    assert site.methods() <= {"HEAD", "GET"}
    assert all("/manifests/" in request.path or request.path == "/v2/" for request in site.registry.requests())


def test_push_sends_only_what_changed(site: Site) -> None:
    site.push()
    sample(site.store, NAME, seed="2")
    answer = site.push()
    assert 0 < answer["stats"]["bytes_pushed"] < answer["image"]["size"] / 2
    assert answer["stats"]["bytes_pushed"] + answer["stats"]["bytes_reused"] == answer["image"]["size"]


def test_push_under_the_images_own_name(site: Site) -> None:
    site.store.tag(Reference.parse(site.dest), site.made.descriptor)
    assert site.push(name=site.dest, dest=None)["dest"] == site.dest


@pytest.mark.parametrize("platforms", [[], ["linux/amd64"]])
def test_pull(site: Site, platforms: t.List[str]) -> None:
    site.push()
    answer = three_times(lambda check: site.pull(check, platforms=platforms))
    assert answer["image"]["digest"] == str(site.made.descriptor.digest)
    assert answer["image"]["platforms"] == (platforms or ["linux/amd64", "linux/arm64"])
    assert answer["stats"]["bytes_downloaded"] >= answer["image"]["size"]
    assert Layout.open(site.far).verify() == []


def test_pull_in_check_mode_asks_for_the_digest_and_writes_nothing(site: Site, tmp_path: pathlib.Path) -> None:
    site.push()
    site.registry.seen.clear()
    answer = site.pull(check_mode=True)
    assert site.methods() <= {"HEAD"} | ({"GET"} if answer["stats"]["requests"] > 1 else set())
    assert [request for request in site.registry.requests() if "/blobs/" in request.path] == []
    assert not (tmp_path / "far").exists()
    assert "image" not in answer


def test_platforms_add_up(site: Site) -> None:
    site.push()
    site.pull(platforms=["linux/amd64"])
    answer = three_times(lambda check: site.pull(check, platforms=["linux/arm64"]))
    assert answer["image"]["platforms"] == ["linux/amd64", "linux/arm64"]
    assert answer["stats"]["bytes_reused"] > 0


def test_a_container_image_for_one_platform_after_the_other(site: Site) -> None:
    registry = site.registry
    digests = {name: registry.add_image("tool", "", [name.encode() * 99], name) for name in ("amd64", "arm64")}
    registry.add_index("tool", "1", digests)
    name = f"{registry.host}/tool:1"
    for platform in ("linux/amd64", "linux/arm64"):
        answer = site.pull(name=name, platforms=[platform])
        assert answer["changed"]
        assert platform in answer["image"]["platforms"]
        assert not site.pull(name=name, platforms=[platform])["changed"]
    assert not site.pull(name=name)["changed"]


def test_pull_what_changed_in_the_registry(site: Site) -> None:
    site.push()
    site.pull()
    sample(site.store, NAME, seed="2")
    site.push()
    assert not site.pull(pull="missing")["changed"]
    answer = three_times(site.pull)
    assert 0 < answer["stats"]["bytes_downloaded"] < answer["image"]["size"] / 2


def test_missing_asks_no_registry(site: Site) -> None:
    site.push()
    site.pull(pull="missing", platforms=["linux/amd64"])
    site.registry.close()
    answer = site.pull(pull="missing", platforms=["linux/amd64"])
    assert not answer["changed"]
    assert answer["stats"]["requests"] == 0


@pytest.mark.parametrize("check_mode", [True, False])
def test_pull_what_the_registry_has_not(site: Site, check_mode: bool) -> None:
    with pytest.raises(OciError, match="the registry has no image"):
        site.pull(check_mode)


def test_parallel_has_to_be_something(site: Site) -> None:
    with pytest.raises(OciError, match="parallel has to be at least 1: it is 0"):
        site.pull(parallel=0)


def test_pull_for_a_platform_that_the_image_has_not(site: Site) -> None:
    site.push()
    for _again in range(2):
        with pytest.raises(OciError, match="it is made for linux/amd64, linux/arm64"):
            site.pull(platforms=["linux/s390x"])
        site.pull()
