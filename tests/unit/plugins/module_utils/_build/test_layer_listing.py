# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listing what layers hold, whoever packed them."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import tarfile
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._build import layer_listing
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry, write_layer
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer_listing import read_listing
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    LAYER_TAR,
    LAYER_TAR_GZIP,
    LAYER_TAR_ZSTD,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build.building import tar
from hypothesis import given
from hypothesis import strategies as st

SOME = tar({"d": "dir 1750 5:6", "d/x": "file 600 7:8 content", "l": "link d/x", "d/.wh.y": "file 0 0:0"})
LISTED = [
    Entry("d", "directory", 0o1750, 5, 6, mtime=1_000_000_000),
    Entry("d/x", "file", 0o600, 7, 8, mtime=1_000_000_000),
    Entry("l", "link", 0o777, target="d/x", mtime=1_000_000_000),
    Entry("d/.wh.y", "file", 0, mtime=1_000_000_000),
]


def listing(data: bytes, media_type: str = LAYER_TAR) -> t.List[Entry]:
    return read_listing(io.BytesIO(data), Descriptor(media_type, Digest.of(data), len(data)))


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **headers: str) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.pax_headers = kind, target, headers
        archive.addfile(info)
    return raw.getvalue()


@pytest.mark.parametrize(
    ("media_type", "compress"),
    [
        (LAYER_TAR, bytes),
        (LAYER_TAR_GZIP, gzip.compress),
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", gzip.compress),
        pytest.param(
            LAYER_TAR_ZSTD,
            lambda data: subprocess.run(["zstd", "-cq"], input=data, check=True, capture_output=True).stdout,
            marks=pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed"),
        ),
    ],
)
def test_layers_of_every_type(media_type: str, compress: t.Callable[[bytes], bytes]) -> None:
    assert listing(compress(SOME), media_type) == LISTED


def test_what_was_packed_here_is_listed() -> None:
    entries = [Entry("a", "directory", 0o711, 1, 2), Entry("b", "link", 0o777, target="a", mtime=7)]
    data = bytearray()
    write_layer(entries, 5, data.extend)
    assert listing(bytes(data), LAYER_TAR_GZIP) == [
        Entry("a", "directory", 0o711, 1, 2, mtime=5),
        Entry("b", "link", 0o777, target="a", mtime=7),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (member("./"), []),
        (member("./a//b/"), ["a/b file"]),
        (member("a", tarfile.DIRTYPE), ["a directory"]),
        (member("a", tarfile.LNKTYPE, "b"), ["a file"]),
        (member("a", tarfile.CHRTYPE), ["a device or pipe"]),
        (member("a", tarfile.FIFOTYPE), ["a device or pipe"]),
        (member("a", tarfile.SYMTYPE, "/etc"), ["a link"]),
        (member("é" * 200), ["é" * 200 + " file"]),
    ],
)
def test_members_of_every_kind(data: bytes, expected: t.List[str]) -> None:
    assert [f"{one.path} {one.kind}" for one in listing(data)] == expected


def test_times_are_whole_seconds() -> None:
    assert [one.mtime for one in listing(member("a", mtime="12.75"))] == [12]


@pytest.mark.parametrize(
    ("data", "media_type", "told"),
    [
        (member("/etc/x"), LAYER_TAR, "'/etc/x' in this layer lies outside of the rootfs"),
        (member("a/../../x"), LAYER_TAR, "lies outside of the rootfs"),
        (member("d/.wh."), LAYER_TAR, "'d/.wh.' in this layer hides nothing that could be named"),
        (member(".wh..."), LAYER_TAR, "hides nothing"),
        (member("a", mtime="nan"), LAYER_TAR, "this layer is damaged"),
        (member("a", mtime="inf"), LAYER_TAR, "this layer is damaged"),
        (member("a", comment="x" * (2 << 20)), LAYER_TAR, "this layer is damaged: a header claims"),
        (SOME, LAYER_TAR_GZIP, "this layer is damaged: Not a gzipped file"),
        (gzip.compress(SOME)[:-40], LAYER_TAR_GZIP, "this layer is damaged"),
        (b"x" * 1024, LAYER_TAR, "this layer is damaged"),
    ],
)
def test_what_nodes_would_refuse_is_told(data: bytes, media_type: str, told: str) -> None:
    with pytest.raises(BuildError) as caught:
        listing(data, media_type)
    assert str(caught.value).startswith(f"layer {Digest.of(data)}: ")
    assert told in str(caught.value)


def test_layers_of_another_type_are_told() -> None:
    with pytest.raises(OciError, match="layers of type 'text/plain' cannot be unpacked"):
        listing(SOME, "text/plain")


def test_wrong_bytes_are_told() -> None:
    good = gzip.compress(SOME, mtime=0)
    for bad in (gzip.compress(member("other"), mtime=0), good + b"\0", good[:-1]):
        with pytest.raises(SealerError, match="does not match|wrong size|damaged"):
            read_listing(io.BytesIO(bad), Descriptor(LAYER_TAR_GZIP, Digest.of(good), len(good)))


def test_a_layer_of_endless_entries_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_listing, "_ENTRY_LIMIT", 3)
    with pytest.raises(BuildError, match="more than 3 entries"):
        listing(SOME)


@given(st.data())
def test_damage_is_told_as_such(data: st.DataObject) -> None:
    good = bytearray(gzip.compress(SOME, mtime=0))
    where = data.draw(st.integers(0, len(good) - 1))
    good[where] ^= data.draw(st.integers(1, 255))
    cut = bytes(good[: data.draw(st.integers(where, len(good)))])
    with pytest.raises(SealerError):
        read_listing(
            io.BytesIO(cut), Descriptor(LAYER_TAR_GZIP, Digest.of(gzip.compress(SOME, mtime=0)), len(good))
        )
