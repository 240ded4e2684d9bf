# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds from end to end into stores on disk."""

from __future__ import annotations

import io
import json
import pathlib
import shutil
import subprocess
import tarfile
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.needs import Asked
from ansible_collections.sealer.cluster.plugins.module_utils._build.report import BuildResult
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import ClusterImage
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import DOCUMENT_TYPES, UPSTREAM_INDEX_V1
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import (
    AMD64,
    ARM64,
    NAME,
    Site,
    add_image,
    killed_before_replacing,
)

WEB = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{name: web, image: "example.com/web:1"}]}}}
"""
SHOP = {
    "Kubefile": "FROM scratch\nLABEL io.sealer.runtime=kubeadm\nENV COLOUR=blue\n"
    "COPY bin/ bin/\nCOPY manifests manifests\nAPP web local://web\nLAUNCH web\n",
    "bin/kubectl": "program",
    "bin/kubelet": "another",
    "manifests/imageList": "pause:3.10\n",
    "web/web.yaml": WEB,
}
BASE_NAME = "registry.example.com/base:1"
ON_BASE = f"FROM {BASE_NAME}\nENV SIZE=2\nAPP shop shop.sh\nAPPENV web COLOUR=red\nLAUNCH shop\nCMD echo done\n"


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    site = Site(tmp_path)
    for name in ("example.com/web:1", "pause:3.10"):
        add_image(site.store, name)
    return site


def image(site: Site, name: str = NAME) -> ClusterImage:
    return ClusterImage.read(site.store, site.store.resolve(Reference.parse(name)))


def layers(site: Site, platform: Platform = AMD64) -> t.List[Descriptor]:
    manifest = site.store.read_document(image(site).rootfs[platform])
    assert isinstance(manifest, Manifest)
    return manifest.layers


def files(site: Site, platform: Platform = AMD64) -> t.Dict[str, str]:
    """Names and modes of all that the layers hold, later ones over earlier ones."""
    result = {}
    for layer in layers(site, platform):
        with tarfile.open(fileobj=io.BytesIO(site.store.read_blob(layer.digest))) as archive:
            for member in archive:
                result[member.name] = f"{member.mode:o} {member.uid}:{member.gid}"
    return result


def locked(context: pathlib.Path) -> t.Dict[str, t.Any]:
    found: t.Dict[str, t.Any] = json.loads((context / "Kubefile.lock").read_text())
    return found


def test_a_build_is_told_before_and_done_once(site: Site) -> None:
    context = site.context("shop", SHOP)
    before = sorted(path for path in site.root.rglob("*"))
    told = site.build(context, check=True)
    assert sorted(path for path in site.root.rglob("*")) == before
    done = site.build(context)
    assert told.changed
    assert (told.image, told.images, told.diff) == (done.image, done.images, done.diff)
    assert str(site.store.resolve(Reference.parse(NAME)).digest) == done.image["digest"]
    again = site.build(context, check=True), site.build(context)
    assert [one.changed for one in again] == [False, False]
    assert again[0].diff == again[1].diff
    assert again[1].diff["before"] == again[1].diff["after"] == done.diff["after"]
    assert site.store.verify() == []
    assert site.registry.asked == []


def test_no_layer_is_of_a_type_that_tools_push_as_a_document(site: Site) -> None:
    """Else oras takes an upstream's index in the lock for a manifest of its own, and a registry misses the blob."""
    site.build(site.context("shop", SHOP))
    manifests = [site.store.read_document(one) for one in site.store.read_document(image(site).digest).children]
    layers = [layer.media_type for one in manifests if isinstance(one, Manifest) for layer in one.layers]
    assert UPSTREAM_INDEX_V1 in layers
    assert not DOCUMENT_TYPES & set(layers)


def needed(site: Site, built: ClusterImage) -> int:
    """Bytes of the index and of the manifests, configs and layers that it names."""
    index = site.store.read_document(built.digest)
    sizes = {built.digest: len(index.raw)}
    for child in index.children:
        sizes[child.digest] = child.size
        sizes.update((one.digest, one.size) for one in site.store.read_document(child).children)
    return sum(sizes.values())


def test_the_result(site: Site) -> None:
    result = site.build(site.context("shop", SHOP))
    built = image(site)
    assert result.image == {
        "name": NAME,
        "digest": str(built.digest),
        "size": needed(site, built),
        "platforms": ["linux/amd64"],
        "labels": built.labels,
        "runtime": "kubeadm",
    }
    assert [(one["reference"], one["why"]) for one in result.images] == [
        ("docker.io/library/pause:3.10", ["manifests/imageList:1"]),
        ("example.com/web:1", ["application/apps/web/web.yaml:4 Deployment/web container web"]),
    ]
    assert built.description == {
        "schemaVersion": 1,
        "applications": [
            {
                "name": "web",
                "type": "kube",
                "path": "application/apps/web",
                "files": ["application/apps/web/web.yaml"],
                "env": {},
                "cmds": ["kubectl apply -f web.yaml"],
            }
        ],
        "launch": ["web"],
        "cmds": [],
        "env": {"COLOUR": "blue"},
    }
    config = built.config(AMD64)
    assert config["config"]["Env"] == ["COLOUR=blue"]
    assert config["created"] == "1970-01-01T00:00:00Z"
    assert [one.get("empty_layer", False) for one in config["history"]] == [True, True, False, False, False, True]
    assert len(config["rootfs"]["diff_ids"]) == len(layers(site)) == 3


def test_the_same_in_two_directories_and_stores(site: Site, tmp_path: pathlib.Path) -> None:
    other = Site(tmp_path / "other")
    for name in ("pause:3.10", "example.com/web:1"):
        add_image(other.store, name)
    one = site.build(site.context("shop", SHOP))
    two = other.build(other.context("elsewhere/deeper", SHOP))
    assert one.image == two.image
    assert (site.root / "shop/Kubefile.lock").read_bytes() == (
        other.root / "elsewhere/deeper/Kubefile.lock"
    ).read_bytes()


def test_a_changed_file_changes_one_layer(site: Site) -> None:
    site.build(site.context("shop", SHOP))
    before = layers(site)
    assert site.build(site.context("shop", {"bin/kubectl": "changed"})).changed
    after = layers(site)
    assert [one.digest == two.digest for one, two in zip(before, after)] == [False, True, True]


def test_a_lost_layer_is_packed_again(site: Site) -> None:
    context = site.context("shop", SHOP)
    first = site.build(context)
    pathlib.Path(site.store.blob_path(layers(site)[0].digest)).unlink()
    assert site.build(context).image == first.image
    assert site.store.verify() == []


def test_the_time_is_what_the_environment_says(site: Site) -> None:
    context = site.context("shop", SHOP)
    site.build(context)
    before = layers(site)
    site.build(context, epoch=86400)
    assert image(site).config(AMD64)["created"] == "1970-01-02T00:00:00Z"
    assert not {one.digest for one in before} & {one.digest for one in layers(site)}


def build_base(site: Site, changed: t.Optional[t.Dict[str, str]] = None) -> BuildResult:
    return site.build(site.context("base", {**SHOP, **(changed or {})}), name=BASE_NAME, platforms=[AMD64, ARM64])


def test_a_base_is_taken_over(site: Site) -> None:
    base = build_base(site)
    result = site.build(site.context("app", {"Kubefile": ON_BASE, "shop.sh": "echo hello"}))
    built, below = image(site), image(site, BASE_NAME)
    manifest = site.store.read_document(below.rootfs[AMD64])
    assert isinstance(manifest, Manifest)
    assert [one.digest for one in layers(site)[:3]] == [one.digest for one in manifest.layers]
    assert len(layers(site)) == 4
    assert built.description["launch"] == ["web", "shop"]
    assert built.description["cmds"] == ["echo done"]
    assert built.description["env"] == {"COLOUR": "blue", "SIZE": "2"}
    assert [one["env"] for one in built.description["applications"]] == [{"COLOUR": "red"}, {}]
    assert built.labels["io.sealer.runtime"] == "kubeadm"
    assert result.images == [one for one in base.images if one["platform"] == "linux/amd64"]
    assert locked(site.root / "app")["base"] == [{"reference": BASE_NAME, "digest": base.image["digest"]}]
    assert site.store.verify() == []


def test_an_application_of_the_base_is_replaced(site: Site) -> None:
    build_base(site)
    site.build(site.context("app", {"Kubefile": f"FROM {BASE_NAME}\nAPP web new.sh\n", "new.sh": ""}))
    assert "application/apps/web/.wh..wh..opq" in files(site)
    assert [one["cmds"] for one in image(site).description["applications"]] == [["bash new.sh"]]


def test_a_base_comes_from_a_registry(site: Site, tmp_path: pathlib.Path) -> None:
    far = Site(tmp_path / "far")
    for name in ("example.com/web:1", "pause:3.10"):
        add_image(far.store, name)
    build_base(far)
    site.registry.layout = far.store
    context = site.context("app", {"Kubefile": ON_BASE, "shop.sh": "echo hello"})
    told = site.build(context, check=True)
    assert not [one for one in site.registry.asked if one.startswith("pull")]
    done = site.build(context)
    assert f"pull {BASE_NAME}" in site.registry.asked
    assert told.image["digest"] == done.image["digest"]
    assert told.diff == done.diff
    with pytest.raises(BuildError, match="base image .* is not in the store for linux/amd64: pull is never"):
        Site(tmp_path / "third").build(context, pull="never")


def test_container_images_come_from_a_registry(site: Site, tmp_path: pathlib.Path) -> None:
    empty = Site(tmp_path / "empty")
    empty.registry.layout = site.store
    context = site.context("shop", SHOP)
    told = empty.build(context, check=True)
    done = empty.build(context)
    assert told.image["digest"] == done.image["digest"]
    assert [one["from"] for one in locked(context)["images"]] == ["docker.io", "example.com"]
    asked = len(empty.registry.asked)
    assert not empty.build(context).changed
    assert len(empty.registry.asked) == asked
    index = site.store.resolve(Reference.parse("example.com/web:1"))
    assert empty.store.read_blob(index.digest) == site.store.read_blob(index.digest)
    assert empty.store.resolve(Reference.parse("example.com/web:1")).digest == index.digest
    assert empty.store.verify() == []


def test_a_platform_has_its_own(site: Site) -> None:
    context = site.context("shop", {**SHOP, "Kubefile": "FROM scratch\nCOPY f-$ARCH /f\nCOPY m/${TARGETARCH} m/\n"})
    site.context("shop", {"f-amd64": "a", "f-arm64": "b", "m/amd64/imageList": "pause:3.10", "m/arm64/x": ""})
    result = site.build(context, platforms=[AMD64, ARM64])
    assert result.image["platforms"] == ["linux/amd64", "linux/arm64"]
    assert [one["platform"] for one in result.images] == ["linux/amd64"]
    assert sorted(files(site, ARM64)) == ["f", "m", "m/x"]
    assert layers(site)[0].digest != layers(site, ARM64)[0].digest
    kept = locked(context)["images"]
    site.build(context, platforms=[ARM64])
    assert locked(context)["images"] == kept


def test_the_lock_pins(site: Site, tmp_path: pathlib.Path) -> None:
    empty = Site(tmp_path / "empty")
    empty.registry.layout = site.store
    context = site.context("shop", SHOP)
    first = empty.build(context)
    add_image(site.store, "example.com/web:1", size=200)
    add_image(empty.store, "example.com/web:1", size=300)
    assert not empty.build(context).changed
    always = empty.build(context, pull="always")
    assert always.changed
    assert always.image["digest"] != first.image["digest"]
    (context / "Kubefile.lock").unlink()
    assert empty.build(context).images != always.images


def test_what_was_made_in_the_store_is_what_it_is_now(site: Site) -> None:
    context = site.context("shop", SHOP)
    first = site.build(context)
    add_image(site.store, "example.com/web:1", size=200)
    assert not site.build(context, frozen=True).changed
    second = site.build(context)
    assert second.image["digest"] != first.image["digest"]
    assert [one["from"] for one in locked(context)["images"]] == ["store", "store"]
    assert not site.build(context).changed


def test_a_broken_image_in_the_store_is_not_taken(site: Site) -> None:
    index = site.store.read_document(site.store.resolve(Reference.parse("example.com/web:1")))
    manifest = site.store.read_document(index.children[0])
    assert isinstance(manifest, Manifest)
    pathlib.Path(site.store.blob_path(manifest.layers[0].digest)).unlink()
    with pytest.raises(BuildError, match="example.com/web:1 .* it is not in the store for this platform"):
        site.build(site.context("shop", SHOP), pull="never")


def test_a_lost_lock_is_written_again(site: Site) -> None:
    context = site.context("shop", SHOP)
    first = site.build(context)
    (context / "Kubefile.lock").unlink()
    told, second = site.build(context, check=True), site.build(context)
    assert (told.changed, second.changed) == (True, True)
    assert told.diff == second.diff
    assert second.image == first.image
    assert (context / "Kubefile.lock").exists()


def test_the_lock_is_never_copied(site: Site) -> None:
    context = site.context("all", {"Kubefile": "FROM scratch\nCOPY . /\nCOPY *file* other/\n", "x": ""})
    first = site.build(context)
    assert site.build(context).image == first.image
    assert sorted(files(site)) == ["Kubefile", "other", "other/Kubefile", "x"]


def test_a_build_killed_while_it_writes_the_lock_leaves_nothing_to_be_copied(site: Site) -> None:
    context = site.context("all", {"Kubefile": "FROM scratch\nCOPY . /\n", "x": ""})
    killed_before_replacing("Kubefile.lock", lambda: site.build(context))
    assert len(list(context.iterdir())) == 3
    site.build(context)
    assert sorted(files(site)) == ["Kubefile", "x"]
    assert sorted(path.name for path in context.iterdir()) == ["Kubefile", "Kubefile.lock", "x"]


def test_frozen_without_a_lock_says_just_that(site: Site) -> None:
    context = site.context("plain", {"Kubefile": "FROM scratch\nLABEL a=b\n"})
    with pytest.raises(BuildError, match="there is no lock, and frozen is set: frozen builds from a lock only"):
        site.build(context, frozen=True)
    assert not (context / "Kubefile.lock").exists()


def test_frozen(site: Site) -> None:
    context = site.context("shop", SHOP)
    with pytest.raises(
        BuildError, match=r"2 container images cannot be had(.|\n)*it is not in the lock: frozen is set"
    ):
        site.build(context, frozen=True)
    first = site.build(context)
    assert site.build(context, frozen=True).image == first.image
    site.context("shop", {"manifests/imageList": "# nothing\n"})
    with pytest.raises(BuildError, match="the lock would change, and frozen is set: - docker.io/library/pause:3.10"):
        site.build(context, frozen=True)
    site.build(context)
    base = build_base(site)
    app = site.context("app", {"Kubefile": f"FROM {BASE_NAME}\n"})
    with pytest.raises(BuildError, match="base image .* is not in the lock: frozen is set"):
        site.build(app, frozen=True)
    site.build(app)
    assert build_base(site, {"bin/kubectl": "newer"}).image["digest"] != base.image["digest"]
    assert not site.build(app, frozen=True).changed
    assert site.build(app).changed


def test_all_missing_images_are_told_with_their_reason(site: Site) -> None:
    context = site.context("shop", SHOP)
    site.context("shop", {"manifests/imageList": "example.com/a:1\nexample.com/b:1\n"})
    with pytest.raises(BuildError) as caught:
        site.build(context)
    told = str(caught.value).splitlines()
    assert told[0] == "2 container images cannot be had"
    assert told[1].startswith("  example.com/a:1 for linux/amd64 (asked by manifests/imageList:1): example.com/a:1 is")
    assert told[2].startswith("  example.com/b:1 for linux/amd64 (asked by manifests/imageList:2)")
    assert site.store.find(Reference.parse(NAME)) is None
    assert not (context / "Kubefile.lock").exists()
    with pytest.raises(BuildError, match="pull is never"):
        site.build(context, pull="never")


def test_images_by_option(site: Site) -> None:
    add_image(site.store, "example.com/extra:1", index=False)
    context = site.context("shop", {**SHOP, "more.txt": "example.com/extra:1 # why not\n"})
    result = site.build(
        context,
        asked=Asked(images=["example.com/extra:1"], files=["more.txt"], ignored=["docker.io/library/pause:3.10"]),
    )
    assert [(one["reference"], one["why"]) for one in result.images] == [
        ("example.com/extra:1", ["option images", "more.txt:1"]),
        ("example.com/web:1", ["application/apps/web/web.yaml:4 Deployment/web container web"]),
    ]


def test_an_image_for_another_platform_is_refused(site: Site) -> None:
    add_image(site.store, "example.com/one:1", index=False)
    context = site.context("shop", {"Kubefile": "FROM scratch\n"})
    with pytest.raises(BuildError, match="example.com/one:1 for linux/arm64"):
        site.build(context, platforms=[ARM64], asked=Asked(images=["example.com/one:1"]))


def test_a_cluster_image_is_no_container_image(site: Site) -> None:
    build_base(site)
    with pytest.raises(BuildError, match="is a cluster image, no container image"):
        site.build(site.context("x", {"Kubefile": "FROM scratch\n"}), asked=Asked(images=[BASE_NAME]))
    with pytest.raises(BuildError, match="example.com/web:1 is not a cluster image"):
        site.build(site.context("x", {"Kubefile": "FROM example.com/web:1\n"}))


COPIES = {"a.txt": "a", "b.txt": "b", "d/x": "x", "d/e/y": "y", "w s/z": "z"}


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("COPY a.txt /", {"a.txt": "644 0:0"}),
        ("COPY a.txt .", {"a.txt": "644 0:0"}),
        ("COPY a.txt to/", {"to": "755 0:0", "to/a.txt": "644 0:0"}),
        ("COPY a.txt to", {"to": "644 0:0"}),
        ("COPY *.txt to/", {"to": "755 0:0", "to/a.txt": "644 0:0", "to/b.txt": "644 0:0"}),
        ("COPY d /", {"x": "644 0:0", "e": "755 0:0", "e/y": "644 0:0"}),
        ("COPY d to", {"to": "755 0:0", "to/x": "644 0:0", "to/e": "755 0:0", "to/e/y": "644 0:0"}),
        ("COPY d/e a.txt to/", {"to": "755 0:0", "to/y": "644 0:0", "to/a.txt": "644 0:0"}),
        ('COPY ["w s/z", "to it/"]', {"to it": "755 0:0", "to it/z": "644 0:0"}),
        ('COPY "w s/z" /', {"z": "644 0:0"}),
        ("COPY --chown=7 --chmod=4750 a.txt /", {"a.txt": "4750 7:7"}),
        ("COPY --chown=7:8 --chmod=640 d/e to", {"to": "750 7:8", "to/y": "640 7:8"}),
        ("COPY d to\nCOPY a.txt to", {"to/a.txt": "644 0:0"}),
    ],
)
def test_copy(site: Site, instruction: str, expected: t.Dict[str, str]) -> None:
    context = site.context("c", {**COPIES, "Kubefile": f"FROM scratch\n{instruction}\n"})
    site.build(context)
    found = files(site)
    assert expected == (found if "\n" not in instruction else {key: found[key] for key in expected})


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("COPY a.txt b.txt a.txt to", ":2:18: two sources give to/a.txt"),
        ("COPY a.txt ../x", ":2:12: '../x' is no place in the rootfs"),
        ("COPY --chown=root a.txt /", ":2:14: --chown=root is not numeric"),
        ("COPY --chmod=u+x a.txt /", ":2:14: --chmod=u+x is not octal"),
        ("COPY nothing /", ":2:6: nothing does not exist"),
        ("COPY $X /", ":2:6: variable X is not set here"),
        ("COPY a.txt d/\nCOPY a.txt d/a.txt/b", ":3:12: d/a.txt cannot be a directory: d/a.txt is a file"),
        ("COPY away/ /", ":2:6: link link leaves the rootfs: it points to /etc"),
        ("LABEL io.sealer.cluster=x", ":2:1: the label io.sealer.cluster is written by the build"),
        ("ENV 1A=x", ":2:5: '1A' is no name of a variable"),
        ("ARG ARCH=x", ":2:5: ARG ARCH takes no default"),
        ("APP a a.txt", ":2:5: it is not known how to start application a: a.txt is neither YAML"),
        ("APP a chart", ":2:5: it is not known how to start application a: it is a Helm chart"),
        ("APP a mixed", ":2:5: it is not known how to start application a: it mixes"),
        ("APP a hollow", ":2:7: hollow holds no file"),
        ("APP a x.sh\nAPP a x.sh", ":3:5: application a is declared already: in line 2"),
        ("APPENV a X=1", ":2:8: unknown application a: known here: none"),
        ('APPCMDS a ["x"]', ":2:9: unknown application a"),
        ('APP a x.sh\nAPPCMDS a ["x"]\nAPPCMDS a ["y"]', ":4:9: a has its commands already: in line 3"),
        ("APP a x.sh\nLAUNCH a b", ":3:10: unknown application b: known here: a"),
        ("APP a x.sh\nLAUNCH a a", ":3:10: LAUNCH names a twice"),
    ],
)
def test_mistakes_are_told_with_their_place(site: Site, lines: str, told: str) -> None:
    tree = {**COPIES, "x.sh": "", "chart/Chart.yaml": "", "mixed/a.sh": "", "mixed/b.yaml": "", "away/f": ""}
    context = site.context("c", {**tree, "Kubefile": f"FROM scratch\n{lines}\n"})
    (context / "hollow").mkdir()
    (context / "away" / "link").symlink_to("/etc")
    for check in (True, False):
        with pytest.raises(BuildError) as caught:
            site.build(context, check=check)
        assert str(caught.value).startswith(f"{context / 'Kubefile'}{told}")
    assert site.store.find(Reference.parse(NAME)) is None


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("ARG A=1\nFROM scratch\nARG A\nENV X=$A", {}, "1"),
        ("ARG A=1\nFROM scratch\nARG A\nENV X=$A", {"A": "2"}, "2"),
        ("ARG A=1\nFROM scratch\nARG A=3\nENV X=$A", {}, "3"),
        ("FROM scratch\nARG A=3 B=$A\nENV X=$B", {"A": "4"}, "4"),
        ("FROM scratch\nARG A\nENV X=${A:-none}", {}, "none"),
        ("FROM scratch\nARG A=1\nENV A=2\nENV X=$A", {}, "2"),
        ("FROM scratch\nENV A=1\nENV A=2 X=$A", {}, "1"),
        ("FROM scratch\nENV X one 'two'  three ", {}, "one two  three"),
        ("FROM scratch\nARG TARGETPLATFORM\nENV X=$TARGETPLATFORM-$ARCH", {}, "linux/amd64-amd64"),
    ],
)
def test_variables(site: Site, text: str, arguments: t.Dict[str, str], expected: str) -> None:
    site.build(site.context("v", {"Kubefile": text + "\n"}), build_args=arguments)
    assert image(site).description["env"]["X"] == expected


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (
            "FROM scratch",
            {"build_args": {"X": "1"}},
            "build_args: no ARG declares X: the Kubefile declares no variable",
        ),
        ("FROM scratch", {"build_args": {"ARCH": "1"}}, "build_args: ARCH is set by the build"),
        ("FROM scratch", {"labels": {"io.sealer.cluster": "1"}}, "labels: io.sealer.cluster is written"),
        ("FROM scratch", {"platforms": []}, "platforms is empty"),
        ("FROM scratch", {"asked": Asked(files=["missing"])}, "cannot read images_files"),
        ("FROM --platform=linux/arm64 scratch", {}, ":1:17: FROM takes the base for linux/arm64"),
        ("FROM --platform=arm64 scratch", {}, ":1:17: 'arm64' is no platform"),
        ("FROM Upper/Case", {}, ":1:6: 'Upper/Case' is no name of an image"),
        ("FROM scratch", {"name": f"{NAME}@sha256:{'a' * 64}"}, "cannot be given to an image"),
    ],
)
def test_wrong_requests(site: Site, text: str, options: t.Dict[str, t.Any], told: str) -> None:
    context = site.context("w", {"Kubefile": text})
    with pytest.raises(BuildError) as caught:
        site.build(context, **options)
    assert told in str(caught.value)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schemaVersion": 2, "images": [], "base": []}'])
def test_a_broken_lock_is_refused(site: Site, content: str) -> None:
    context = site.context("shop", {**SHOP, "Kubefile.lock": content})
    with pytest.raises(BuildError, match="Kubefile.lock: the lock cannot be read"):
        site.build(context)


def test_no_kubefile(site: Site) -> None:
    (site.root / "none").mkdir()
    with pytest.raises(BuildError, match="none/Kubefile: there is no Kubefile"):
        site.build(site.root / "none")


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_other_tools_read_it(site: Site) -> None:
    result = site.build(site.context("shop", SHOP))
    inspected = subprocess.run(
        ["skopeo", "inspect", f"oci:{site.store.path}:{NAME}"], check=True, capture_output=True, text=True
    )
    told = json.loads(inspected.stdout)
    assert told["Digest"] == result.image["digest"]
    assert told["Env"] == ["COLOUR=blue"]
    assert told["Layers"] == [str(one.digest) for one in layers(site)]
    target = site.root / "copied"
    subprocess.run(
        ["skopeo", "copy", "-q", f"oci:{site.store.path}:docker.io/library/pause:3.10", f"dir:{target}"], check=True
    )
    assert (target / "manifest.json").exists()


def test_a_container_image_named_twice_is_one(site: Site) -> None:
    Layout.tag(
        site.store, Reference.parse("example.com/same:1"), site.store.resolve(Reference.parse("example.com/web:1"))
    )
    context = site.context("shop", {**SHOP, "manifests/imageList": "example.com/same:1\nexample.com/web:1\n"})
    result = site.build(context)
    assert [one["reference"] for one in result.images] == ["example.com/same:1", "example.com/web:1"]
    assert len({one["digest"] for one in result.images}) == 1
