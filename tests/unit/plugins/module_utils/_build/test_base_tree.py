# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds on a base whose files decide where ours go."""

from __future__ import annotations

import gzip
import pathlib
import shutil
import subprocess
import typing as t
from unittest import mock

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build import base_tree
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer_listing import read_listing
from ansible_collections.sealer.cluster.plugins.module_utils._build.report import BuildResult
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.extract import Extractor
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import ClusterImage
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import LAYER_TAR_GZIP, LAYER_TAR_ZSTD
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Manifest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import (
    AMD64,
    ARM64,
    BASE_NAME,
    NAME,
    Site,
    add_base,
    add_image,
    snapshot,
    tar,
    unpacked,
)


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Site:
    return Site(tmp_path)


def build_base(site: Site, kubefile: str, files: t.Mapping[str, str]) -> None:
    site.build(site.context("base", {**files, "Kubefile": f"FROM scratch\n{kubefile}"}), name=BASE_NAME)


def test_files_go_into_the_directories_of_the_base(site: Site) -> None:
    add_image(site.store, "pause:3.10")
    base = {"bin/tool": "tool", "scripts/init.sh": "", "manifests/readme.txt": ""}
    build_base(site, "COPY bin bin\nCOPY scripts scripts\nCOPY manifests manifests\n", base)
    ours = {"kubectl-x": "x", "imageList": "pause:3.10\n"}
    result = site.build(
        site.context("app", {**ours, "Kubefile": f"FROM {BASE_NAME}\nCOPY kubectl-x bin\nCOPY imageList manifests\n"})
    )
    found = {path: kind for path, (kind, *_rest) in unpacked(site.store, NAME).items()}
    assert found == {
        "bin": "directory",
        "bin/kubectl-x": "file",
        "bin/tool": "file",
        "manifests": "directory",
        "manifests/imageList": "file",
        "manifests/readme.txt": "file",
        "scripts": "directory",
        "scripts/init.sh": "file",
    }
    assert [(one["reference"], one["why"]) for one in result.images] == [
        ("docker.io/library/pause:3.10", ["manifests/imageList:1"])
    ]


def test_directories_of_the_base_keep_mode_and_owner(site: Site) -> None:
    build_base(site, "COPY --chmod=0600 --chown=1000:1000 secret/ etc/secret/\n", {"secret/key": "key"})
    site.build(site.context("app", {"extra": "", "Kubefile": f"FROM {BASE_NAME}\nCOPY extra etc/secret/extra\n"}))
    found = unpacked(site.store, NAME)
    assert found["etc/secret"][1:4] == (0o700, 1000, 1000)
    assert found["etc/secret/key"][1:4] == (0o600, 1000, 1000)
    assert found["etc/secret/extra"][1:4] == (0o644, 0, 0)


def test_a_link_of_the_base_is_followed(site: Site) -> None:
    context = site.context("base", {"root/usr/bin/tool": "tool"})
    (context / "root" / "bin").symlink_to("usr/bin")
    build_base(site, "COPY root/ /\n", {})
    site.build(site.context("app", {"new": "new", "Kubefile": f"FROM {BASE_NAME}\nCOPY new bin/new\n"}))
    found = unpacked(site.store, NAME)
    assert found["bin"][0] == "link"
    assert sorted(found) == ["bin", "usr", "usr/bin", "usr/bin/new", "usr/bin/tool"]


BIN = {"bin": "dir 711 3:4", "bin/tool": "file 755 0:0 tool"}


def build(site: Site, lines: str, files: t.Mapping[str, str], **options: t.Any) -> BuildResult:
    return site.build(site.context("app", {**files, "Kubefile": f"FROM {BASE_NAME}\n{lines}\n"}), **options)


def test_directories_on_the_way_are_in_the_layer_as_the_base_has_them(site: Site) -> None:
    """Tools that unpack each layer into a directory of its own would make them anew."""
    add_base(site.store, [tar({**BIN, "bin/deep": "dir 700 5:6"}, mtime=77)])
    build(site, "COPY x bin/deep/x", {"x": ""}, epoch=1000)
    found = unpacked(site.store, NAME)
    assert found["bin"] == ("directory", 0o711, 3, 4, 77, "")
    assert found["bin/deep"] == ("directory", 0o700, 5, 6, 77, "")
    assert found["bin/deep/x"] == ("file", 0o644, 0, 0, 1000, "")
    assert listed(site) == ["bin", "bin/deep", "bin/deep/x"]


def listed(site: Site) -> t.List[str]:
    """What the last layer holds."""
    cluster_image = ClusterImage.read(site.store, site.store.resolve(Reference.parse(NAME)))
    manifest = site.store.read_document(cluster_image.rootfs[AMD64])
    assert isinstance(manifest, Manifest)
    blob = gzip.decompress(site.store.read_blob(manifest.layers[-1].digest))
    told = subprocess.run(["tar", "-t"], input=blob, check=True, capture_output=True).stdout.decode()
    return [name.rstrip("/") for name in told.splitlines()]


def test_nodes_have_what_the_build_says(site: Site, tmp_path: pathlib.Path) -> None:
    add_base(site.store, [tar({**BIN, "sbin": "link bin", "old": "dir 755 0:0", "old/x": "file 644 0:0"})])
    build(site, "COPY x sbin\nCOPY over /\n", {"x": "", "over/old": ""})
    cluster_image = ClusterImage.read(site.store, site.store.resolve(Reference.parse(NAME)))
    manifest = site.store.read_document(cluster_image.rootfs[AMD64])
    assert isinstance(manifest, Manifest)
    node = tmp_path / "node"
    node.mkdir()
    extractor = Extractor(str(node))
    for layer in manifest.layers:
        with site.store.open_blob(layer.digest) as blob:
            extractor.apply(blob, layer.media_type, "layer")
    extractor.finish()
    assert sorted(str(path.relative_to(node)) for path in node.rglob("*")) == ["bin", "bin/tool", "bin/x", "old", "sbin"]
    assert sorted(snapshot(site.store, NAME)) == ["bin", "bin/tool", "bin/x", "old", "sbin"]


@pytest.mark.parametrize(
    ("upper", "found"),
    [
        ({".wh.bin": "file 0 0:0"}, {"bin": "file 644 0:0 x"}),
        (
            {"bin": "dir 700 0:0", "bin/.wh..wh..opq": "file 0 0:0"},
            {"bin": "dir 700 0:0", "bin/x": "file 644 0:0 x"},
        ),
        ({".wh.bin": "file 0 0:0", "bin": "link lib"}, {"bin": "link lib", "lib": "dir 755 0:0", "lib/x": "file 644 0:0 x"}),
    ],
)
def test_what_a_layer_of_the_base_hides_is_not_there(
    site: Site, upper: t.Dict[str, str], found: t.Dict[str, str]
) -> None:
    add_base(site.store, [tar(BIN), tar(upper)])
    build(site, "COPY x bin", {"x": "x"})
    assert snapshot(site.store, NAME) == found


def test_each_platform_has_a_tree_of_its_own(site: Site) -> None:
    for platform, entries in ((AMD64, BIN), (ARM64, {"bin": "link usr/bin", "usr/bin": "dir 755 0:0"})):
        add_base(site.store, [tar(entries)], platforms=[platform], name=f"registry.example.com/base-{platform.architecture}:1")
    site.build(
        site.context("app", {"x": "", "Kubefile": "FROM registry.example.com/base-$ARCH:1\nCOPY x bin\n"}),
        platforms=[AMD64, ARM64],
    )
    assert sorted(snapshot(site.store, NAME, AMD64)) == ["bin", "bin/tool", "bin/x"]
    assert sorted(snapshot(site.store, NAME, ARM64)) == ["bin", "usr", "usr/bin", "usr/bin/x"]


def test_a_layer_is_read_once(site: Site) -> None:
    digests = add_base(site.store, [tar(BIN), tar({"etc": "dir 755 0:0"})])
    with mock.patch.object(base_tree, "read_listing", wraps=read_listing) as reading:
        told = build(site, "COPY x bin", {"x": ""}, check=True)
        assert not (site.root / "store" / "cache").exists()
        assert [call.args[1].digest for call in reading.call_args_list] == digests
        first = build(site, "COPY x bin", {"x": ""})
        assert reading.call_count == 4
        again = build(site, "COPY x bin", {"x": ""})
        assert reading.call_count == 4
        site.store.untag(Reference.parse(BASE_NAME))
        add_base(site.store, [tar(BIN), tar({"etc": "dir 700 0:0"})])
        build(site, "COPY x bin", {"x": ""})
        assert reading.call_count == 5
    assert told.image == first.image == again.image


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 0, "entries": []}', '{"version": 1, "entries": [[1]]}'])
def test_a_damaged_listing_is_made_again(site: Site, content: str) -> None:
    digests = add_base(site.store, [tar(BIN)])
    first = build(site, "COPY x bin", {"x": ""})
    cached = site.root / "store" / "cache" / "listings" / digests[0].hex
    good = cached.read_text()
    cached.write_text(content)
    assert build(site, "COPY x bin", {"x": ""}).image == first.image
    assert cached.read_text() == good


def test_no_layer_is_read_for_a_build_that_copies_nothing(site: Site) -> None:
    add_base(site.store, [b"no layer at all"])
    build(site, "LABEL a=b", {})
    with pytest.raises(BuildError, match=f"layer sha256:.*: the files of base image {BASE_NAME} cannot be listed: this layer is damaged"):
        build(site, "COPY x bin", {"x": ""})


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"../x": "file 644 0:0"}, "'../x' in this layer lies outside of the rootfs"),
        ({"bin": "link usr", "bin/x": "file 644 0:0"}, "bin cannot be made: bin is a link"),
    ],
)
def test_a_base_that_nodes_would_refuse_is_told(site: Site, entries: t.Dict[str, str], told: str) -> None:
    add_base(site.store, [tar(entries)])
    with pytest.raises(BuildError) as caught:
        build(site, "COPY x bin", {"x": ""})
    assert f"the files of base image {BASE_NAME} cannot be listed: {told}" in str(caught.value)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_the_layers_of_a_base_may_be_compressed_as_they_like(site: Site, kind: str) -> None:
    if kind == "gzip":
        add_base(site.store, [gzip.compress(tar(BIN))], media_type=LAYER_TAR_GZIP)
    elif shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    else:
        packed = subprocess.run(["zstd", "-cq"], input=tar(BIN), check=True, capture_output=True).stdout
        add_base(site.store, [packed], media_type=LAYER_TAR_ZSTD)
    build(site, "COPY x bin", {"x": ""})
    assert listed(site) == ["bin", "bin/x"]


def test_the_same_base_gives_the_same_and_another_one_another(site: Site, tmp_path: pathlib.Path) -> None:
    other = Site(tmp_path / "other")
    digests = []
    for place, mode in ((site, 711), (other, 711), (other, 700), (site, 700)):
        add_base(place.store, [tar({**BIN, "bin": f"dir {mode} 3:4"})])
        digests.append(build(place, "COPY x bin", {"x": ""}).image["digest"])
    assert digests[0] == digests[1] != digests[2] == digests[3]


def test_check_mode_reads_the_layers_of_a_base_that_is_not_here(site: Site, tmp_path: pathlib.Path) -> None:
    far = Site(tmp_path / "far")
    digests = add_base(far.store, [tar(BIN)])
    site.registry.layout = far.store
    build(site, "LABEL a=b", {}, check=True)
    assert f"{BASE_NAME} {digests[0]}" not in site.registry.asked
    told = build(site, "COPY x bin", {"x": ""}, check=True)
    assert f"{BASE_NAME} {digests[0]}" in site.registry.asked
    assert not site.store.has(digests[0])
    assert build(site, "COPY x bin", {"x": ""}).image == told.image


def test_charts_of_the_base_hide_our_templates(site: Site) -> None:
    add_base(
        site.store,
        [
            tar(
                {
                    "charts/db/Chart.yaml": "file 644 0:0",
                    "charts/other/Chart.yaml": "file 644 0:0",
                    "manifests/chart/Chart.yaml": "file 644 0:0",
                }
            )
        ],
    )
    files = {"templates/pod.yaml": "{{ broken", "values.yaml": "a: b"}
    result = build(site, "COPY templates manifests/chart/templates/\nCOPY values.yaml charts/db", files)
    assert [text.partition(":")[0] for text in result.warnings] == ["charts/db", "manifests/chart"]
    assert build(site, "COPY values.yaml charts", files).warnings == []


def test_a_list_of_the_base_that_is_replaced_asks_for_nothing(site: Site) -> None:
    for name in ("pause:3.10", "example.com/a:1", "example.com/b:1", "example.com/c:1"):
        add_image(site.store, name)
    lists = {"m/imageList": "pause:3.10\nexample.com/a:1\n", "n/imageList": "example.com/a:1\nexample.com/b:1\n"}
    build_base(site, "COPY m manifests\nCOPY n more\n", lists)
    result = build(site, "COPY imageList manifests", {"imageList": "example.com/b:1\nexample.com/c:1\n"})
    assert {one["reference"]: one["why"] for one in result.images} == {
        "docker.io/library/pause:3.10": [f"base image {BASE_NAME}"],
        "example.com/a:1": ["more/imageList:1"],
        "example.com/b:1": ["more/imageList:2", "manifests/imageList:1"],
        "example.com/c:1": ["manifests/imageList:2"],
    }


def test_a_list_is_found_behind_a_link_of_the_base(site: Site) -> None:
    add_image(site.store, "pause:3.10")
    add_base(site.store, [tar({"manifests": "link kube/manifests", "kube/manifests": "dir 755 0:0"})])
    result = build(site, "COPY imageList manifests", {"imageList": "pause:3.10"})
    assert [one["why"] for one in result.images] == [["kube/manifests/imageList:1"]]


APP = {"application": "dir 755 0:0", "application/apps": "dir 750 1:2"}


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({}, {"application/apps/web": "dir 755 0:0", "application/apps/web/x.sh": "file 644 0:0"}),
        (
            {"application/apps/web": "dir 700 3:4", "application/apps/web/old": "file 644 0:0"},
            {
                "application/apps/web": "dir 700 3:4",
                "application/apps/web/old": "file 644 0:0",
                "application/apps/web/x.sh": "file 644 0:0",
            },
        ),
        (
            {"application/apps/web": "link ../web", "application/web": "dir 755 0:0"},
            {
                "application/apps/web": "link ../web",
                "application/web": "dir 755 0:0",
                "application/web/x.sh": "file 644 0:0",
            },
        ),
    ],
)
def test_applications_lie_in_the_directories_of_the_base(
    site: Site, there: t.Dict[str, str], found: t.Dict[str, str]
) -> None:
    add_base(site.store, [tar({**APP, **there})])
    build(site, "APP web x.sh", {"x.sh": ""})
    assert snapshot(site.store, NAME) == {**APP, **found}


def test_an_application_cannot_lie_in_a_file(site: Site) -> None:
    add_base(site.store, [tar({**APP, "application/apps/web": "file 644 0:0"})])
    with pytest.raises(BuildError, match="Kubefile:2:5: application/apps/web cannot be a directory: application/apps/web is a file"):
        build(site, "APP web x.sh", {"x.sh": ""})


def test_an_application_of_the_base_goes_with_its_files_and_images(site: Site) -> None:
    add_image(site.store, "pause:3.10")
    build_base(site, "APP web list run.sh\n", {"list/imageList": "pause:3.10", "run.sh": ""})
    result = build(site, "APP web x.sh\nCOPY x.sh application/apps/web/run.sh", {"x.sh": ""})
    assert [one["why"] for one in result.images] == [[f"base image {BASE_NAME}"]]
    names = [path for path in snapshot(site.store, NAME) if path.startswith("application/apps/web/")]
    assert sorted(names) == ["application/apps/web/run.sh", "application/apps/web/x.sh"]
