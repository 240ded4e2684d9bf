# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which manifests refer to another: those pushed here, and those that a client listed under the fallback tag.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Source
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Document, Store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Index, Manifest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

Entry = t.Dict[str, t.Any]

LONGEST_SECONDS = 60.0

_LONGEST = 64


class Referrers:
    """Knows them for all repositories; only those of our own are complete."""

    def __init__(self, store: Store, sources: t.Sequence[Source]) -> None:
        self._store = store
        self._sources = sources

    def known(self, asked: Asked, subject: Digest, cached_only: bool = False) -> t.List[Entry]:
        """Descriptors of the manifests in this repository that refer to the subject."""
        found: t.Dict[Digest, Entry] = {}
        if asked.repository is not None:
            for digest in self._store.own().referrers(asked.repository, subject):
                document = self._store.document_in(asked.repository, digest)
                if document is not None:
                    found[digest] = _entry(document)
        for document in self._listed(replace(asked, cached_only=asked.cached_only or cached_only), subject):
            found.setdefault(document.digest, _entry(document))
        return list(found.values())

    def _listed(self, asked: Asked, subject: Digest) -> t.Iterator[Document]:
        """Those under the fallback tag that are what they are said to be. Raises Refused where that takes for ever."""
        tag = f"{subject.algorithm}-{subject.hex[:_LONGEST]}"
        listed = self._manifest(asked, Reference(asked.reference.registry, asked.reference.repository, tag))
        if not isinstance(listed, Index):
            return
        until = time.monotonic() + LONGEST_SECONDS
        for child in listed.manifests:
            if time.monotonic() > until:
                what = "to look at all that is listed takes too long"
                raise Refused(HTTPStatus.GATEWAY_TIMEOUT, "UNAVAILABLE", what, detail=str(subject))
            reference = Reference(asked.reference.registry, asked.reference.repository, None, child.digest)
            document = self._manifest(asked, reference)
            if document is not None and document.subject is not None and document.subject.digest == subject:
                yield document

    def _manifest(self, asked: Asked, reference: Reference) -> t.Optional[Document]:
        for source in self._sources:
            found = source.manifest(replace(asked, reference=reference))
            if found is not None:
                return found.document
        return None


def filtered(entries: t.Iterable[Entry], artifact_type: str) -> t.List[Entry]:
    """The entries of this type; all when it is empty."""
    return [entry for entry in entries if not artifact_type or entry.get("artifactType") == artifact_type]


def _entry(document: Document) -> Entry:
    """The descriptor that tells what a referring manifest is."""
    entry: Entry = {
        "mediaType": document.media_type,
        "digest": str(document.digest),
        "size": len(document.raw),
    }
    kind = document.artifact_type or (document.config.media_type if isinstance(document, Manifest) else "")
    if kind:
        entry["artifactType"] = kind
    if document.annotations:
        entry["annotations"] = dict(document.annotations)
    return entry
