# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bringing a root file system: from a store, from mirrors that fail and break off, and taking it away."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import tarfile
import typing as t
from email.message import Message
from pathlib import Path

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import registry_access
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Completed
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_steward import Steward
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.registry_access import Registry
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_source import Source
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_tree import (
    OWNER,
    Mapping,
    Rootfs,
    RootfsOutcome,
    RootfsRequest,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import LAYER_TAR, OCI_CONFIG, OCI_MANIFEST
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url

REFERENCE = Reference.parse("registry.example.com/clusters/shop:1")
MAPPINGS = [Mapping("bin", "/usr/local/bin"), Mapping("cni/bin", "/opt/cni/bin")]


class Image:
    """A root file system as blobs."""

    def __init__(self, *files: str, content: bytes = b"#!") -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in files:
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), 0o755
                archive.addfile(member, io.BytesIO(content))
        layer = buffer.getvalue()
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": str(Digest.of(b"{}")), "size": 2},
            "layers": [{"mediaType": LAYER_TAR, "digest": str(Digest.of(layer)), "size": len(layer)}],
        }
        raw = json.dumps(manifest).encode()
        self.digest = Digest.of(raw)
        self.blobs = {str(Digest.of(data)): data for data in (raw, layer)}

    def into(self, store: Path) -> Path:
        for digest, data in self.blobs.items():
            path = store / "blobs" / digest.replace(":", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return store


class Mirrors:
    """Answers requests; `spoil` may raise, cut or change what one of them gets."""

    def __init__(self, image: Image, spoil: t.Callable[[int, str, bytes], bytes] = lambda _n, _url, data: data) -> None:
        self.image = image
        self.spoil = spoil
        self.asked: list[tuple[str, str]] = []

    def __call__(self, asked: Url, headers: t.Mapping[str, str], _context: t.Any) -> Answer:
        url = str(asked)
        self.asked.append((url, headers.get("Range", "")))
        digest = asked.path.rpartition("/")[2]
        start = int(headers.get("Range", "bytes=0-")[6:-1])
        try:
            data = self.spoil(len(self.asked), url, self.image.blobs[digest][start:])
        except Refused as error:
            return Answer(b"", error.status)
        return Answer(data, 206 if start else 200)


class Answer(io.BytesIO):
    def __init__(self, data: bytes, status: int) -> None:
        super().__init__(data)
        self.status = status
        self.headers = Message()


class Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


def fails(status: int) -> t.NoReturn:
    raise Refused(status)


def bring(root: Path, image: Image, source: Source, check: bool = False) -> RootfsOutcome:
    host = Host(lambda *_c, **_o: Completed(1, "", ""), root=str(root), check=check)
    request = RootfsRequest(image.digest, mappings=MAPPINGS)
    return Rootfs(host, Journal.read(str(root / "journal/host.json")), request).present(source)


def take_away(root: Path) -> list[str]:
    host = Host(lambda *_c, **_o: Completed(1, "", ""), root=str(root))
    Steward(host, Journal.read(str(root / "journal/host.json")), OWNER).absent()
    return host.warnings


def mirror_source(*mirrors: str, store: str | None = None) -> Source:
    registries = [Registry(url) for url in mirrors or ("https://one:5000/",)]
    return Source(REFERENCE, store=store, registries=registries, pause=lambda _s: None)


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/foreign").write_text("x")
    return root


def tree(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): os.readlink(p) if p.is_symlink() else hashlib.sha256(p.read_bytes()).hexdigest()
        for p in root.rglob("*")
        if p.is_symlink() or p.is_file()
    } | {str(p.relative_to(root)) + "/": "" for p in root.rglob("*") if p.is_dir() and not p.is_symlink()}


def test_from_a_store_again_another_and_away(root: Path, tmp_path: Path) -> None:
    before = tree(root)
    first, second = Image("bin/kubeadm", "bin/old", "cni/bin/bridge"), Image("bin/kubeadm", "bin/new", content=b"2")
    store = str(second.into(first.into(tmp_path / "store")))
    predicted = bring(root, first, mirror_source(store=store), check=True)
    assert tree(root) == before
    source = mirror_source(store=store)
    done = bring(root, first, source)
    assert (predicted.outcome.changed, predicted.outcome.diff) == (True, done.outcome.diff)
    assert done.links == ["/usr/local/bin/kubeadm", "/usr/local/bin/old", "/opt/cni/bin/bridge"]
    assert source.downloaded == 0
    assert os.readlink(root / "usr/local/bin/kubeadm") == "/var/lib/sealer/rootfs/current/bin/kubeadm"
    assert not bring(root, first, mirror_source()).outcome.changed

    predicted = bring(root, second, mirror_source(store=store), check=True)
    done = bring(root, second, mirror_source(store=store))
    assert predicted.outcome.diff == done.outcome.diff
    assert sorted(os.listdir(root / "usr/local/bin")) == ["foreign", "kubeadm", "new"]
    assert sorted(os.listdir(root / "var/lib/sealer/rootfs")) == sorted([second.digest.hex, "current"])

    assert take_away(root) == []
    assert tree(root) == before


def test_only_trees_are_pruned(root: Path, tmp_path: Path) -> None:
    first, second = Image("bin/a"), Image("bin/b")
    source = mirror_source(store=str(second.into(first.into(tmp_path / "store"))))
    bring(root, first, source)
    place = root / "var/lib/sealer/rootfs"
    (place / "notes").mkdir()
    (place / "notes/of-mine").write_text("x")
    (place / f".{'0' * 64}.partial").mkdir()
    bring(root, second, source)
    assert sorted(os.listdir(place)) == sorted(["current", "notes", second.digest.hex])
    assert (place / "notes/of-mine").exists()


def test_a_lost_link_is_made_again(root: Path, tmp_path: Path) -> None:
    image = Image("bin/kubeadm")
    store = str(image.into(tmp_path / "store"))
    bring(root, image, mirror_source(store=store))
    (root / "usr/local/bin/kubeadm").unlink()
    predicted = bring(root, image, mirror_source(), check=True)
    done = bring(root, image, mirror_source())
    assert predicted.outcome.diff == done.outcome.diff and "kubeadm" in done.outcome.diff["after"]
    assert not bring(root, image, mirror_source()).outcome.changed


def test_a_foreign_file_in_the_way_leaves_everything_as_it_was(root: Path, tmp_path: Path) -> None:
    before = tree(root)
    image = Image("bin/kubeadm", "bin/foreign")
    with pytest.raises(SealerError, match="/usr/local/bin/foreign"):
        bring(root, image, mirror_source(store=str(image.into(tmp_path / "store"))))
    assert tree(root) == before


@pytest.mark.parametrize("broken_at", [1, 2])
def test_mirrors_are_tried_in_order_and_broken_connections_resumed(
    root: Path, monkeypatch: pytest.MonkeyPatch, broken_at: int
) -> None:
    image = Image("bin/kubeadm", content=os.urandom(100_000))
    once: list[int] = []

    def spoil(_number: int, url: str, data: bytes) -> bytes:
        if url.startswith("https://one"):
            fails(503)
        if "/blobs/" in url and len(once) < broken_at:
            once.append(1)
            return data[:3000]
        return data

    mirrors = Mirrors(image, spoil)
    monkeypatch.setattr(registry_access, "_request", mirrors)
    source = mirror_source("https://one:5000", "https://two:5000")
    bring(root, image, source)
    assert source.downloaded == sum(len(data) for data in image.blobs.values())
    assert mirrors.asked[0][0].endswith(f"/v2/clusters/shop/manifests/{image.digest}?ns=registry.example.com")
    ranges = [ranged for url, ranged in mirrors.asked if url.startswith("https://two") and "/blobs/" in url]
    assert ranges == ["", "bytes=3000-", "bytes=6000-"][: broken_at + 1]
    assert (root / "usr/local/bin/kubeadm").is_symlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _n, _u, _d: fails(404), "answers 404"),
        (lambda _n, _u, _d: fails(503), "answers 503"),
        (lambda _n, _u, data: data[:-1] + b"\xff", "sha256"),
        (lambda _n, url, data: data if "/manifests/" in url else b"", "broke off 5 times"),
    ],
)
def test_what_mirrors_cannot_give(
    root: Path, monkeypatch: pytest.MonkeyPatch, spoil: t.Callable[[int, str, bytes], bytes], message: str
) -> None:
    before = tree(root)
    image = Image("bin/kubeadm")
    monkeypatch.setattr(registry_access, "_request", Mirrors(image, spoil))
    with pytest.raises(SealerError, match=message):
        bring(root, image, mirror_source())
    assert tree(root) == before


def test_no_way_to_a_mirror_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: t.Any, **_options: t.Any) -> t.NoReturn:
        raise http.client.RemoteDisconnected("gone away")

    monkeypatch.setattr(registry_access, "_request", refused)
    with pytest.raises(
        SealerError, match="one:5000: the registry does not answer.*RemoteDisconnected.*sealer-mirror.service"
    ):
        bring(root, Image("bin/kubeadm"), mirror_source())
