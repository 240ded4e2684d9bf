# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sums from a second source: how they are read, and that a download has to agree with them too."""

from __future__ import annotations

import hashlib
import pathlib

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import Download, read_parts
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_download import Downloader
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_sums import ListedSum
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build_parts.release_site import (
    PUBLIC,
    ReleaseSite,
    archive,
)
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build_parts.test_parts_gather import (
    ARCH,
    Bench,
)

IMAGES = pathlib.Path(__file__).resolve().parents[5] / "images"
A, B, C = "a" * 64, "b" * 64, "c" * 64
GOOD = f"""\
schema: 1
parts:
  - name: tools
    version: 1.0
    optional: for a test
    programs: {{tool: bin/tool, daemon: bin/daemon}}
    download:
      url: "https://example.com/{{arch}}/{{program}}"
      checksums: "https://example.com/SUMS"
      sums:
        source: a friend
        amd64:
          tool: {A}
          daemon: {B}
        arm64: {{tool: {C}}}
  - name: nets
    version: 1.0
    optional: for a test
    programs: {{bridge: bin/bridge, vlan: bin/vlan}}
    download:
      url: "https://example.com/nets-{{arch}}.tgz"
      checksums: "https://example.com/SUMS"
      member: "{{program}}"
      sums:
        source: a friend
        amd64: {A}
"""
TOOL = Download("1.0", f"{PUBLIC}v1.0/tool", f"{PUBLIC}v1.0/tool.sha256", "")
DATA = b"tool" * 9999


@pytest.fixture
def bench(tmp_path: pathlib.Path, site: ReleaseSite) -> Bench:
    return Bench(tmp_path / "bench", site)


@pytest.fixture
def downloader(site: ReleaseSite, tmp_path: pathlib.Path) -> Downloader:
    return Downloader(str(tmp_path / "cache"), site.mirrors, progress=NullProgress(), sleep=lambda _seconds: None)


def write(directory: pathlib.Path, text: str) -> str:
    (directory / "parts.yml").write_text(text)
    return str(directory)


def listed(sha256: str) -> ListedSum:
    return ListedSum(sha256, "a friend", "parts.yml:9")


def test_sums_are_read(tmp_path: pathlib.Path) -> None:
    tools, nets = (part.download for part in read_parts(write(tmp_path, GOOD)).parts)
    assert tools is not None and nets is not None
    assert tools.listed("amd64", "tool") == ListedSum(A, "a friend", f"{tmp_path}/parts.yml:13")
    assert tools.listed("amd64", "daemon") == ListedSum(B, "a friend", f"{tmp_path}/parts.yml:14")
    assert tools.listed("arm64", "tool") == ListedSum(C, "a friend", f"{tmp_path}/parts.yml:15")
    assert tools.listed("arm64", "daemon") is None
    assert nets.listed("amd64", "bridge") == nets.listed("amd64", "vlan")
    assert nets.listed("amd64", "vlan") == ListedSum(A, "a friend", f"{tmp_path}/parts.yml:26")
    assert nets.listed("arm64", "vlan") is None


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("        source: a friend\n", "", 11, "source is missing"),
        ("source: a friend", "source:", 11, "a text is expected here"),
        ("        arm64:", "        arm46:", 15, "arm46 is not known here"),
        ("        arm64:", "        amd64:", 15, "amd64 is named twice"),
        ("          daemon:", "          demon:", 14, "demon is not known here"),
        ("          daemon:", "          tool:", 14, "tool is named twice"),
        (A, A[1:], 13, f"{A[1:]} is not a sha256 sum"),
        (A, f"sha256:{A}", 13, f"sha256:{A} is not a sha256 sum"),
        (A, A.upper(), 13, f"{A.upper()} is not a sha256 sum"),
        (f"{{tool: {C}}}", C, 15, "a mapping is expected here"),
        (f"{{tool: {C}}}", "{}", 15, "no program is named"),
        (f"\n        amd64: {A}", "", 25, "no architecture is named"),
        (f"        amd64: {A}", f"        amd64: {{bridge: {A}}}", 26, "a text is expected here"),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: pathlib.Path, old: str, new: str, line: int, told: str) -> None:
    assert old in GOOD
    with pytest.raises(BuildError) as caught:
        read_parts(write(tmp_path, GOOD.replace(old, new, 1)))
    assert caught.value.where == f"{tmp_path}/parts.yml:{line}"
    assert told in str(caught.value)


def test_sources_that_agree_are_taken(site: ReleaseSite, downloader: Downloader) -> None:
    digest = site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    assert downloader.make(TOOL, "tool", listed=listed(digest)).sha256 == digest
    assert len(site.gets("/v1.0/tool.sha256")) == 1


def test_sources_that_disagree_are_named(site: ReleaseSite, downloader: Downloader, tmp_path: pathlib.Path) -> None:
    digest = site.publish("/v1.0/tool", DATA, "/v1.0/tool.sha256")
    with pytest.raises(BuildError) as caught:
        downloader.make(TOOL, "tool", listed=listed(A))
    told = str(caught.value)
    assert told.startswith(f"{PUBLIC}v1.0/tool: its sha256 sums disagree: ")
    assert f"v1.0/tool.sha256 says {digest}" in told
    assert f"a friend (parts.yml:9) says {A}" in told
    assert site.gets("/v1.0/tool") == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_listed_sum_does_not_replace_the_published_one(site: ReleaseSite, downloader: Downloader) -> None:
    digest = site.publish("/v1.0/tool", DATA)
    with pytest.raises(BuildError, match=r"v1.0/tool.sha256: there is no such file"):
        downloader.make(TOOL, "tool", listed=listed(digest))
    assert site.gets("/v1.0/tool") == []


def with_sums(bench: Bench, **sums: str) -> None:
    """Let the archive of the part nets have listed sums."""
    lines = "".join(f"        {arch}: {digest}\n" for arch, digest in sums.items())
    old = '      checksums: "https://releases.example.com/SUMS"\n'
    bench.edit("parts.yml", old, f"{old}      sums:\n        source: a friend\n{lines}")


def test_gathering_checks_both(bench: Bench) -> None:
    digest = hashlib.sha256(bench.site.files[f"/nets-{ARCH}.tgz"]).hexdigest()
    with_sums(bench, **{ARCH: digest})
    assert bench.twice().changed
    assert not bench.twice().changed


def test_gathering_stops_where_they_disagree(bench: Bench) -> None:
    with_sums(bench, **{ARCH: A})
    with pytest.raises(BuildError, match=rf"SUMS says \w+, a friend \(.*parts.yml:\d+\) says {A}"):
        bench.gather()
    assert bench.files.isdisjoint({"parts.lock", f"parts/{ARCH}/cni/bin/bridge"})
    assert list(bench.root.glob("cache/download/*/nets*")) == []


def test_an_architecture_without_listed_sum_has_its_publishers(bench: Bench) -> None:
    with_sums(bench, **{"s390x" if ARCH != "s390x" else "arm64": A})
    assert bench.gather().changed
    bench.site.files["/SUMS"] = f"{A}  nets-{ARCH}.tgz\n".encode()
    with pytest.raises(BuildError, match="the download has the wrong sum"):
        bench.gather(update=True)


@pytest.mark.parametrize("check", [True, False])
def test_what_was_gathered_before_has_to_agree_too(bench: Bench, check: bool) -> None:
    bench.gather()
    digest = hashlib.sha256(bench.site.files[f"/nets-{ARCH}.tgz"]).hexdigest()
    before = (bench.dest / "parts.lock").read_text()
    with_sums(bench, **{ARCH: A})
    with pytest.raises(BuildError, match=rf"the parts lock says {digest}, a friend \(.*parts.yml:\d+\) says {A}"):
        bench.gather(check=check)
    bench.edit("parts.yml", A, digest)
    assert not bench.twice().changed
    assert (bench.dest / "parts.lock").read_text() == before


def test_a_replaced_release_needs_both_sources_anew(bench: Bench) -> None:
    old = hashlib.sha256(bench.site.files[f"/nets-{ARCH}.tgz"]).hexdigest()
    with_sums(bench, **{ARCH: old})
    bench.gather()
    del bench.site.files["/SUMS"]
    new = bench.site.publish(f"/nets-{ARCH}.tgz", archive({"bridge": b"other"}), "/SUMS")
    with pytest.raises(BuildError, match="sha256 sums disagree"):
        bench.gather(update=True)
    bench.edit("parts.yml", old, new)
    assert bench.gather(update=True).changed


def test_the_official_sums_are_there_for_both_architectures() -> None:
    found = {
        program: {arch for arch in ("amd64", "arm64") if part.download.listed(arch, program)}
        for part in read_parts(str(IMAGES / "kubernetes")).parts
        if part.download is not None
        for program in part.programs
    }
    both = {"amd64", "arm64"}
    with_both = {program for program, architectures in found.items() if architectures == both}
    assert with_both >= {"kubeadm", "kubelet", "kubectl", "etcdctl", "etcdutl", "containerd", "ctr", "runc", "crictl"}
    assert all(architectures in (set(), both) for architectures in found.values())
