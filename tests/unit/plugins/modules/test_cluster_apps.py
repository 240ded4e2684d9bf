# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module cluster_apps: from where check mode reads the files of an image."""

from __future__ import annotations

import pathlib
import typing as t
from urllib.parse import SplitResult

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import image_files, registry_access
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.modules.cluster_apps import rootfs_of
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._cluster.test_image_files import (
    ABOVE,
    BASE,
    Store,
    contents,
)
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._cluster.test_rootfs import Answer

APPLICATION = {"name": "web", "path": "application/apps/web", "env": {}, "cmds": ["kubectl apply -f a.yaml"]}
DESCRIPTION = {"applications": [APPLICATION], "launch": ["web"], "cmds": ["kubectl apply -f manifests"], "env": {}}
FILES = {
    "application/apps/web/a.yaml": "new",
    "application/apps/web/link.yaml": "new d",
    "application/apps/web/sub/b.yaml": "b",
    "manifests/d.yaml": "new d",
    "manifests/sub/e.yaml": "e",
}
Params = dict[str, t.Any]


@pytest.fixture(name="store")
def fixture_store(tmp_path: pathlib.Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(name="params")
def fixture_params(store: Store, tmp_path: pathlib.Path) -> Params:
    """A host that has an earlier image unpacked."""
    (tmp_path / "rootfs/0123").mkdir(parents=True)
    (tmp_path / "rootfs/current").symlink_to("0123")
    return {
        "description": DESCRIPTION,
        "launch": [],
        "manifest": str(store.image(BASE, ABOVE)),
        "reference": "shop:1",
        "rootfs": str(tmp_path / "rootfs/current"),
        "host_store": str(tmp_path / "absent"),
        "mirrors": [],
        "username": None,
        "password": None,
        "ca_path": None,
        "files": None,
    }


@pytest.fixture(name="place")
def fixture_place(tmp_path: pathlib.Path) -> str:
    """The module's directory for temporary files."""
    (tmp_path / "place").mkdir()
    return str(tmp_path / "place")


def test_what_is_launched_is_the_tree_on_the_host(params: Params, place: str) -> None:
    assert rootfs_of(params, False, place) == params["rootfs"]


def test_a_tree_that_another_run_replaced_is_not_launched(params: Params, place: str, tmp_path: pathlib.Path) -> None:
    params["rootfs"] = str(tmp_path / "rootfs" / Digest.parse(params["manifest"]).hex)
    with pytest.raises(ClusterError, match="not on this host: .*another run brought another image meanwhile"):
        rootfs_of(params, False, place)


def test_check_mode_reads_the_tree_where_it_is_the_images(params: Params, place: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "rootfs/0123").rename(tmp_path / "rootfs" / Digest.parse(params["manifest"]).hex)
    (tmp_path / "rootfs/current").unlink()
    (tmp_path / "rootfs/current").symlink_to(Digest.parse(params["manifest"]).hex)
    assert rootfs_of(params, True, place) == params["rootfs"]


def test_check_mode_reads_what_the_controller_sent(params: Params, store: Store, place: str) -> None:
    found = image_files.unpack(store.source, Digest.parse(params["manifest"]), ["application"], place)
    params["files"] = image_files.pack(found, place)
    assert contents(rootfs_of(params, True, place)) == contents(found)


def test_check_mode_reads_the_store_on_the_host(params: Params, store: Store, place: str) -> None:
    params["host_store"] = str(store.path)
    assert contents(rootfs_of(params, True, place)) == FILES


def test_check_mode_asks_the_mirrors_in_the_end(
    params: Params, store: Store, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def answer(parts: SplitResult, _headers: t.Any, _context: t.Any) -> Answer:
        asked.append(parts.netloc)
        digest = Digest.parse(parts.path.rpartition("/")[2])
        return Answer((store.path / "blobs" / digest.algorithm / digest.hex).read_bytes(), 200)

    monkeypatch.setattr(registry_access, "_request", answer)
    params["mirrors"] = ["https://10.0.0.11:5000"]
    assert contents(rootfs_of(params, True, place)) == FILES
    assert set(asked) == {"10.0.0.11:5000"}


def test_what_cannot_be_read_is_no_silence(params: Params, place: str) -> None:
    with pytest.raises(ClusterError, match="what the image would change cannot be told.*apps_store"):
        rootfs_of(params, True, place)
