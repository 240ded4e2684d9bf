# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests that clients push: checked, kept byte for byte, named, and taken away.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Document, Store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_own import BLOBS, MANIFESTS
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    ANNOTATION_KIND,
    ANNOTATION_REF,
    is_foreign,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Manifest, parse_document

MOST_DESCRIPTORS = 10000


class PushedManifests:
    """The manifests of the mirror's own repositories."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put(
        self, repository: str, raw: bytes, media_type: str, digest: t.Optional[Digest], tags: t.Sequence[str]
    ) -> Document:
        """Take the manifest in and name it. Raises Refused."""
        document = _parsed(raw, media_type, digest)
        layout, own = self._store.layout(), self._store.own()
        self._refuse_operators(repository, tags)
        with layout.session():
            self._require_content(repository, document)
            if not layout.has(document.digest, len(raw)):
                own.mark(document.digest)
                with layout.writer(document.digest, len(raw)) as writer:
                    if not writer.done:
                        writer.restart()
                        writer.write(raw)
                        writer.commit()
            if document.subject is not None:
                own.refer(repository, document.subject.digest, document.digest)
            own.hold(repository, MANIFESTS, document.digest)
            entry = Descriptor(document.media_type, document.digest, len(raw))
            if tags:
                self._name(repository, {tag: entry for tag in tags})
        return document

    def untag(self, repository: str, tag: str) -> None:
        """Take one tag away; the manifest stays for a while. Raises Refused."""
        self._refuse_operators(repository, [tag])
        entry = self._entry(repository, tag)
        if entry is None:
            raise _unknown(tag)
        own = self._store.own()
        if own.holds(repository, MANIFESTS, entry.digest):
            own.hold(repository, MANIFESTS, entry.digest)
        self._name(repository, {tag: None})

    def delete(self, repository: str, digest: Digest) -> None:
        """Take the manifest away, with all its tags. Raises Refused."""
        tags = [
            tag
            for tag in self._store.names().tags(f"{self._store.name}/{repository}") or []
            if self._is_tagged(repository, tag, digest)
        ]
        self._refuse_operators(repository, tags)
        if tags:
            self._name(repository, dict.fromkeys(tags))
        if not self._store.own().release(repository, MANIFESTS, digest) and not tags:
            raise _unknown(str(digest))

    def _is_tagged(self, repository: str, tag: str, digest: Digest) -> bool:
        entry = self._entry(repository, tag)
        return entry is not None and entry.digest == digest

    def _entry(self, repository: str, tag: str) -> t.Optional[Descriptor]:
        return self._store.names().entries.get(self._full(repository, tag))

    def _full(self, repository: str, tag: str) -> str:
        return f"{self._store.name}/{repository}:{tag}"

    def _refuse_operators(self, repository: str, tags: t.Sequence[str]) -> None:
        """Whoever may push may not change cluster images: what nodes run, and what others are called, hangs on them."""
        for tag in tags:
            entry = self._entry(repository, tag)
            if entry is not None and entry.annotations.get(ANNOTATION_KIND):
                what = "this name belongs to a cluster image; it is managed on the mirror's host"
                raise Refused(HTTPStatus.FORBIDDEN, "DENIED", what, detail=self._full(repository, tag))

    def _name(self, repository: str, entries: t.Mapping[str, t.Optional[Descriptor]]) -> None:
        """Give names, and take those away that go with None. A pushed image names no others, whatever is in it."""
        wanted = {self._full(repository, tag): entry for tag, entry in entries.items()}
        named = [
            replace(entry, annotations={ANNOTATION_REF: name}) for name, entry in wanted.items() if entry is not None
        ]
        self._store.layout().edit(
            lambda before: [one for one in before if one.annotations.get(ANNOTATION_REF) not in wanted] + named
        )

    def _require_content(self, repository: str, document: Document) -> None:
        """Refuse a manifest of blobs that are not here; hold those that are, so that they stay seen.

        What an index names may be absent: then the image is here for some platforms only.
        """
        kind = BLOBS if isinstance(document, Manifest) else MANIFESTS
        lacking = []
        layout, own = self._store.layout(), self._store.own()
        for child in document.children:
            if own.holds(repository, kind, child.digest) and layout.has(child.digest, child.size):
                continue
            if layout.has(child.digest, child.size) and self._store.sees(repository, kind, child.digest):
                own.hold(repository, kind, child.digest)
            elif kind == BLOBS and not is_foreign(child.media_type):
                lacking.append(str(child.digest))
        if lacking:
            told = f"{', '.join(lacking[:10])}{' …' if len(lacking) > 10 else ''}"
            raise Refused(
                HTTPStatus.BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", "the manifest names what is not here", detail=told
            )


def _parsed(raw: bytes, media_type: str, digest: t.Optional[Digest]) -> Document:
    if digest is not None:
        found = Digest.of(raw, digest.algorithm)
        if found != digest:
            what = "the digest is not that of the manifest that came"
            raise Refused(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", what, detail=str(found))
    try:
        document = parse_document(raw, media_type)
    except OciError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", error.what, detail=error.why) from error
    if len(document.children) > MOST_DESCRIPTORS:
        raise Refused(HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID", f"it names more than {MOST_DESCRIPTORS} blobs")
    return document if digest is None else replace(document, digest=digest)


def _unknown(what: str) -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", "the manifest was not pushed here", detail=what)
