# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layers as the image specification has them: how they are compressed, and how they hide what is below them.

Private to the collection: may change at any time. This runs on managed hosts too.
"""

from __future__ import annotations

import contextlib
import gzip
import importlib
import shutil
import subprocess
import threading
import typing as t
import zlib

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Readable

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


@contextlib.contextmanager
def decompressed(stream: Readable, media_type: str, where: str) -> t.Iterator[Readable]:
    """The tar in a layer's blob, to be read within the context.

    Raises OciError for a type of layer that cannot be read here, and ValueError where the compressed data is damaged.
    """
    try:
        with _plain(stream, media_type, where) as plain:
            yield plain
    except (zlib.error, gzip.BadGzipFile, EOFError) as error:
        raise ValueError(str(error)) from error


def _plain(stream: Readable, media_type: str, where: str) -> t.ContextManager[Readable]:
    if media_type.endswith(("+gzip", ".tar.gzip")):
        return contextlib.nullcontext(gzip.GzipFile(fileobj=t.cast(t.IO[bytes], stream), mode="rb"))
    if media_type.endswith(("+zstd", ".tar.zstd")):
        return _zstd(stream, where)
    if media_type.endswith(".tar"):
        return contextlib.nullcontext(stream)
    raise OciError(f"layers of type {media_type!r} cannot be unpacked", where=where)


def _zstd(stream: Readable, where: str) -> t.ContextManager[Readable]:
    try:
        module = importlib.import_module("compression.zstd")
    except ImportError:
        program = shutil.which("zstd")
    else:
        return _zstd_module(module, stream)
    if program is None:
        raise OciError(
            "this layer is compressed with zstd, which this host cannot read",
            where=where,
            why="Python knows zstd from version 3.14 on, and there is no program zstd",
            fix="Install zstd, or build the image with gzip, the default",
        )
    return contextlib.closing(_ZstdProgram(program, stream))


@contextlib.contextmanager
def _zstd_module(module: t.Any, stream: Readable) -> t.Iterator[Readable]:
    try:
        yield module.ZstdFile(stream)
    except module.ZstdError as error:
        raise ValueError(str(error)) from error


class _ZstdProgram:
    """What the program zstd makes of a stream, which another thread feeds to it."""

    def __init__(self, program: str, stream: Readable) -> None:
        self._stream = stream
        self._process = subprocess.Popen(
            [program, "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._failure: t.Optional[BaseException] = None
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def read(self, size: int = -1) -> bytes:
        data = t.cast(t.IO[bytes], self._process.stdout).read(size)
        if not data and size:
            self._end()
        return data

    def close(self) -> None:
        """End the program; one that has not come to its end is killed."""
        self._process.kill()
        self._feeder.join()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            t.cast(t.IO[bytes], pipe).close()

    def _feed(self) -> None:
        try:
            with t.cast(t.IO[bytes], self._process.stdin) as pipe:
                for block in iter(lambda: self._stream.read(CHUNK), b""):
                    pipe.write(block)
        except BrokenPipeError:
            pass  # the program says itself why it ended
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self._failure = error

    def _end(self) -> None:
        self._feeder.join()
        told = t.cast(t.IO[bytes], self._process.stderr).read().decode("utf-8", "replace").strip()
        if self._failure is not None:
            raise self._failure
        if self._process.wait() != 0:
            raise ValueError(told or f"zstd ended with {self._process.returncode}")
