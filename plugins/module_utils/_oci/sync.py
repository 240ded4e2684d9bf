# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many container images out of a store into other registries, no blob sent twice, and back.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.blob_upload import MOUNTED, PRESENT, PUSHED
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import Document, RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.name_map import Destinations, NameMap
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.sync_plan import (
    Tree,
    blobs_of,
    here_of,
    named_images,
    tree,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import pull
from ansible_collections.sealer.cluster.plugins.module_utils._oci.workers import in_parallel

__all__ = ["Incoming", "Outgoing", "Sent", "fetch", "plan_fetch", "plan_send", "send"]

_Lacking = t.Tuple[Reference, Document, int]
_Shared = t.Tuple[Descriptor, t.List[Reference], t.List[str]]


@dataclass(frozen=True)
class Outgoing:
    """An image on its way out, and what its destination stands for now."""

    source: Reference
    destination: Reference
    tree: Tree
    before: t.Optional[Digest] = None

    @property
    def wanted(self) -> bool:
        """Whether there is something to do."""
        return self.before != self.tree.top.digest


@dataclass(frozen=True)
class Incoming:
    """An image on its way in: what the registry has, and what its name in the store stands for now."""

    source: Reference
    destination: Reference
    there: Descriptor
    before: t.Optional[Digest]
    wanted: bool


@dataclass(frozen=True)
class Sent:
    """How many bytes went over, were mounted from other repositories, or were there."""

    pushed: int = 0
    mounted: int = 0
    reused: int = 0


def plan_send(
    client: RegistryClient,
    layout: Layout,
    names: t.Sequence[str],
    mapping: NameMap,
    incomplete: str,
    parallel: int,
    *,
    whole: bool = False,
) -> t.Tuple[t.List[Outgoing], Destinations]:
    """What is to be sent, and where each name goes; the registries are asked what they have, and nothing else.

    With ``whole``, cluster images are sent themselves, too.
    """
    images = named_images(layout, names, whole)
    places = mapping.destinations({source: entry.digest for source, entry in images.items()})

    def ask(one: t.Tuple[Reference, Reference]) -> Outgoing:
        source, place = one
        there = client.head_manifest(place, mirrors=False)
        return Outgoing(source, place, trees[source], there.digest if there else None)

    taken = _taken(places)
    trees = {source: tree(layout, source, images[source], incomplete) for source, _place in taken}
    return in_parallel(ask, taken, parallel, threading.Event()), places


def send(
    client: RegistryClient, layout: Layout, images: t.Sequence[Outgoing], parallel: int, progress: Progress
) -> Sent:
    """Bring the wanted ones there: all blobs, then documents from the deepest up, then the names."""
    work = _Send(client, layout, images, parallel, progress)
    with layout.session():
        return work.run()


def plan_fetch(
    client: RegistryClient,
    layout: t.Optional[Layout],
    names: t.Sequence[str],
    mapping: NameMap,
    platforms: t.Sequence[Platform],
    parallel: int,
) -> t.Tuple[t.List[Incoming], Destinations]:
    """What is to be fetched under its own name, and where from; an error that tells all that the registries lack."""
    sources = sorted({Reference.parse(name) for name in names}, key=str)
    places = mapping.destinations({source: source.digest for source in sources})
    taken = _taken(places)
    found = in_parallel(lambda one: client.head_manifest(one[1]), taken, parallel, threading.Event())
    lacking = [str(place) for (_source, place), there in zip(taken, found) if there is None]
    if lacking:
        raise OciError(
            f"the registry has no image {', '.join(lacking)}", fix="Correct names and rules, or send them first."
        )
    entries = layout.names() if layout else {}
    result = []
    for (source, place), there in zip(taken, found):
        if there is not None:
            entry = entries.get(str(source))
            here = layout is not None and entry is not None and _is_here(layout, entry, there, platforms)
            result.append(Incoming(source, place, there, entry.digest if entry else None, not here))
    return result, places


def fetch(
    client: RegistryClient,
    layout: Layout,
    images: t.Sequence[Incoming],
    platforms: t.Sequence[Platform],
    parallel: int,
    progress: Progress,
) -> int:
    """Bring the wanted ones into the store; gives the bytes of blobs that were there."""
    wide = max(1, int(parallel**0.5))
    deep = max(1, parallel // wide)

    def bring(image: Incoming) -> int:
        done = pull(client, layout, image.destination, platforms or None, deep, progress, named=image.source)
        return done.stats.bytes_reused

    wanted = [image for image in images if image.wanted]
    return sum(in_parallel(bring, wanted, wide, threading.Event()))


def _taken(places: Destinations) -> t.List[t.Tuple[Reference, Reference]]:
    """Each image with what is asked for and written: its tag where it has one, else its digest."""
    return [
        (source, place.with_tag(place.tag) if place.tag else place)
        for source, place in places.items()
        if place is not None
    ]


def _is_here(layout: Layout, entry: Descriptor, there: Descriptor, platforms: t.Sequence[Platform]) -> bool:
    """Whether the name stands for what the registry has, or for what would be sent there, and all asked is here."""
    if not layout.has(entry.digest):
        return False
    document = layout.read_document(entry)
    if isinstance(document, Index) and document.digest != there.digest:
        document = here_of(layout, document)
    if document.digest != there.digest or layout.missing(entry):
        return False
    return not isinstance(document, Index) or all(
        layout.has(child.digest, child.size)
        for child in document.manifests
        if not platforms or (child.platform and any(child.platform.matches(one) for one in platforms))
    )


class _Send:
    """One run of sending: what it goes through, and what it counts."""

    def __init__(
        self, client: RegistryClient, layout: Layout, images: t.Sequence[Outgoing], parallel: int, progress: Progress
    ) -> None:
        self._client = client
        self._layout = layout
        self._images = images
        self._wanted = [image for image in images if image.wanted]
        self._parallel = parallel
        self._progress = progress
        self._cancel = threading.Event()

    def run(self) -> Sent:
        """Send it all; nothing gets its name before everything below it is there."""
        lacking = self._lacking()
        pushed, mounted = self._send_blobs(self._shared(lacking))
        for depth in range(max((depth for _place, _document, depth in lacking), default=0), 0, -1):
            pushed += self._put_all([(place, document) for place, document, deep in lacking if deep == depth])
        pushed += self._put_all([(image.destination, image.tree.top) for image in self._wanted])
        blobs = {(one.destination.name, blob.digest): blob.size for one in self._images for blob in one.tree.blobs}
        documents = {
            (one.destination.name, document.digest): len(document.raw)
            for one in self._images
            for level in one.tree.levels
            for document in level
        }
        return Sent(pushed, mounted, max(0, sum(blobs.values()) + sum(documents.values()) - pushed - mounted))

    def _lacking(self) -> t.List[_Lacking]:
        """The documents that their repositories lack, each once, with how deep it lies at most."""
        asked: t.Dict[t.Tuple[str, Digest], _Lacking] = {}
        for image in self._wanted:
            for depth, level in enumerate(image.tree.levels):
                for document in level:
                    place = Reference(image.destination.registry, image.destination.repository, digest=document.digest)
                    before = asked.get((place.name, document.digest), (place, document, 0))[2]
                    asked[place.name, document.digest] = (place, document, max(before, depth))

        def lacks(one: _Lacking) -> bool:
            return self._client.head_manifest(one[0], mirrors=False) is None

        documents = list(asked.values())
        answers = in_parallel(lacks, documents, self._parallel, self._cancel)
        return [one for one, answer in zip(documents, answers) if answer]

    def _shared(self, lacking: t.Sequence[_Lacking]) -> t.List[_Shared]:
        """Each blob of each registry with the repositories that it goes to, and one that has it already."""
        holders: t.Dict[t.Tuple[str, Digest], str] = {}
        for image in self._images:
            for blob in [] if image.wanted else image.tree.blobs:
                holders.setdefault((image.destination.registry, blob.digest), image.destination.repository)
        shared: t.Dict[t.Tuple[str, Digest], _Shared] = {}
        for place, document, _depth in lacking:
            for blob in blobs_of([document]):
                key = (place.registry, blob.digest)
                places = shared.setdefault(key, (blob, [], [holders[key]] if key in holders else []))[1]
                if place.repository not in [one.repository for one in places]:
                    places.append(place)
        return list(shared.values())

    def _send_blobs(self, shared: t.Sequence[_Shared]) -> t.Tuple[int, int]:
        """Send each to one repository and mount it from there in the others; gives bytes sent and mounted."""
        size = sum(blob.size * len(places) for blob, places, _holders in shared)
        self._progress.total(size, sum(len(places) for _blob, places, _holders in shared))

        def send_one(one: _Shared) -> t.Dict[str, int]:
            blob, places, holders = one
            counts = {PUSHED: 0, MOUNTED: 0, PRESENT: 0}
            for place in places:
                how = self._client.push_blob(place, blob, self._layout, holders, self._progress, cancel=self._cancel)
                counts[how] += blob.size
                holders = [place.repository]
                self._progress.item(f"{place.name}@{blob.digest}")
            return counts

        ordered = sorted(shared, key=lambda one: -one[0].size)
        done = in_parallel(send_one, ordered, self._parallel, self._cancel)
        return sum(counts[PUSHED] for counts in done), sum(counts[MOUNTED] for counts in done)

    def _put_all(self, documents: t.Sequence[t.Tuple[Reference, Document]]) -> int:
        def put(one: t.Tuple[Reference, Document]) -> int:
            self._client.put_manifest(*one)
            return len(one[1].raw)

        return sum(in_parallel(put, documents, self._parallel, self._cancel))
