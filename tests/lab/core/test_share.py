# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cluster images are carried around by tools that have never heard of us, and stay what they are.

Two of them: the demo's, and a small one for two platforms, whose container images have indexes of both kinds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import pathlib
import shutil
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import DOCUMENT_TYPES
from ansible_collections.sealer.cluster.tests.lab.lab import CACHE, DEMO_IMAGE, STORE
from ansible_collections.sealer.cluster.tests.unit.real_registry import RealRegistry
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample

GO = pathlib.Path(__file__).resolve().parents[2] / "tools/go"


def run(*command: str) -> str:
    """What a command prints; what it printed is in the error where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def module(verb: str, **options: object) -> dict[str, t.Any]:
    """The result of one of our modules, run on this machine."""
    shown = run("ansible", "localhost", "--module-name", f"sealer.cluster.{verb}", "--args", json.dumps(options))
    return t.cast("dict[str, t.Any]", json.loads(shown[shown.index("{") : shown.rindex("}") + 1]))


def digest_at(place: str) -> str:
    """The digest of what a registry has under a name, as skopeo sees it."""
    command = ["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{place}"]
    raw = subprocess.run(command, capture_output=True, check=True, timeout=60)
    done = subprocess.run(["sha256sum"], input=raw.stdout, capture_output=True, check=True)
    return f"sha256:{done.stdout.decode().split()[0]}"


@dataclasses.dataclass(frozen=True)
class Carried:
    """An image in a store, and where our own push put it."""

    store: pathlib.Path
    name: str
    digest: str
    place: str

    def missing_at(self, place: str) -> list[str]:
        """What belongs to the image and is not in the repository of this place."""
        host, _slash, repository = place.rpartition(":")[0].partition("/")
        layout = Layout.open(str(self.store))
        missing = []
        with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as registry:
            for one in layout.reachable(layout.read_document(Digest.parse(self.digest)).descriptor()):
                kind = "manifests" if one.media_type in DOCUMENT_TYPES else "blobs"
                registry.request("HEAD", f"/v2/{repository}/{kind}/{one.digest}", headers={"Accept": one.media_type})
                answer = registry.getresponse()
                answer.read()
                if answer.status != http.client.OK:
                    missing.append(f"{kind}/{one.digest}")
        return missing

    def assert_whole_at(self, place: str) -> None:
        """The registry has the same index under the name, and everything that it needs."""
        assert digest_at(place) == self.digest
        assert self.missing_at(place) == []


@pytest.fixture(scope="module")
def registries(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[tuple[str, str]]:
    started = [RealRegistry(tmp_path_factory.mktemp(name)) for name in ("first", "second")]
    yield started[0].host, started[1].host
    for registry in started:
        registry.close()


def pushed(store: pathlib.Path, name: str, registries: tuple[str, str]) -> Carried:
    """The image, put into the first registry by our own push."""
    digest = module("image_info", name=name, store=str(store))["image"]["digest"]
    place = f"{registries[0]}/clusters/{name}"
    insecure = [{"host": registries[0], "insecure": True}]
    module("image_push", name=name, dest=place, registries=insecure, store=str(store))
    return Carried(store, name, digest, place)


@pytest.fixture(scope="module")
def demo(registries: tuple[str, str]) -> Carried:
    return pushed(STORE, DEMO_IMAGE, registries)


@pytest.fixture(scope="module")
def small(registries: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Carried:
    store = tmp_path_factory.mktemp("small") / "store"
    sample(Layout.open(str(store), create=True), "docker.io/library/small:1")
    return pushed(store, "small:1", registries)


@pytest.fixture(scope="module", params=["demo", "small"])
def image(request: pytest.FixtureRequest) -> Carried:
    return t.cast(Carried, request.getfixturevalue(request.param))


def built(package: str) -> str:
    """A program of the module of tools, whose versions and sums go.mod and go.sum pin."""
    program = CACHE / "bin" / pathlib.PurePosixPath(package).name
    run("go", "-C", str(GO), "build", "-trimpath", "-o", str(program), package)
    return str(program)


@pytest.fixture(scope="module")
def crane() -> str:
    return built("github.com/google/go-containerregistry/cmd/crane")


@pytest.fixture(scope="module")
def oras() -> str:
    return built("oras.land/oras/cmd/oras")


def test_our_push_carries_it(image: Carried) -> None:
    image.assert_whole_at(image.place)


def test_skopeo_carries_it_from_registry_to_registry(image: Carried, registries: tuple[str, str]) -> None:
    place = f"{registries[1]}/by/skopeo/{image.name}"
    options = ("--all", "--src-tls-verify=false", "--dest-tls-verify=false")
    run("skopeo", "copy", *options, f"docker://{image.place}", f"docker://{place}")
    image.assert_whole_at(place)


def test_skopeo_carries_it_from_the_store(image: Carried, registries: tuple[str, str]) -> None:
    place = f"{registries[1]}/from/store/by/skopeo/{image.name}"
    source = f"oci:{image.store}:docker.io/library/{image.name}"
    run("skopeo", "copy", "--all", "--dest-tls-verify=false", source, f"docker://{place}")
    image.assert_whole_at(place)


def test_skopeo_carries_it_from_an_archive(image: Carried, registries: tuple[str, str], tmp_path: pathlib.Path) -> None:
    archive, place = tmp_path / "image.tar", f"{registries[1]}/from/archive/{image.name}"
    module("image_save", name=image.name, dest=str(archive), store=str(image.store))
    run("skopeo", "copy", "--all", "--dest-tls-verify=false", f"oci-archive:{archive}", f"docker://{place}")
    image.assert_whole_at(place)


def test_crane_carries_it_from_registry_to_registry(image: Carried, registries: tuple[str, str], crane: str) -> None:
    place = f"{registries[1]}/by/crane/{image.name}"
    run(crane, "cp", "--insecure", image.place, place)
    image.assert_whole_at(place)


def test_oras_carries_it_from_registry_to_registry(image: Carried, registries: tuple[str, str], oras: str) -> None:
    place = f"{registries[1]}/by/oras/{image.name}"
    run(oras, "cp", "--from-plain-http", "--to-plain-http", image.place, place)
    image.assert_whole_at(place)


def test_oras_carries_it_from_the_store(image: Carried, registries: tuple[str, str], oras: str) -> None:
    place = f"{registries[1]}/from/store/by/oras/{image.name}"
    run(oras, "cp", "--from-oci-layout", "--to-plain-http", f"{image.store}@{image.digest}", place)
    image.assert_whole_at(place)


def test_what_one_platform_alone_would_take_is_not_whole(image: Carried, registries: tuple[str, str]) -> None:
    """As skopeo copies without --all: what assert_whole_at has to find."""
    place = f"{registries[1]}/one/platform/{image.name}"
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    run("skopeo", "copy", *insecure, f"docker://{image.place}", f"docker://{place}")
    assert digest_at(place) != image.digest
    assert image.missing_at(place)


def test_it_comes_back_by_our_pull(image: Carried, registries: tuple[str, str], tmp_path: pathlib.Path) -> None:
    insecure = [{"host": registries[0], "insecure": True}]
    again = module("image_pull", name=image.place, store=str(tmp_path / "store"), registries=insecure)
    assert again["image"]["digest"] == image.digest


def test_podman_pull_gets_the_rootfs(demo: Carried) -> None:
    identity = run("podman", "pull", "--quiet", "--tls-verify=false", demo.place).strip()
    try:
        labels = json.loads(run("podman", "image", "inspect", identity))[0]["Labels"]
        assert labels["io.sealer.runtime"] == "kubeadm"
        mounted = pathlib.Path(run("podman", "image", "mount", identity).strip())
        assert (mounted / "bin/kubeadm").is_file()
        assert shutil.which(str(mounted / "bin/kubelet"))
    finally:
        run("podman", "image", "umount", identity)
        run("podman", "image", "rm", "--force", identity)
