# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which content was pushed into a store, and into which repositories.

Private to the collection: may change at any time.

Beside the layout's own directories stands ``own/``. In a repository's directory there (``own/team/app``) an empty file
says that the repository holds a blob (``_blobs/<algorithm>/<hex>``), a manifest (``_manifests/…``), or one that refers
to another (``_referrers/<algorithm>/<subject's hex>/<algorithm>:<hex>``). ``own/_pushed/<algorithm>/<hex>`` marks
what came into the store by a push, and so belongs to the repositories that hold it alone. Tags stand in index.json.
Underscores begin no part of a repository's name. A file is made before what depends on it, so that a run that is
killed leaves a file too many at worst.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    FILE_MODE,
    make_directories,
    os_errors,
    sync_directory,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import parse_digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout

OWN = "own"
UPLOADS = "uploads"
MANIFESTS = "_manifests"
BLOBS = "_blobs"
GRACE_SECONDS = 24 * 3600.0

_REFERRERS = "_referrers"
_PUSHED = "_pushed"


class OwnContent:
    """What the repositories of one store hold. Threads and processes may share it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._root = os.path.join(layout.path, OWN)

    def hold(self, repository: str, kind: str, digest: Digest) -> None:
        """The repository holds it from now on; it is young again if it did already."""
        self._touch(self._path(repository, kind, digest))

    def release(self, repository: str, kind: str, digest: Digest) -> bool:
        """The repository does not hold it any more. Answers whether it did."""
        with os_errors("cannot change what a repository holds", self._layout.path):
            return _unlink(self._path(repository, kind, digest))

    def holds(self, repository: str, kind: str, digest: Digest) -> bool:
        """Whether the repository holds it."""
        return os.path.exists(self._path(repository, kind, digest))

    def has(self, repository: str) -> bool:
        """Whether anything was ever pushed there."""
        return any(os.path.isdir(os.path.join(self._root, repository, kind)) for kind in (MANIFESTS, BLOBS))

    def repositories(self) -> t.List[str]:
        """The repositories that hold a manifest."""
        return [name for name in self._all() if any(self._held(name, MANIFESTS))]

    def mark(self, digest: Digest) -> None:
        """Note, before it is shown, that content comes by a push."""
        self._touch(self._path("", _PUSHED, digest))

    def is_marked(self, digest: Digest) -> bool:
        """Whether the content came by a push."""
        return os.path.exists(self._path("", _PUSHED, digest))

    def refer(self, repository: str, subject: Digest, digest: Digest) -> None:
        """The manifest refers to the subject."""
        self._touch(os.path.join(self._path(repository, _REFERRERS, subject), str(digest)))

    def referrers(self, repository: str, subject: Digest) -> t.List[Digest]:
        """The manifests that the repository holds and that refer to the subject."""
        directory = self._path(repository, _REFERRERS, subject)
        found = (parse_digest(*name.partition(":")[::2]) for name in _names(directory))
        return [digest for digest in found if digest is not None and self.holds(repository, MANIFESTS, digest)]

    def keep(self, kept: t.Set[Digest]) -> None:
        """Add what prune has to keep: what was pushed lately, and what refers to anything that is kept."""
        repositories = self._all()
        for name in repositories:
            kept.update(digest for digest, path in self._held(name, BLOBS) if _is_young(path))
            for digest, path in self._held(name, MANIFESTS):
                if _is_young(path):
                    kept.update(self._reachable(digest))
        count = -1
        while count != len(kept):
            count = len(kept)
            for name in repositories:
                for subject in self._subjects(name) & kept:
                    for digest in self.referrers(name, subject):
                        kept.update(self._reachable(digest))

    def sweep(self) -> None:
        """Forget what is gone; for prune, which keeps writers out."""
        for name in [*self._all(), ""]:
            for kind in (MANIFESTS, BLOBS, _PUSHED):
                for digest, path in self._held(name, kind):
                    if not self._layout.has(digest):
                        _unlink(path)
            for subject in self._subjects(name):
                directory = self._path(name, _REFERRERS, subject)
                alive = {str(digest) for digest in self.referrers(name, subject)}
                for stale in set(_names(directory)) - alive:
                    _unlink(os.path.join(directory, stale))

    def _reachable(self, digest: Digest) -> t.Set[Digest]:
        """The manifest and what it needs; itself alone where it cannot be read."""
        if not self._layout.has(digest):
            return set()
        try:
            document = self._layout.read_document(digest)
            top = Descriptor(document.media_type, digest, len(document.raw))
            return {found.digest for found in self._layout.reachable(top)}
        except OciError:
            return {digest}

    def _path(self, repository: str, kind: str, digest: Digest) -> str:
        return os.path.join(self._root, repository, kind, digest.algorithm, digest.hex)

    def _touch(self, path: str) -> None:
        with os_errors("cannot note what was pushed", path):
            try:
                os.utime(path)
                return
            except FileNotFoundError:
                make_directories(os.path.dirname(path))
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE))
            sync_directory(os.path.dirname(path))

    def _all(self) -> t.List[str]:
        found, waiting = [], [""]
        while waiting:
            name = waiting.pop()
            for part in _names(os.path.join(self._root, name)):
                if part in (MANIFESTS, BLOBS) and name and name not in found:
                    found.append(name)
                elif not part.startswith(("_", ".")):
                    waiting.append(f"{name}/{part}" if name else part)
        return sorted(found)

    def _held(self, repository: str, kind: str) -> t.Iterator[t.Tuple[Digest, str]]:
        root = os.path.join(self._root, repository, kind)
        for algorithm in _names(root):
            for name in _names(os.path.join(root, algorithm)):
                digest = parse_digest(algorithm, name)
                if digest is not None:
                    yield digest, os.path.join(root, algorithm, name)

    def _subjects(self, repository: str) -> t.Set[Digest]:
        return {subject for subject, _path in self._held(repository, _REFERRERS)}


def _names(directory: str) -> t.List[str]:
    """What stands in the directory, nothing when it is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(os.listdir(directory))
    return []


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _is_young(path: str) -> bool:
    """Whether the file changed lately; a time in the future is as far away as one in the past."""
    try:
        return abs(time.time() - os.stat(path).st_mtime) < GRACE_SECONDS
    except FileNotFoundError:
        return False
