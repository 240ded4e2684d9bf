# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds that take images from registries over HTTP, through the module."""

from __future__ import annotations

import io
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.remote import FileWriter
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import push
from ansible_collections.sealer.cluster.plugins.modules.image_build import OPTIONS, run
from ansible_collections.sealer.cluster.tests.unit.fake_registry import FakeRegistry
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import write

PLATFORMS = ["linux/amd64", "linux/arm64"]


class Bench:
    """A registry with container images, and builds that know it."""

    def __init__(self, root: pathlib.Path, registry: FakeRegistry) -> None:
        self.root, self.registry = root, registry
        for name, shared in (("team/web", b"shared"), ("team/job", b"shared")):
            made = {
                architecture: registry.add_image(name, "", [shared, f"{name} {architecture}".encode()], architecture)
                for architecture in ("amd64", "arm64")
            }
            registry.add_index(name, "1", made)
        registry.add_image("team/single", "1", [b"single"])
        self.context = write(
            root / "context",
            {
                "Kubefile": "FROM scratch\nCOPY m manifests\n",
                "m/imageList": "".join(f"{registry.host}/team/{name}:1\n" for name in ("web", "job", "single")),
            },
        )

    def run(self, *, check: bool = False, store: str = "store", **options: t.Any) -> t.Dict[str, t.Any]:
        params = {name: option.get("default") for name, option in OPTIONS.items()}
        params.update(
            {
                "name": "registry.example.com/shop:1",
                "path": str(self.context),
                "store": str(self.root / store),
                "registries": [{"host": self.registry.host, "insecure": True}],
                "authfile": None,
                "parallel": 4,
                "platforms": ["linux/amd64"],
                **options,
            }
        )
        return run(params, check)

    def layout(self, store: str = "store") -> Layout:
        return Layout.open(str(self.root / store))


@pytest.fixture
def bench(tmp_path: pathlib.Path, fake_registry: t.Callable[..., FakeRegistry]) -> Bench:
    return Bench(tmp_path, fake_registry())


def without_stats(result: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    return {key: value for key, value in result.items() if key != "stats"}


def test_container_images_are_pulled_once(bench: Bench) -> None:
    told = bench.run(check=True)
    assert not (bench.root / "store").exists()
    assert [one.path for one in bench.registry.seen if "/blobs/" in one.path] == []
    done = bench.run()
    assert without_stats(told) == without_stats(done)
    assert done["changed"]
    assert done["stats"]["bytes_downloaded"] > 0
    paths = [one.path for one in bench.registry.seen if one.method == "GET" and "/blobs/" in one.path]
    assert len(paths) == len({path.rsplit("/", 1)[1] for path in paths})
    again = bench.run()
    assert not again["changed"]
    assert again["stats"]["requests"] == again["stats"]["bytes_downloaded"] == 0
    assert again["stats"]["bytes_reused"] > 0
    assert bench.layout().verify() == []


def test_two_platforms(bench: Bench) -> None:
    (bench.context / "m" / "imageList").write_text(f"{bench.registry.host}/team/web:1\n")
    told, done = bench.run(check=True, platforms=PLATFORMS), bench.run(platforms=PLATFORMS)
    assert without_stats(told) == without_stats(done)
    assert [one["platform"] for one in done["images"]] == PLATFORMS
    assert len({one["digest"] for one in done["images"]}) == 1


def test_an_image_that_the_registry_does_not_have(bench: Bench) -> None:
    missing = f"{bench.registry.host}/team/none:1"
    for check in (True, False):
        with pytest.raises(BuildError) as caught:
            bench.run(check=check, images=[missing])
        told = str(caught.value)
        assert told.startswith(f"container image {missing} for linux/amd64 (asked by option images): ")
    assert not (bench.context / "Kubefile.lock").exists()
    assert bench.layout().names() == {}


def test_an_image_for_another_platform(bench: Bench) -> None:
    with pytest.raises(BuildError, match="team/single:1 for linux/arm64"):
        bench.run(platforms=["linux/arm64"])


def test_the_lock_is_followed(bench: Bench) -> None:
    first = bench.run()
    bench.registry.add_image("team/single", "1", [b"newer"])
    second = bench.run(store="other")
    assert second["image"] == first["image"]
    assert not second["diff"]["before"]["image"]
    third = bench.run(pull="always")
    assert third["image"]["digest"] != first["image"]["digest"]


def test_a_base_is_pulled(bench: Bench) -> None:
    base = f"{bench.registry.host}/clusters/base:1"
    bench.run(name=base)
    client = RegistryClient([RegistrySettings(bench.registry.host, insecure=True)])
    layout = bench.layout()
    push(client, layout, layout.resolve(Reference.parse(base)), Reference.parse(base))
    client.close()
    bench.context = write(bench.root / "app", {"Kubefile": f"FROM {base}\nCOPY x /\n", "x": "x"})
    told = bench.run(check=True, store="other")
    assert not (bench.root / "other").exists()
    done = bench.run(store="other")
    assert told["image"]["digest"] == done["image"]["digest"]
    assert told["images"] == done["images"]
    assert bench.layout("other").verify() == []
    assert bench.run(store="third", frozen=True)["image"] == done["image"]


def test_bytes_are_checked_before_they_are_read() -> None:
    file = io.BytesIO()
    writer = FileWriter(Digest.of(b"right"), file)
    writer.write(b"wrong and long")
    with pytest.raises(DigestMismatch):
        writer.commit()
    writer.restart()
    writer.write(b"right")
    writer.commit()
    assert (file.getvalue(), writer.offset, writer.done) == (b"right", 5, True)
