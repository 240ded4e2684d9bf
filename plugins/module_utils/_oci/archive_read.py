# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the tar of an image layout as a stream that nobody has to trust.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Digest, Readable
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import (
    DOCUMENT_LIMIT,
    INDEX,
    MARKER,
    check_version,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import OCI_INDEX
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import quoted

_HEADER_LIMIT = 1024 * 1024
# What podman makes a link in a docker archive.
_DOCKER_LAYER = "layer.tar"
_ENTRY_LIMIT = 200_000
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
UNREADABLE = (tarfile.TarError, EOFError, OSError, ValueError, ArithmeticError, LookupError, RecursionError)

StoreBlob = t.Callable[[Digest, int, Readable], None]


class ArchiveReader:
    """Walks an archive once, hands its blobs on as they come, and keeps its small files."""

    def __init__(self, path: str, progress: Progress) -> None:
        self.path = path
        self._progress = progress
        self._small: t.Dict[str, bytes] = {}
        self._docker = False

    def read(self, store: StoreBlob, enough: t.Callable[[], bool]) -> None:
        """Hand every blob to ``store``, until ``enough``, which is asked once the index is known."""
        with self._errors(), open(self.path, "rb") as stream:
            self._progress.total(os.fstat(stream.fileno()).st_size, 0)
            counted = t.cast(t.IO[bytes], _Counting(stream, self._progress))
            with tarfile.open(fileobj=counted, mode="r|*", bufsize=CHUNK, tarinfo=BoundedHeader) as archive:
                for number, member in enumerate(archive):
                    if number >= _ENTRY_LIMIT:
                        raise self.refused(f"it has more than {_ENTRY_LIMIT} entries")
                    self._take(archive, member, store)
                    if self.complete and enough():
                        return
        if not self.complete:
            raise self._not_a_layout()

    @property
    def complete(self) -> bool:
        """Whether both small files of a layout were there."""
        return MARKER in self._small and INDEX in self._small

    def entries(self) -> t.List[Descriptor]:
        """What the archive's index.json names."""
        check_version(self._small[MARKER], self.path)
        try:
            return Index.parse(self._small[INDEX], OCI_INDEX).manifests
        except OciError as error:
            raise self.refused(f"its index.json is wrong: {error}") from error

    def refused(self, why: str) -> OciError:
        """The error for an archive that cannot be taken."""
        return OciError("image archive cannot be loaded", where=self.path, why=why)

    def _take(self, archive: tarfile.TarFile, member: tarfile.TarInfo, store: StoreBlob) -> None:
        parts = self._safe_parts(member.name)
        if member.isdir():
            return
        if member.issym() and parts[-1:] == [_DOCKER_LAYER]:
            self._docker = True
            return
        if not member.isreg() or member.issparse() or member.size < 0:
            raise self.refused(f"entry {quoted(member.name)} is neither a plain file nor a directory")
        stream = archive.extractfile(member)
        if stream is None or not parts:
            raise self.refused(f"entry {quoted(member.name)} has no content")
        name = "/".join(parts)
        if name in (MARKER, INDEX):
            self._keep(name, member.size, stream)
        elif parts[0] == "blobs" and not parts[-1].startswith("."):
            store(self._digest(parts), member.size, stream)
        elif name == "manifest.json":
            self._docker = True

    def _safe_parts(self, name: str) -> t.List[str]:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts:
            raise self.refused(f"entry {quoted(name)} points outside")
        return parts

    def _digest(self, parts: t.List[str]) -> Digest:
        try:
            _blobs, algorithm, hexadecimal = parts
            return Digest(algorithm, hexadecimal)
        except (OciError, ValueError) as error:
            raise self.refused(f"entry {quoted('/'.join(parts))} is not named by a digest") from error

    def _keep(self, name: str, size: int, stream: Readable) -> None:
        if size > DOCUMENT_LIMIT:
            raise self.refused(f"its {name} has {size} bytes, more than {DOCUMENT_LIMIT}")
        content = stream.read(size)
        if self._small.setdefault(name, content) != content:
            raise self.refused(f"it has two different {name}")

    def _not_a_layout(self) -> OciError:
        if self._docker:
            return OciError(
                "image archive cannot be loaded",
                where=self.path,
                why="it is in docker's own format, not an OCI layout",
                fix="Convert it: skopeo copy docker-archive:IN oci-archive:OUT:NAME",
            )
        lacking = " and ".join(name for name in (MARKER, INDEX) if name not in self._small)
        return self.refused(f"it is not the tar of an OCI image layout, or its end is missing: it has no {lacking}")

    @contextlib.contextmanager
    def _errors(self) -> t.Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise OciError(
                "image archive cannot be read",
                where=self.path,
                why=told or type(error).__name__,
                fix="If it was copied here, copy it again.",
            ) from error


class BoundedHeader(tarfile.TarInfo):
    """A header whose extension, which tarfile takes into memory as a whole, is small."""

    @classmethod
    def frombuf(cls, buf: t.Union[bytes, bytearray], encoding: str, errors: str) -> BoundedHeader:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > _HEADER_LIMIT):
            raise tarfile.ReadError(f"a header claims {header.size} bytes")
        return header


class _Counting:
    def __init__(self, stream: t.BinaryIO, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._progress.add(len(data))
        return data
