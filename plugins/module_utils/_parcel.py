# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parcels: what a controller sends to a host's store, ranges of blobs in one file.

A parcel is one line of JSON, C({"version": 1, "ranges": [{"digest", "size", "offset", "length"}, ...]}), and then the
bytes of these ranges, one after the other. The SHA-256 sum of the whole file travels beside it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import partial_path
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout

VERSION = 1
HEADER_LIMIT = 4 << 20
CHUNK = 1 << 20


@dataclass(frozen=True)
class Range:
    """A piece of a blob: `length` bytes from `offset` of the blob `digest`, which has `size` bytes in all."""

    digest: str
    size: int
    offset: int
    length: int


@dataclass(frozen=True)
class Missing:
    """A blob that a store has not, or of which it has the first `offset` bytes only."""

    digest: str
    size: int
    offset: int = 0


def missing_blobs(layout: t.Optional[Layout], wanted: t.Iterable[t.Tuple[str, int]]) -> t.List[Missing]:
    """Which of the wanted blobs a store lacks, and how much of each came already. Without a store, all of them."""
    missing = []
    for name, size in wanted:
        digest = Digest.parse(name)
        if layout is None:
            missing.append(Missing(name, size))
        elif not layout.has(digest, size):
            missing.append(Missing(name, size, _partial_size(layout, digest, size)))
    return missing


def _partial_size(layout: Layout, digest: Digest, size: int) -> int:
    try:
        found = os.stat(partial_path(layout.blob_path(digest))).st_size
    except FileNotFoundError:
        return 0
    return found if found <= size else 0


def plan_parcels(missing: t.Iterable[Missing], parcel_size: int) -> t.List[t.List[Range]]:
    """Cut what is missing into parcels of at most `parcel_size` bytes of blobs, in the order given."""
    parcels: t.List[t.List[Range]] = []
    room = 0
    for blob in missing:
        offset = blob.offset
        while True:
            if not room:
                parcels.append([])
                room = parcel_size
            length = min(room, blob.size - offset)
            parcels[-1].append(Range(blob.digest, blob.size, offset, length))
            room -= length
            offset += length
            if offset >= blob.size:
                break
    return parcels


def write_parcel(layout: Layout, ranges: t.Sequence[Range], stream: t.BinaryIO) -> str:
    """Write a parcel with these ranges out of a store; gives its SHA-256 sum."""
    hasher = hashlib.sha256()

    def put(data: bytes) -> None:
        hasher.update(data)
        stream.write(data)

    header = {"version": VERSION, "ranges": [asdict(piece) for piece in ranges]}
    put(json.dumps(header, sort_keys=True).encode() + b"\n")
    for piece in ranges:
        with layout.open_blob(Digest.parse(piece.digest)) as blob:
            blob.seek(piece.offset)
            for data in _exactly(blob, piece.length, piece.digest):
                put(data)
    return hasher.hexdigest()


def take_parcel(layout: Layout, stream: t.BinaryIO, sha256: str) -> int:
    """Append a parcel's ranges to a store's blobs; gives how many bytes were new to it.

    Nothing is taken from a parcel whose sum is another one. A blob is there once its last byte came and its digest
    is right; until then its bytes wait in the store's partial file, also for the next run.
    """
    _check_sum(stream, sha256)
    taken = 0
    for piece in _read_header(stream):
        taken += _take_range(layout, piece, stream)
    if stream.read(1):
        raise OciError("the parcel is longer than its header says", fix="Run the delivery again")
    return taken


def _take_range(layout: Layout, piece: Range, stream: t.BinaryIO) -> int:
    with layout.writer(Digest.parse(piece.digest), piece.size) as writer:
        if not writer.done and writer.offset < piece.offset:
            raise OciError(
                f"blob {piece.digest} has {writer.offset} bytes on the host, the parcel goes on at {piece.offset}",
                why="something removed bytes that were there before",
                fix="Run the delivery again",
            )
        known = piece.length if writer.done else min(writer.offset - piece.offset, piece.length)
        position = 0
        for data in _exactly(stream, piece.length, piece.digest):
            fresh = data[max(0, known - position) :]
            position += len(data)
            if fresh:
                writer.write(fresh)
        if not writer.done and writer.offset == piece.size:
            writer.commit()
    return piece.length - known


def _check_sum(stream: t.BinaryIO, sha256: str) -> None:
    hasher = hashlib.sha256()
    for data in iter(lambda: stream.read(CHUNK), b""):
        hasher.update(data)
    stream.seek(0)
    if hasher.hexdigest() != sha256:
        raise OciError(
            "the parcel was damaged on its way", why="its SHA-256 sum is another", fix="Run the delivery again"
        )


def _read_header(stream: t.BinaryIO) -> t.List[Range]:
    try:
        header = json.loads(stream.readline(HEADER_LIMIT))
        if header["version"] != VERSION:
            raise OciError(f"the parcel has version {header['version']}, known here is {VERSION}")
        ranges = [Range(str(raw["digest"]), *(int(raw[key]) for key in _NUMBERS)) for raw in header["ranges"]]
    except (ValueError, KeyError, TypeError) as error:
        raise OciError("the parcel's header cannot be read", why=repr(error)) from error
    for piece in ranges:
        if not 0 <= piece.offset <= piece.offset + piece.length <= piece.size:
            raise OciError("the parcel's header cannot be read", why=f"a range outside its blob: {piece}")
    return ranges


_NUMBERS = ("size", "offset", "length")


def _exactly(stream: t.BinaryIO, length: int, name: str) -> t.Iterator[bytes]:
    while length:
        data = stream.read(min(CHUNK, length))
        if not data:
            raise OciError(f"{length} bytes of {name} are missing", why="the file is shorter than it should be")
        length -= len(data)
        yield data
