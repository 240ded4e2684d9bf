# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decompressing layers: with Python, or with the program zstd."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import shutil
import subprocess
import sys
import types
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch, VerifyingReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layers import decompressed
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    LAYER_TAR,
    LAYER_TAR_GZIP,
    LAYER_TAR_ZSTD,
)

CONTENT = os.urandom(1 << 20) + bytes(5 << 20)
needs_zstd = pytest.mark.skipif(not shutil.which("zstd"), reason="zstd is not installed")


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, check=True, capture_output=True).stdout


@pytest.fixture
def _without_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python is before 3.14."""
    monkeypatch.setitem(sys.modules, "compression.zstd", None)


def read(data: bytes, media_type: str) -> bytes:
    with decompressed(io.BytesIO(data), media_type, "layer 1") as plain:
        return b"".join(iter(lambda: plain.read(100_000), b""))


@pytest.mark.parametrize(
    ("media_type", "compress"), [(LAYER_TAR, bytes), (LAYER_TAR_GZIP, lambda data: gzip.compress(data, 1))]
)
def test_what_python_reads(media_type: str, compress: t.Callable[[bytes], bytes]) -> None:
    assert read(compress(CONTENT), media_type) == CONTENT


@needs_zstd
@pytest.mark.usefixtures("_without_the_module")
def test_what_the_program_reads() -> None:
    assert read(zstd(CONTENT), LAYER_TAR_ZSTD) == CONTENT
    assert read(zstd(CONTENT[:100]) + zstd(CONTENT[100:]), LAYER_TAR_ZSTD) == CONTENT


@needs_zstd
@pytest.mark.usefixtures("_without_the_module")
@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"x" + data, lambda data: data + b"rest"])
def test_damage_is_told_by_the_program(damage: t.Callable[[bytes], bytes]) -> None:
    with pytest.raises(ValueError, match="zstd|/\\*stdin\\*\\\\"):
        read(damage(zstd(CONTENT)), LAYER_TAR_ZSTD)


def test_damage_is_told_by_python() -> None:
    for data in (b"x", gzip.compress(CONTENT, 1)[:-9], gzip.compress(CONTENT, 1)[:-8] + bytes(8)):
        with pytest.raises(ValueError, match=".+"):
            read(data, LAYER_TAR_GZIP)


@needs_zstd
@pytest.mark.usefixtures("_without_the_module")
def test_wrong_bytes_are_told_as_such() -> None:
    data = zstd(CONTENT)
    stream = VerifyingReader(io.BytesIO(data), Digest.of(b""), len(data))
    with pytest.raises(DigestMismatch), decompressed(stream, LAYER_TAR_ZSTD, "layer 1") as plain:
        while plain.read(100_000):
            continue


@needs_zstd
@pytest.mark.usefixtures("_without_the_module")
def test_a_program_whose_output_nobody_wants_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *args: t.Any, **options: t.Any) -> None:
            super().__init__(*args, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    with decompressed(io.BytesIO(zstd(CONTENT)), LAYER_TAR_ZSTD, "layer 1") as plain:
        assert plain.read(10) == CONTENT[:10]
        assert started[-1].returncode is None
    assert started[-1].returncode is not None


@pytest.mark.usefixtures("_without_the_module")
def test_without_the_program_it_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OciError, match="layer 1: this layer is compressed with zstd, .* Install zstd"):
        read(b"", LAYER_TAR_ZSTD)


def test_a_python_that_knows_zstd_needs_no_program(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    class ZstdError(Exception):
        pass

    class ZstdFile(io.BytesIO):
        def __init__(self, stream: io.BytesIO) -> None:
            super().__init__(stream.read())

        def read(self, size: t.Optional[int] = -1) -> bytes:
            if self.getvalue() == b"broken":
                raise ZstdError("told so")
            return super().read(size)

    module = types.ModuleType("compression.zstd")
    module.__dict__.update(ZstdError=ZstdError, ZstdFile=ZstdFile)
    monkeypatch.setitem(sys.modules, "compression", types.ModuleType("compression"))
    monkeypatch.setitem(sys.modules, "compression.zstd", module)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read(CONTENT, LAYER_TAR_ZSTD) == CONTENT
    with pytest.raises(ValueError, match="told so"):
        read(b"broken", LAYER_TAR_ZSTD)


def test_another_type_is_refused() -> None:
    with pytest.raises(OciError, match="layer 1: layers of type 'text/plain' cannot be unpacked"):
        read(b"", "text/plain")
