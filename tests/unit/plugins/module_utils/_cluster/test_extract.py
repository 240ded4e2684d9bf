# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpacking layers: what they bring, hide and must not do."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import subprocess
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.extract import Extractor
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch, VerifyingReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import LAYER_TAR, LAYER_TAR_GZIP, LAYER_TAR_ZSTD
from hypothesis import given, settings
from hypothesis import strategies as st

Entry = tuple[str, bytes, t.Any]  # name, tar type, content of a file or target of a link


def tar(entries: t.Sequence[Entry], mode: int = 0o755) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, kind, content in entries:
            member = tarfile.TarInfo(name)
            member.type, member.mode = kind, mode
            if kind == tarfile.REGTYPE:
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.linkname = content or ""
                archive.addfile(member)
    return buffer.getvalue()


def layer(*entries: Entry) -> bytes:
    return gzip.compress(tar(entries), mtime=0)


def extract(root: Path, *layers: bytes) -> None:
    extractor = Extractor(str(root))
    for data in layers:
        reader = VerifyingReader(io.BytesIO(data), Digest.of(data), len(data))
        extractor.apply(reader, LAYER_TAR_GZIP, "layer 1")
    extractor.finish()


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


FILE, DIRECTORY, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    ("layers", "left"),
    [
        ([[("./bin/", DIRECTORY, ""), ("./bin/a", FILE, b"1"), ("b", LINK, "bin/a")]], {"bin", "bin/a", "b"}),
        ([[("x/y/z", FILE, b"")]], {"x", "x/y", "x/y/z"}),
        ([[("a", FILE, b"1"), ("c", HARD, "a")]], {"a", "c"}),
        ([[("d/a", FILE, b""), ("d/b", FILE, b"")], [("d/.wh.a", FILE, b"")]], {"d", "d/b"}),
        ([[("d/a", FILE, b"")], [(".wh.d", FILE, b"")]], set()),
        ([[("d/a", FILE, b"")], [("d/b", FILE, b""), ("d/.wh..wh..opq", FILE, b"")]], {"d", "d/b"}),
        ([[("d/a", FILE, b"")], [("d/.wh.a", FILE, b""), ("d/a", FILE, b"2")]], {"d", "d/a"}),
        ([[("d/a", FILE, b"")], [("d", FILE, b"2")]], {"d"}),
        ([[("d", FILE, b"")], [("d/", DIRECTORY, ""), ("d/a", FILE, b"2")]], {"d", "d/a"}),
        ([[("lib/v1/f", FILE, b""), ("lib/now", LINK, "v1"), ("up", LINK, "lib/../lib")]], None),
    ],
)
def test_layers(tmp_path: Path, layers: list[list[Entry]], left: set[str] | None) -> None:
    extract(tmp_path, *(layer(*entries) for entries in layers))
    if left is not None:
        assert names(tmp_path) == left


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("/etc/x", FILE, b"")], "outside of the tree"),
        ([("a/../../x", FILE, b"")], "outside of the tree"),
        ([("x", LINK, "/etc/passwd")], "not relative"),
        ([("x", LINK, "../y")], "out of the tree"),
        ([("a/x", LINK, "../../y")], "out of the tree"),
        ([("a/b", LINK, ".."), ("c", LINK, "a/b/..")], "leads out of the tree"),
        ([("x", LINK, "y"), ("x/z", FILE, b"")], "no directory"),
        ([("x", LINK, "."), ("x/z", FILE, b"")], "no directory"),
        ([("x", HARD, "/etc/passwd")], "outside of the tree"),
        ([("l", LINK, "nowhere"), ("x", HARD, "l")], "not a file of the tree"),
        ([("x", tarfile.CHRTYPE, "")], "device or a pipe"),
        ([("x", tarfile.BLKTYPE, "")], "device or a pipe"),
        ([("x", tarfile.FIFOTYPE, "")], "device or a pipe"),
        ([(".wh...", FILE, b"")], "hides nothing"),
    ],
)
def test_hostile_layers_are_refused(tmp_path: Path, entries: list[Entry], message: str) -> None:
    with pytest.raises(ClusterError, match=message) as caught:
        extract(tmp_path / ".", layer(*entries))
    assert "layer 1" in str(caught.value) or message == "leads out of the tree"


@pytest.mark.parametrize("headers", [{"mtime": "1e30"}, {"mtime": "nan"}, {"uid": str(1 << 70)}])
def test_numbers_that_no_file_can_have_are_damage(tmp_path: Path, headers: dict[str, str]) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("x")
        member.pax_headers = headers
        archive.addfile(member, io.BytesIO())
    with pytest.raises(ClusterError, match="this layer is damaged"):
        Extractor(str(tmp_path)).apply(io.BytesIO(buffer.getvalue()), LAYER_TAR, "layer")


def test_set_id_bits_go_and_the_rest_of_the_mode_stays(tmp_path: Path) -> None:
    data = tar([("x", FILE, b"1")], mode=0o6751)
    Extractor(str(tmp_path)).apply(io.BytesIO(data), LAYER_TAR, "layer")
    assert stat.S_IMODE(os.stat(tmp_path / "x").st_mode) == 0o751


def test_content_is_verified_to_its_last_byte(tmp_path: Path) -> None:
    good = layer(("x", FILE, b"1"))
    reader = VerifyingReader(io.BytesIO(good + b"\0"), Digest.of(good))
    with pytest.raises(DigestMismatch):
        Extractor(str(tmp_path)).apply(reader, LAYER_TAR_GZIP, "layer")


@settings(max_examples=60)
@given(st.data())
def test_damage_is_told_as_such(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    good = bytearray(layer(("d/x", FILE, b"some content"), ("d/y", LINK, "x")))
    where = data.draw(st.integers(0, len(good) - 1))
    good[where] ^= data.draw(st.integers(1, 255))
    cut = bytes(good[: data.draw(st.integers(where, len(good)))])
    reader = VerifyingReader(io.BytesIO(cut), Digest.of(layer(("d/x", FILE, b"some content"), ("d/y", LINK, "x"))))
    with pytest.raises(SealerError):
        Extractor(str(tmp_path_factory.mktemp("damage"))).apply(reader, LAYER_TAR_GZIP, "layer")


def test_layers_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    with pytest.raises(OciError, match="layer: layers of type 'application/octet-stream' cannot be unpacked"):
        Extractor(str(tmp_path)).apply(io.BytesIO(b""), "application/octet-stream", "layer")


@pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")
def test_layers_compressed_with_zstd(tmp_path: Path) -> None:
    data = subprocess.run(["zstd", "-cq"], input=tar([("d/x", FILE, b"1")]), check=True, capture_output=True).stdout
    Extractor(str(tmp_path)).apply(VerifyingReader(io.BytesIO(data), Digest.of(data)), LAYER_TAR_ZSTD, "layer")
    assert names(tmp_path) == {"d", "d/x"}
    with pytest.raises(ClusterError, match="this layer is damaged"):
        Extractor(str(tmp_path)).apply(io.BytesIO(data[:-5]), LAYER_TAR_ZSTD, "layer")
