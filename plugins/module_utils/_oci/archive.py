# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One image as one file: the tar of an OCI image layout, written deterministically, loaded as a stream.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import typing as t
from io import BytesIO

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.archive_read import ArchiveReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import CHUNK, Digest, Readable, VerifyingReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import open_partial, os_errors, sync_directory
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import INDEX, MARKER, VERSION, Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_index import is_derived, name_of, named_entry
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import ANNOTATION_CONTAINERD_NAME, OCI_INDEX
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, canonical_json
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import NullProgress, Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import printable, quoted
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

Named = t.List[t.Tuple[Reference, Descriptor]]


def save(
    layout: Layout,
    descriptor: Descriptor,
    reference: Reference,
    dest: str,
    progress: t.Optional[Progress] = None,
) -> int:
    """Write the image to a file, the same bytes for the same image and name. Answers the file's size.

    The file appears when it is whole. Blobs are verified on the way.
    """
    told = progress or NullProgress()
    with layout.session():
        lacking = layout.missing(descriptor)
        if lacking:
            raise OciError(
                f"{reference} is not whole in the store",
                where=layout.path,
                why=f"{len(lacking)} of its blobs are missing, the first is {lacking[0].digest}",
                fix="Pull, load or build it again.",
            )
        blobs = {blob.digest: blob.size for blob in layout.reachable(descriptor)}
        told.total(sum(blobs.values()), len(blobs))
        entry = named_entry(layout, str(reference), descriptor)
        with _whole_file(os.path.abspath(dest)) as stream:
            with tarfile.TarFile(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, copybufsize=CHUNK) as archive:
                _add_small_files(archive, entry)
                _add_blobs(archive, layout, blobs, told)
            return stream.tell()


def load(
    layout: Layout,
    path: str,
    progress: t.Optional[Progress] = None,
    reference: t.Optional[Reference] = None,
) -> Named:
    """Bring an archive's images in and name them as it does, or its only image by ``reference``.

    Blobs go from the archive straight to their place. Nothing is named before all of it is there and verified. When all
    that the archive names is in the store, the rest of it is not read.
    """
    reader = ArchiveReader(path, progress or NullProgress())

    def store(digest: Digest, size: int, stream: Readable) -> None:
        _store_blob(layout, digest, size, stream)

    def enough() -> bool:
        return all(not layout.missing(descriptor) for _reference, descriptor in _named(reader, reference))

    with layout.session():
        reader.read(store, enough)
        found = _named(reader, reference)
        for name, descriptor in found:
            lacking = layout.missing(descriptor)
            if lacking:
                raise reader.refused(f"{len(lacking)} blobs of {name} are not in it, the first is {lacking[0].digest}")
        for name, descriptor in found:
            layout.tag(name, descriptor)
    return found


def contents(path: str, reference: t.Optional[Reference] = None) -> Named:
    """The images in an archive and the names that load would give them; blobs are neither kept nor verified."""
    reader = ArchiveReader(path, NullProgress())
    reader.read(lambda _digest, _size, _stream: None, lambda: True)
    return _named(reader, reference)


def _store_blob(layout: Layout, digest: Digest, size: int, stream: Readable) -> None:
    with layout.writer(digest, size) as writer:
        if writer.done:
            verified = VerifyingReader(stream, digest, size)
            while verified.read(CHUNK):
                pass
            return
        writer.restart()
        try:
            for data in iter(lambda: stream.read(CHUNK), b""):
                writer.write(data)
        except BaseException:
            writer.discard()
            raise
        writer.commit()


def _named(reader: ArchiveReader, reference: t.Optional[Reference]) -> Named:
    entries = [entry for entry in reader.entries() if not is_derived(entry)]
    if not entries:
        raise reader.refused("it names no image")
    if reference is not None:
        return [(reference, _chosen(reader, entries, reference))]
    result: t.Dict[Reference, Descriptor] = {}
    for entry in entries:
        name = _full_name(reader, entry)
        if result.setdefault(name, entry).digest != entry.digest:
            raise reader.refused(f"it has two images of the name {name}")
    return list(result.items())


def _chosen(reader: ArchiveReader, entries: t.List[Descriptor], reference: Reference) -> Descriptor:
    if len(entries) == 1:
        return entries[0]
    for entry in entries:
        if name_of(entry) == str(reference):
            return entry
    names = ", ".join(name_of(entry) or str(entry.digest) for entry in entries)
    raise reader.refused(f"it has several images and none is named {reference}: {printable(names, limit=1000)}")


def _full_name(reader: ArchiveReader, entry: Descriptor) -> Reference:
    name = entry.annotations.get(ANNOTATION_CONTAINERD_NAME) or name_of(entry) or ""
    if not set(name) & set("/:"):
        raise OciError(
            "image archive cannot be loaded",
            where=reader.path,
            why=f"it names its image {quoted(name)}, which is a bare tag" if name else "its image has no name",
            fix="Say which name the image shall have.",
        )
    return Reference.parse(name)


def _add_small_files(archive: tarfile.TarFile, entry: Descriptor) -> None:
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry.to_json()]}
    for name, content in ((MARKER, {"imageLayoutVersion": VERSION}), (INDEX, index)):
        data = canonical_json(content)
        archive.addfile(_file(name, len(data)), BytesIO(data))


def _add_blobs(archive: tarfile.TarFile, layout: Layout, blobs: t.Dict[Digest, int], progress: Progress) -> None:
    for directory in ["blobs", *sorted({f"blobs/{digest.algorithm}" for digest in blobs})]:
        archive.addfile(_directory(directory))
    for digest in sorted(blobs):
        size = blobs[digest]
        with layout.open_blob(digest) as stream:
            source = _Counted(VerifyingReader(stream, digest, size), progress)
            archive.addfile(_file(f"blobs/{digest.algorithm}/{digest.hex}", size), t.cast(t.IO[bytes], source))
        progress.item(str(digest))


def _file(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member


def _directory(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    member.mode = 0o755
    return member


@contextlib.contextmanager
def _whole_file(path: str) -> t.Iterator[t.BinaryIO]:
    """A file that takes its place when it is whole; a broken-off one leaves nothing behind."""
    directory, name = os.path.split(path)
    partial = os.path.join(directory, f".{name}.partial")
    with os_errors("image archive cannot be written", path):
        if os.path.isdir(path):
            raise IsADirectoryError("it is a directory")
        with os.fdopen(open_partial(partial, _new_file_mode()), "wb") as stream:
            try:
                stream.truncate(0)
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
                os.replace(partial, path)
            except BaseException:
                os.unlink(partial)
                raise
        sync_directory(directory)


class _Counted:
    def __init__(self, stream: Readable, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._progress.add(len(data))
        return data


def _new_file_mode() -> int:
    """The mode that files get which this user makes."""
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask
