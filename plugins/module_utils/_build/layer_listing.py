# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a packed layer holds, without the content of its files.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import posixpath
import tarfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, FILE, LINK, SPECIAL
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.archive_read import UNREADABLE, BoundedHeader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Readable, VerifyingReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layers import WHITEOUT, decompressed
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor

_ENTRY_LIMIT = 1_000_000
_FIX = "Build or pull the image again"


def read_listing(blob: Readable, descriptor: Descriptor) -> t.List[Entry]:
    """The entries of a layer in their order, whiteouts among them; the blob is checked against its digest.

    Raises BuildError for what nodes would refuse to unpack, and OciError for wrong bytes.
    """
    where = f"layer {descriptor.digest}"
    verified = VerifyingReader(blob, descriptor.digest, descriptor.size)
    try:
        with decompressed(verified, descriptor.media_type, where) as plain:
            entries = _entries(plain, where)
            while plain.read(CHUNK):
                continue
        while verified.read(CHUNK):
            continue
    except UNREADABLE as error:
        raise BuildError("this layer is damaged", where=where, why=str(error), fix=_FIX) from error
    return entries


def _entries(plain: Readable, where: str) -> t.List[Entry]:
    entries: t.List[Entry] = []
    stream = t.cast(t.IO[bytes], plain)
    with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK, tarinfo=BoundedHeader) as archive:
        for member in archive:
            path = _path(member.name, where)
            if path:
                entries.append(_entry(path, member))
            if len(entries) > _ENTRY_LIMIT:
                raise BuildError(f"this layer has more than {_ENTRY_LIMIT} entries", where=where)
    return entries


def _path(name: str, where: str) -> str:
    """A member's name without ./ and the like; empty for the root itself."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise BuildError(f"{name!r} in this layer lies outside of the rootfs", where=where, fix=_FIX)
    if parts and parts[-1] in (WHITEOUT, f"{WHITEOUT}.", f"{WHITEOUT}.."):
        raise BuildError(f"{name!r} in this layer hides nothing that could be named", where=where, fix=_FIX)
    return posixpath.join("", *parts)


def _entry(path: str, member: tarfile.TarInfo) -> Entry:
    return Entry(
        path,
        _kind(member),
        member.mode & 0o7777,
        member.uid,
        member.gid,
        target=member.linkname if member.issym() else "",
        mtime=int(member.mtime),
    )


def _kind(member: tarfile.TarInfo) -> str:
    if member.isdir():
        return DIRECTORY
    if member.issym():
        return LINK
    return FILE if member.isreg() or member.islnk() else SPECIAL
