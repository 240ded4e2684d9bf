# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tags meant when they were looked up last: a small file each, for all processes on the store.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import (
    make_directories,
    os_errors,
    replace_file,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PULLED
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

# no part of a repository's name begins with an underscore
_TAGS = "_tags"
_LIMIT = 64 * 1024


@dataclass(frozen=True)
class TagRecord:
    """What a tag meant at a time (of the host's clock), and which URL said so with which entity tag."""

    digest: Digest
    media_type: str
    size: int
    etag: str
    checked: float
    origin: str

    def age(self, now: float) -> t.Optional[float]:
        """Seconds since it was checked; None for a time in the future: the clock was set, and it tells nothing."""
        return now - self.checked if now >= self.checked else None


class Tags:
    """The records of one store. A record is whole or not there, whoever is killed when."""

    def __init__(self, store: str) -> None:
        self._root = os.path.join(store, PULLED, "tags")

    def get(self, reference: Reference) -> t.Optional[TagRecord]:
        """What the tag meant; None when that is not known, or cannot be read."""
        try:
            with open(self._path(reference), "rb") as stream:
                return _parse(stream.read(_LIMIT))
        except OSError:
            return None

    def put(self, reference: Reference, record: TagRecord) -> None:
        """Remember what the tag means."""
        path = self._path(reference)
        value = {
            "digest": str(record.digest),
            "mediaType": record.media_type,
            "size": record.size,
            "etag": record.etag,
            "checked": record.checked,
            "from": record.origin,
        }
        with os_errors("cannot remember a tag", path):
            make_directories(os.path.dirname(path))
            replace_file(path, json.dumps(value, sort_keys=True).encode("ascii"), durable=False)

    def forget(self, reference: Reference) -> None:
        """The tag is no more."""
        path = self._path(reference)
        with os_errors("cannot forget a tag", path), contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def sweep(self, is_here: t.Callable[[Digest], bool]) -> int:
        """Forget the tags whose manifests are gone, and what is damaged; answers how many."""
        forgotten = 0
        for path, record in self._all():
            if record is None or not is_here(record.digest):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                    forgotten += 1
        return forgotten

    def entries(self) -> t.Iterator[t.Tuple[str, TagRecord]]:
        """All tags by their full names, in no order."""
        for path, record in self._all():
            name, _tags, tag = os.path.relpath(path, self._root).rpartition(f"/{_TAGS}/")
            if record is not None and name:
                yield f"{name}:{tag}", record

    def _all(self) -> t.Iterator[t.Tuple[str, t.Optional[TagRecord]]]:
        for directory, _directories, names in os.walk(self._root):
            if os.path.basename(directory) == _TAGS:
                for path in (os.path.join(directory, name) for name in names if not name.startswith(".")):
                    with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
                        yield path, _parse(stream.read(_LIMIT))

    def _path(self, reference: Reference) -> str:
        return os.path.join(self._root, reference.registry, reference.repository, _TAGS, reference.tag or "")


def _parse(raw: bytes) -> t.Optional[TagRecord]:
    try:
        value = json.loads(raw.decode("utf-8"))
        record = TagRecord(
            Digest.parse(value["digest"]),
            value["mediaType"],
            value["size"],
            value["etag"],
            value["checked"],
            value["from"],
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OciError):
        return None
    texts = (record.media_type, record.etag, record.origin)
    good = isinstance(record.checked, (int, float)) and isinstance(record.size, int)
    return record if good and all(isinstance(text, str) for text in texts) else None
