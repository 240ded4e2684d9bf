# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images into another registry and back: what is sent, under which names, and what is not sent again."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import pull as pull_one
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import push as push_one
from ansible_collections.sealer.cluster.plugins.module_utils._registries import registry_client
from ansible_collections.sealer.cluster.plugins.modules.image_sync import sync
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.sample_image import Sample, put_container_image, sample

NAME = "registry.example/shop:1"
PAUSE, WEB = "registry.k8s.io/pause:3.10.1", "docker.io/library/web:1.0"
BOTH = ("linux/amd64", "linux/arm64")
Answer = t.Dict[str, t.Any]
Make = t.Callable[..., FakeRegistry]


class Site:
    """A store with a cluster image, and a registry."""

    def __init__(self, path: pathlib.Path, registry: FakeRegistry) -> None:
        self.registry = registry
        self.store = Layout.open(str(path / "store"), create=True)
        self.made: Sample = sample(self.store, NAME)
        self.far = str(path / "far")

    def run(self, check_mode: bool = False, **options: t.Any) -> Answer:
        params = {
            "registries": [{"host": self.registry.host, "insecure": True}],
            "authfile": None,
            "parallel": 4,
            "store": self.store.path,
            "names": [NAME],
            "cluster_images": False,
            "destination": f"{self.registry.host}/site",
            "rules": [],
            "direction": "push",
            "platforms": [],
            "incomplete": "reduce",
            **options,
        }
        with registry_client(params) as client:
            return sync(client, params, check_mode)

    def pull(self, check_mode: bool = False, **options: t.Any) -> Answer:
        given = {"store": self.far, "direction": "pull", "names": [PAUSE, WEB], **options}
        return self.run(check_mode, **given)

    def there(self, repository: str, tag: str) -> t.Tuple[str, str]:
        """The digest and the media type of what the registry has."""
        found = self.registry.repositories[repository]
        return found.tags[tag], found.manifests[found.tags[tag]][0]

    def digest(self, name: str) -> str:
        return str(self.store.names()[name].digest)

    def sparse(self, platforms: t.Sequence[str] = ("linux/amd64",), name: str = WEB) -> Layout:
        """A store that has an image's index whole, but its images for these platforms only."""
        host = self.registry.host
        with registry_client(
            {"registries": [{"host": host, "insecure": True}], "authfile": None, "parallel": 4}
        ) as client:
            place = Reference.parse(f"{host}/upstream:1")
            push_one(client, self.store, self.store.names()[name], place)
            layout = Layout.open(self.far, create=True)
            wanted = [Platform.parse(text) for text in platforms]
            pull_one(client, layout, place, wanted, named=Reference.parse(name))
        return layout


@pytest.fixture(name="site")
def fixture_site(tmp_path: pathlib.Path, fake_registry: Make) -> Site:
    return Site(tmp_path, fake_registry())


def three_times(step: t.Callable[[bool], Answer]) -> Answer:
    """A step in check mode, for real, and again; gives the real answer."""
    checked, real, again = step(True), step(False), step(False)
    assert (checked["changed"], checked["diff"]) == (real["changed"], real["diff"])
    assert [one["action"] for one in checked["images"]] == [one["action"] for one in real["images"]]
    assert real["changed"]
    assert not again["changed"]
    assert {one["action"] for one in again["images"]} == {"unchanged"}
    assert again["diff"]["before"] == again["diff"]["after"]
    return real


def test_the_container_images_of_a_cluster_image_go_as_they_are(site: Site) -> None:
    answer = three_times(site.run)
    host = site.registry.host
    assert [(one["source"], one["destination"], one["digest"]) for one in answer["images"]] == [
        (WEB, f"{host}/site/docker.io/library/web:1.0", site.digest(WEB)),
        (PAUSE, f"{host}/site/registry.k8s.io/pause:3.10.1", site.digest(PAUSE)),
    ]
    assert site.there("site/docker.io/library/web", "1.0") == (site.digest(WEB), DOCKER_LIST)
    assert site.there("site/registry.k8s.io/pause", "3.10.1") == (site.digest(PAUSE), OCI_INDEX)
    assert DOCKER_MANIFEST in {
        kind for kind, _raw in site.registry.repository("site/docker.io/library/web").manifests.values()
    }
    assert answer["stats"]["bytes_pushed"] == sum(one["size"] for one in answer["images"])
    assert answer["registries"] == {
        "docker.io": f"{host}/site/docker.io",
        "registry.k8s.io": f"{host}/site/registry.k8s.io",
    }


def test_a_cluster_image_goes_itself_and_comes_back(site: Site) -> None:
    answer = three_times(lambda check: site.run(check, cluster_images=True))
    host, digest = site.registry.host, str(site.made.descriptor.digest)
    told = {one["source"]: (one["destination"], one["digest"]) for one in answer["images"]}
    assert told[NAME] == (f"{host}/site/registry.example/shop:1", digest)
    assert site.there("site/registry.example/shop", "1") == (digest, OCI_INDEX)
    assert sorted(told) == sorted([NAME, WEB, PAUSE])
    # Clients are sent where container images are.
    assert sorted(answer["registries"]) == ["docker.io", "registry.k8s.io"]
    back = three_times(lambda check: site.pull(check, names=[NAME]))
    assert [one["digest"] for one in back["images"]] == [digest]
    assert {PAUSE, WEB} <= set(Layout.open(site.far).names())


def test_what_a_cluster_image_shares_with_its_container_images_is_sent_once(site: Site) -> None:
    answer = site.run(cluster_images=True)
    sent = [request.query["digest"] for request in site.registry.requests("PUT", "/blobs/uploads/")]
    assert len(sent) == len(set(sent))
    assert answer["stats"]["bytes_mounted"] > 0


def test_a_rule_for_a_cluster_image_leaves_its_registry_to_the_others(site: Site) -> None:
    _images, index = put_container_image(site.store, "registry.example/tool:1", BOTH, 100)
    site.store.tag(Reference.parse("registry.example/tool:1"), index)
    rules = [{"match": "registry.example/shop", "to": "{destination}/clusters/{name}"}]
    answer = site.run(names=[NAME, "registry.example/tool:1"], cluster_images=True, rules=rules)
    host = site.registry.host
    assert f"{host}/site/clusters/shop:1" in [one["destination"] for one in answer["images"]]
    assert answer["registries"]["registry.example"] == f"{host}/site/registry.example"


def test_check_mode_only_asks(site: Site) -> None:
    site.run(check_mode=True)
    assert {request.method for request in site.registry.requests()} <= {"HEAD", "GET"}


def test_only_what_is_missing_is_sent(site: Site) -> None:
    site.run()
    del site.registry.repository("site/docker.io/library/web").tags["1.0"]
    site.registry.seen.clear()
    answer = site.run()
    assert [one["action"] for one in answer["images"]] == ["added", "unchanged"]
    assert [request.method for request in site.registry.requests("PUT")] == ["PUT"]
    assert site.registry.requests("POST") == []


def test_a_name_that_means_something_else_is_changed(site: Site) -> None:
    other = site.registry.add_image("site/docker.io/library/web", "1.0", [b"other"])
    answer = three_times(site.run)
    assert answer["diff"]["before"][f"{site.registry.host}/site/docker.io/library/web:1.0"] == other
    assert [one["action"] for one in answer["images"]] == ["changed", "added"]


def test_without_names_all_container_images_go(site: Site) -> None:
    _images, index = put_container_image(site.store, "quay.io/tools/own:1", BOTH, 100)
    site.store.tag(Reference.parse("quay.io/tools/own:1"), index)
    answer = three_times(lambda check: site.run(check, names=[]))
    assert [one["source"] for one in answer["images"]] == [WEB, "quay.io/tools/own:1", PAUSE]


def test_a_layer_is_sent_once_to_a_registry(site: Site) -> None:
    for name in ("quay.io/a/copy:1", "quay.io/b/copy:1"):
        site.store.tag(Reference.parse(name), site.store.names()[WEB])
    answer = three_times(lambda check: site.run(check, names=["quay.io/a/copy:1", "quay.io/b/copy:1"]))
    blobs = {request.path for request in site.registry.requests("PUT") if "/uploads/" in request.path}
    assert len(blobs) == 4
    assert answer["stats"]["bytes_mounted"] > 0
    later = site.run(names=[WEB, "quay.io/a/copy:1"])
    assert later["stats"]["bytes_mounted"] == answer["stats"]["bytes_mounted"]


def test_registries_that_do_not_mount(site: Site) -> None:
    site.registry.mounts = False
    site.store.tag(Reference.parse("quay.io/a/copy:1"), site.store.names()[WEB])
    answer = three_times(lambda check: site.run(check, names=[WEB, "quay.io/a/copy:1"]))
    assert answer["stats"]["bytes_mounted"] == 0
    assert answer["stats"]["bytes_pushed"] == sum(one["size"] for one in answer["images"])


@pytest.mark.parametrize("tag", ["0-first", "9-last"])
def test_a_manifest_that_is_one_name_and_part_of_another(site: Site, tag: str) -> None:
    """The manifest has to be there before the index that names it, whichever of them comes first."""
    child = site.store.read_document(site.store.names()[WEB]).children[0]
    site.store.tag(Reference.parse(f"docker.io/library/web:{tag}"), child)
    site.run(names=[f"docker.io/library/web:{tag}", WEB], parallel=1)
    assert site.there("site/docker.io/library/web", tag)[0] == str(child.digest)
    assert site.there("site/docker.io/library/web", "1.0")[0] == site.digest(WEB)


def test_rules(site: Site) -> None:
    rules = [{"match": "docker.io/library/*", "to": "{destination}/hub-{1}:v{tag}"}, {"match": "*/pause", "to": ""}]
    answer = three_times(lambda check: site.run(check, rules=rules))
    assert [one["destination"] for one in answer["images"]] == [f"{site.registry.host}/site/hub-web:v1.0"]
    assert answer["left_out"] == [PAUSE]
    assert answer["registries"] == {"docker.io": None, "registry.k8s.io": None}
    assert set(site.registry.repositories) == {"site/hub-web"}


def test_two_images_for_one_name_send_nothing(site: Site) -> None:
    rules = [{"match": "*", "to": "{destination}/all:1"}]
    for check in (True, False):
        with pytest.raises(OciError, match="would both become"):
            site.run(check, rules=rules)
    assert site.registry.requests() == []


def test_two_cluster_images_that_mean_different_images_by_a_name(site: Site, tmp_path: pathlib.Path) -> None:
    sample(site.store, "registry.example/shop:2", size=5000)
    with pytest.raises(OciError, match="is two images: .* in registry.example/shop:2"):
        site.run(names=[NAME, "registry.example/shop:2"])
    assert (
        site.run(names=[NAME])["images"][0]["digest"]
        != site.run(names=["registry.example/shop:2"])["images"][0]["digest"]
    )


def test_an_index_of_which_one_platform_is_here_becomes_that_image(site: Site) -> None:
    layout = site.sparse()
    index = layout.read_document(layout.names()[WEB])
    answer = three_times(lambda check: site.run(check, store=layout.path, names=[WEB]))
    assert answer["images"][0]["digest"] == str(index.children[0].digest)
    assert site.there("site/docker.io/library/web", "1.0") == (str(index.children[0].digest), DOCKER_MANIFEST)


def test_an_index_of_which_some_platforms_are_here_is_reduced_to_them(site: Site) -> None:
    platforms = (*BOTH, "linux/s390x")
    _images, entry = put_container_image(site.store, "quay.io/three/web:1", platforms, 100)
    site.store.tag(Reference.parse("quay.io/three/web:1"), entry)
    layout = site.sparse(BOTH, "quay.io/three/web:1")
    answer = three_times(lambda check: site.run(check, store=layout.path, names=["quay.io/three/web:1"]))
    digest, kind = site.there("site/quay.io/three/web", "1")
    document = json.loads(site.registry.repository("site/quay.io/three/web").manifests[digest][1])
    whole = json.loads(site.store.read_document(entry).raw)
    assert (kind, answer["images"][0]["digest"]) == (DOCKER_LIST, digest)
    assert document == {**whole, "manifests": whole["manifests"][:2]}


def test_a_pinned_index_is_not_reduced(site: Site) -> None:
    layout = site.sparse()
    digest = layout.names()[WEB].digest
    with pytest.raises(OciError, match="cannot be brought under this digest.*incomplete: keep"):
        site.run(store=layout.path, names=[f"docker.io/library/web@{digest}"])


def test_an_incomplete_index_is_kept_when_asked(site: Site) -> None:
    layout = site.sparse()
    with pytest.raises(OciError, match="MANIFEST_BLOB_UNKNOWN"):
        site.run(store=layout.path, names=[WEB], incomplete="keep")
    place = "site/docker.io/library/web"
    assert site.registry.repository(place).tags == {}
    # a registry that has the rest, or does not look, takes it
    rest = site.store.read_document(site.store.names()[WEB]).children[1]
    site.registry.add_manifest(place, site.store.read_document(rest).raw, rest.media_type)
    three_times(lambda check: site.run(check, store=layout.path, names=[WEB], incomplete="keep"))
    assert site.there(place, "1.0")[0] == site.digest(WEB)


def test_pinned_images(site: Site) -> None:
    index = site.store.names()[WEB]
    child = site.store.read_document(index).children[1].digest
    names = [f"docker.io/library/web@{index.digest}", f"docker.io/library/web:1.0@{child}"]
    answer = three_times(lambda check: site.run(check, names=names))
    there = site.registry.repository("site/docker.io/library/web")
    assert [one["digest"] for one in answer["images"]] == [str(child), str(index.digest)]
    assert there.tags == {"1.0": str(child)}
    assert {str(index.digest), str(child)} <= set(there.manifests)


def test_nothing_gets_its_name_when_a_blob_fails(site: Site) -> None:
    site.registry.fail("PUT", "uploads", status=400, times=1)
    with pytest.raises(OciError):
        site.run(parallel=1)
    assert all(not repository.tags for repository in site.registry.repositories.values())
    three_times(site.run)


def test_back_into_a_store(site: Site) -> None:
    site.run()
    answer = three_times(site.pull)
    far = Layout.open(site.far)
    assert {name: str(entry.digest) for name, entry in far.names().items()} == {
        PAUSE: site.digest(PAUSE),
        WEB: site.digest(WEB),
    }
    assert far.verify() == []
    assert answer["diff"]["before"] == {PAUSE: None, WEB: None}
    assert [one["size"] for one in answer["images"]] == [one["size"] for one in site.run()["images"]]


def test_back_for_one_platform_then_for_all(site: Site) -> None:
    site.run()
    three_times(lambda check: site.pull(check, platforms=["linux/amd64"]))
    assert site.pull(check_mode=True, names=[PAUSE])["images"][0]["action"] == "changed"
    assert site.pull()["changed"]
    assert not site.pull(platforms=["linux/amd64"])["changed"]
    assert not site.pull()["changed"]


def test_back_writes_nothing_in_check_mode(site: Site) -> None:
    site.run()
    answer = site.pull(check_mode=True)
    assert [one["size"] for one in answer["images"]] == [None, None]
    assert not pathlib.Path(site.far).exists()


def test_what_was_sent_does_not_come_back(site: Site) -> None:
    layout = site.sparse()
    site.run(store=layout.path, names=[WEB])
    names = layout.names()
    answer = site.pull(names=[WEB])
    assert not answer["changed"]
    assert Layout.open(site.far).names() == names
    site.run()
    assert not site.run(direction="pull", names=[WEB, PAUSE])["changed"]


def test_back_what_is_not_there(site: Site) -> None:
    site.run()
    with pytest.raises(OciError, match="has no image .*site/quay.io/a:1, .*site/quay.io/b:1"):
        site.pull(names=[WEB, "quay.io/a:1", "quay.io/b:1"])
    with pytest.raises(OciError, match="`names` is empty"):
        site.pull(names=[])
