# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Places to fetch blobs from that do as told, and readers."""

from __future__ import annotations

import dataclasses
import threading
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Content
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts, NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.fetch import Fetches
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.growing import Growing
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.leading import Room
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import UPSTREAM, Link
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import RegistryError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

PATIENCE = 20.0
NAME = "quay.io/t/app"


def asked_for(data: bytes, name: str = NAME, algorithm: str = "sha256") -> Asked:
    return Asked(Reference.parse(f"{name}@{Digest.of(data, algorithm)}"))


@dataclasses.dataclass
class Turn:
    """How one request goes. Bytes come up to each stop, which waits for its event.

    start: where the answer begins, None: where it was asked to.
    """

    data: bytes = b""
    error: RegistryError | None = None
    cut: int | None = None
    start: int | None = None
    tells_size: bool = True
    size: int | None = None
    stops: dict[int, threading.Event] = dataclasses.field(default_factory=dict)
    piece: int = 1000


class FakeStream:
    def __init__(self, turn: Turn, offset: int) -> None:
        self._turn = turn
        self.start = offset if turn.start is None else turn.start
        self.size = (len(turn.data) if turn.size is None else turn.size) if turn.tells_size else None
        self._at = self.start
        self.closed = False

    def read(self, size: int) -> bytes:
        turn = self._turn
        if turn.cut is not None and self._at >= turn.cut:
            raise RegistryError("broke", why="the connection broke", temporary=True)
        if self._at in turn.stops:
            assert turn.stops[self._at].wait(PATIENCE)
        ends = [end for end in [self._at + min(size, turn.piece), turn.cut, *turn.stops] if end and end > self._at]
        data = turn.data[self._at : min(ends)]
        self._at += len(data)
        return data

    def close(self) -> None:
        self.closed = True


class FakeLink:
    """Requests go as its turns say, the last of them again and again."""

    def __init__(self, *turns: Turn, name: str = "up", kind: str = UPSTREAM) -> None:
        self.name = name
        self.url = f"https://{name}"
        self.kind = kind
        self.turns = list(turns)
        self.offsets: list[int] = []
        self.streams: list[FakeStream] = []

    def open_blob(self, reference: Reference, offset: int = 0) -> FakeStream:
        turn = self.turns[min(len(self.offsets), len(self.turns) - 1)]
        self.offsets.append(offset)
        if turn.error is not None:
            raise turn.error
        self.streams.append(FakeStream(turn, offset))
        return self.streams[-1]


class FakeUpstreams:
    """Gives the same links to everybody, or those of a repository."""

    def __init__(self, *links: FakeLink, of: dict[str, list[FakeLink]] | None = None) -> None:
        self.all = list(links)
        self.of = of or {}

    def links(self, asked: Asked) -> list[Link]:
        return t.cast("list[Link]", self.of.get(asked.reference.name, self.all))


def service(
    layout: Layout,
    *links: FakeLink,
    of: dict[str, list[FakeLink]] | None = None,
    metrics: Counts | None = None,
    room: Room | None = None,
) -> Fetches:
    """One process's fetches of a store; several on one store behave as several processes."""
    return Fetches(layout, FakeUpstreams(*links, of=of), PulledRecords(layout), metrics or NoCounts(), room)


def read_all(content: Content, start: int = 0, length: int | None = None, step: int = 1 << 20) -> bytes:
    """The bytes, as a server reads them that blocks."""
    end = content.size if length is None else start + length
    parts = []
    at = start
    while at < end:
        data = content.read_at(at, min(step, end - at))
        if data is None:
            assert content.wait(at, PATIENCE), f"nothing comes at {at}"
            continue
        assert data, f"ends at {at}"
        parts.append(data)
        at += len(data)
    return b"".join(parts)


def pull(fetches: Fetches, data: bytes, name: str = NAME) -> bytes:
    content = fetches.blob(asked_for(data, name))
    assert content is not None
    try:
        return read_all(content)
    finally:
        content.close()


def settle(fetches: Fetches) -> None:
    """Wait until no thread of it leads."""
    for fetch in list(fetches._fetches.values()):
        _await_end(fetch.growing)


def _await_end(growing: Growing) -> None:
    assert growing.wait(lambda: not growing.leading, PATIENCE)
