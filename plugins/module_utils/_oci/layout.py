# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store: an OCI image layout that is valid at every moment, for many readers and writers at once.

Private to the collection: may change at any time.

Locks are taken in this order, and no other: ``.session.lock`` (shared by all who write, exclusive for prune), then a
blob's partial file or ``.index.lock``. Who holds ``.index.lock`` may try a partial file's lock, but not wait for it.
All are flock locks: they end with their process.

Blobs that were pulled through have a record under ``pulled/``, made before the blob is shown. Prune leaves them be, so
they are written without a session, however long that takes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci import layout_check, layout_index, layout_walk
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, VerifyingReader
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    locked,
    make_directories,
    os_errors,
    replace_file,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import canonical_json, load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_blob import BlobWriter, Busy, is_blob
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PULLED, record_path
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_check import Pruned
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import OWN, UPLOADS
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    OCI_INDEX,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import (
    Descriptor,
    Index,
    Manifest,
    Platform,
    parse_document,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import quoted
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

__all__ = [
    "BlobWriter",
    "Busy",
    "DOCUMENT_LIMIT",
    "INDEX",
    "Layout",
    "MARKER",
    "Pruned",
    "VERSION",
    "check_version",
    "default_store",
]

DOCUMENT_LIMIT = 16 * 1024 * 1024

MARKER = "oci-layout"
INDEX = "index.json"
VERSION = "1.0.0"
_SESSION_LOCK = ".session.lock"
_INDEX_LOCK = ".index.lock"
_OURS = frozenset(
    {
        MARKER,
        INDEX,
        _SESSION_LOCK,
        _INDEX_LOCK,
        f".{MARKER}.partial",
        f".{INDEX}.partial",
        "blobs",
        "cache",
        PULLED,
        OWN,
        UPLOADS,
    }
)


def default_store() -> str:
    """The store of this user."""
    named = os.environ.get("SEALER_STORE")
    if named:
        return os.path.expanduser(named)
    return "/var/lib/sealer/store" if os.geteuid() == 0 else os.path.expanduser("~/.local/share/sealer/store")


def check_version(raw: bytes, where: str) -> None:
    """Refuse a layout of a version that we do not know."""
    version = load_object(raw, MARKER).get("imageLayoutVersion")
    if version != VERSION:
        raise OciError(f"image layout version {quoted(version)} is not known", where=where, why=f"only {VERSION} is")


class Layout:
    """One image layout on disk. Threads may share it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._local = threading.local()

    @classmethod
    def open(cls, path: str, create: bool = False) -> Layout:
        """The layout in this directory; a missing or empty one becomes a layout when ``create`` is set."""
        layout = cls(os.path.abspath(os.path.expanduser(path)))
        with os_errors("cannot open the image store", layout.path):
            if create and not cls.exists(layout.path):
                layout._create()
            try:
                check_version(layout._read(MARKER), layout.path)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise OciError(
                    "there is no image store",
                    where=layout.path,
                    why="it has no file oci-layout",
                    fix="Build, pull or load an image first, or name another store.",
                ) from error
        return layout

    @staticmethod
    def exists(path: str) -> bool:
        """Whether there is a layout in this directory."""
        return all(os.path.isfile(os.path.join(path, name)) for name in (MARKER, INDEX))

    def blob_path(self, digest: Digest) -> str:
        """Where the blob stands, or would."""
        return os.path.join(self.path, "blobs", digest.algorithm, digest.hex)

    def has(self, digest: Digest, size: t.Optional[int] = None) -> bool:
        """Whether the blob is there, and of this size."""
        return is_blob(self.blob_path(digest), size)

    def open_blob(self, digest: Digest) -> t.BinaryIO:
        """The blob, to be read; it stays whole even when it is pruned meanwhile."""
        path = self.blob_path(digest)
        try:
            with os_errors(f"cannot read blob {digest}", path):
                return open(path, "rb")
        except OciError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise OciError(f"blob {digest} is not in the store", where=self.path) from error
            raise

    def read_blob(self, digest: Digest, limit: int = DOCUMENT_LIMIT) -> bytes:
        """The whole of a small blob, verified."""
        with self.open_blob(digest) as stream, os_errors(f"cannot read blob {digest}", self.path):
            size = os.fstat(stream.fileno()).st_size
            if size > limit:
                raise OciError(f"blob {digest} is too large", where=self.path, why=f"{size} bytes, not up to {limit}")
            return VerifyingReader(stream, digest).read()

    def read_document(self, which: t.Union[Descriptor, Digest]) -> t.Union[Manifest, Index]:
        """The manifest or index, verified."""
        if isinstance(which, Digest):
            return parse_document(self.read_blob(which))
        return parse_document(self.read_blob(which.digest), which.media_type)

    def put_bytes(self, data: bytes) -> Digest:
        """Bring a small blob in."""
        digest = Digest.of(data)
        with self.writer(digest, len(data)) as writer:
            if not writer.done:
                writer.restart()
                writer.write(data)
                writer.commit()
        return digest

    def writer(self, digest: Digest, size: t.Optional[int] = None) -> BlobWriter:
        """A context manager that brings one blob in; it waits while another does."""
        return BlobWriter(self.blob_path(digest), digest, size, self.session(), record=record_path(self.path, digest))

    def pulling_writer(self, digest: Digest, again: bool = False) -> BlobWriter:
        """The same for a blob that is pulled through; raises Busy while another writes it.

        It keeps nobody from pruning; so who commits the blob has made its record before.
        """
        return BlobWriter(self.blob_path(digest), digest, None, contextlib.nullcontext(), wait=False, again=again)

    def entries(self) -> t.List[Descriptor]:
        """All that index.json names, with its annotations, in its order."""
        return self._index()[1]

    def names(self) -> t.Dict[str, Descriptor]:
        """What index.json names, by name."""
        return {name: entry for entry in self.entries() for name in [layout_index.name_of(entry)] if name}

    def find(self, reference: Reference) -> t.Optional[Descriptor]:
        """What the name means here, if anything."""
        return layout_index.lookup(self, self.names(), reference)

    def resolve(self, reference: Reference) -> Descriptor:
        """What the name means here; an error with near names when it means nothing."""
        names = self.names()
        found = layout_index.lookup(self, names, reference)
        if found is None:
            raise layout_index.absent(names, reference, self.path)
        return found

    def tag(self, reference: Reference, descriptor: Descriptor, platforms: t.Sequence[Platform] = ()) -> bool:
        """Name an image that is here as a whole; a cluster image may be here for some platforms only.

        Which those are is kept in the name's annotation, and grows when the same image is named for more. A descriptor
        out of ``names()`` brings them along. Answers whether index.json changed.
        """
        if reference.digest is not None and reference.digest != descriptor.digest:
            raise OciError(f"{reference} cannot name {descriptor.digest}", where=self.path)
        name = str(reference)

        def change(own: t.List[Descriptor]) -> t.List[Descriptor]:
            before = next((one for one in own if layout_index.name_of(one) == name), None)
            entry = layout_index.named_entry(self, name, descriptor, platforms, before)
            self._require_whole(entry)
            return [one for one in own if layout_index.name_of(one) != name] + [entry]

        return self._update(change)

    def untag(self, reference: Reference) -> bool:
        """Take a name away; its blobs stay until prune. Answers whether it was there."""
        name = str(reference)
        found = self.names().get(name)
        if found is not None and layout_index.is_derived(found):
            raise OciError(
                f"{name} cannot be removed alone",
                where=self.path,
                why="it belongs to a cluster image",
                fix="Remove the cluster image.",
            )
        return found is not None and self._update(lambda own: [one for one in own if layout_index.name_of(one) != name])

    def edit(self, change: t.Callable[[t.List[Descriptor]], t.List[Descriptor]]) -> bool:
        """Change the entries that users gave as they are; nothing is checked. Answers whether index.json changed."""
        return self._update(change)

    @contextlib.contextmanager
    def session(self) -> t.Iterator[None]:
        """Keep prune away for as long as it takes to write and name an image. Sessions nest."""
        with os_errors("cannot lock the image store", self.path), contextlib.ExitStack() as stack:
            stack.enter_context(locked(os.path.join(self.path, _SESSION_LOCK), exclusive=False))
            held = stack.pop_all()
        self._local.sessions = self._sessions + 1
        try:
            with held:
                yield
        finally:
            self._local.sessions -= 1

    @contextlib.contextmanager
    def names_held(self) -> t.Iterator[None]:
        """Let nobody name or take a name away meanwhile; for moments only."""
        with os_errors("cannot lock the image store", self.path), contextlib.ExitStack() as stack:
            stack.enter_context(locked(os.path.join(self.path, _INDEX_LOCK), exclusive=True))
            held = stack.pop_all()
        with held:
            yield

    def prune(self, dry_run: bool = False) -> t.List[Pruned]:
        """Remove what no name reaches and what was not pulled through; waits until nobody writes in a session."""
        if dry_run:
            return layout_check.prune(self, dry_run=True)
        if self._sessions:
            raise OciError("the store cannot be pruned inside a session", where=self.path)
        lock = locked(os.path.join(self.path, _SESSION_LOCK), exclusive=True)
        with os_errors("cannot prune the image store", self.path), lock:
            return layout_check.prune(self, dry_run=False)

    def verify(self) -> t.List[str]:
        """Hash everything again; what is wrong, a line each."""
        return layout_check.verify(self)

    def reachable(self, descriptor: Descriptor) -> t.Iterator[Descriptor]:
        """The blob itself and all it needs, each once, children before parents."""
        return layout_walk.reachable(self, descriptor)

    def missing(self, descriptor: Descriptor) -> t.List[Descriptor]:
        """What the image needs and is not here."""
        return layout_check.missing(self, descriptor)

    @property
    def _sessions(self) -> int:
        return getattr(self._local, "sessions", 0)

    def _create(self) -> None:
        make_directories(self.path)
        strangers = sorted(set(os.listdir(self.path)) - _OURS - {"lost+found"})
        if strangers:
            raise OciError(
                "directory is not an image store",
                where=self.path,
                why=f"it holds {', '.join(strangers[:3])}",
                fix="Name an empty directory.",
            )
        with locked(os.path.join(self.path, _INDEX_LOCK), exclusive=True):
            with locked(os.path.join(self.path, _SESSION_LOCK), exclusive=False):
                make_directories(os.path.join(self.path, "blobs", "sha256"))
            for name, content in (
                (MARKER, {"imageLayoutVersion": VERSION}),
                (INDEX, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}),
            ):
                if not os.path.isfile(os.path.join(self.path, name)):
                    replace_file(os.path.join(self.path, name), canonical_json(content))

    def _read(self, name: str) -> bytes:
        path = os.path.join(self.path, name)
        with open(path, "rb") as stream:
            raw = stream.read(DOCUMENT_LIMIT + 1)
        if len(raw) > DOCUMENT_LIMIT:
            raise OciError("file is too large", where=path, why=f"more than {DOCUMENT_LIMIT} bytes")
        return raw

    def _index(self) -> t.Tuple[bytes, t.List[Descriptor]]:
        path = os.path.join(self.path, INDEX)
        with os_errors("cannot read the image store", path):
            raw = self._read(INDEX)
        try:
            return raw, Index.parse(raw, OCI_INDEX).manifests
        except OciError as error:
            raise OciError("index of the image store is damaged", where=path, why=str(error)) from error

    def _update(self, change: t.Callable[[t.List[Descriptor]], t.List[Descriptor]]) -> bool:
        lock = locked(os.path.join(self.path, _INDEX_LOCK), exclusive=True)
        with self.session(), os_errors("cannot write the image store", self.path), lock:
            raw, entries = self._index()
            own = change([entry for entry in entries if not layout_index.is_derived(entry)])
            manifests = [entry.to_json() for entry in layout_index.with_derived(self, own)]
            document = {**load_object(raw, INDEX), "mediaType": OCI_INDEX, "manifests": manifests}
            data = canonical_json(document)
            if data != raw:
                replace_file(os.path.join(self.path, INDEX), data)
            return data != raw

    def _require_whole(self, entry: Descriptor) -> None:
        lacking = self.missing(entry)
        if lacking:
            raise OciError(
                f"{layout_index.name_of(entry)} is not whole in the store",
                where=self.path,
                why=f"{len(lacking)} of its blobs are missing, the first is {lacking[0].digest}",
                fix="Pull, load or build it again.",
            )
