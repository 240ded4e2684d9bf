# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The root file system of a cluster image on a host: fetched, unpacked, switched to in one step, and linked.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import host_files
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.extract import Extractor
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Change, Host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_items import (
    DirectoryItem,
    Item,
    LinkItem,
    StateItem,
    told,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import Journal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_steward import Outcome, Steward
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_source import Source
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.tree_removal import remove_tree
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest

OWNER = "rootfs"
DEFAULT_DIRECTORY = "/var/lib/sealer/rootfs"
CURRENT = "current"
_TREE = re.compile(r"[0-9a-f]{64,128}|\.[0-9a-f]{64,128}\.partial")


@dataclass(frozen=True)
class Mapping:
    """The files of one directory of the tree are linked into one directory of the host."""

    inside: str
    outside: str


@dataclass
class RootfsRequest:
    """Which tree is wanted, and how it is to be reached."""

    manifest: Digest
    directory: str = DEFAULT_DIRECTORY
    mappings: t.Sequence[Mapping] = field(default_factory=tuple)

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.manifest.hex)

    @property
    def current(self) -> str:
        return os.path.join(self.directory, CURRENT)


@dataclass(frozen=True)
class RootfsOutcome:
    """What was done, and the links that are there now."""

    outcome: Outcome
    links: t.List[str]


class Rootfs:
    """The tree on one host."""

    def __init__(self, host: Host, journal: Journal, request: RootfsRequest) -> None:
        self._host = host
        self._request = request
        self._fresh_host = not journal.records(OWNER)
        self._steward = Steward(host, journal, OWNER)

    def present(self, source: Source) -> RootfsOutcome:
        """Bring the tree and its links; nothing is switched before everything is there."""
        request, host = self._request, self._host
        if os.path.isdir(host.at(request.path)):
            outcome = self._steward.present(self._items())
        else:
            outcome = Outcome(self._expected())
            if host.check:
                return RootfsOutcome(outcome, [])
            self._bring(source)
        if not host.check:
            self._prune()
        return RootfsOutcome(outcome, [item.name for item in self._links()])

    def _bring(self, source: Source) -> None:
        self._steward.claim([StateItem(self._request.directory)])
        try:
            self._fetch(source)
            self._steward.present(self._items())
        except (SealerError, OSError):
            _discard(self._host.at(self._request.path))
            if self._fresh_host:
                self._steward.absent()
            raise

    def _fetch(self, source: Source) -> None:
        request, host = self._request, self._host
        partial = host.at(os.path.join(request.directory, f".{request.manifest.hex}.partial"))
        _discard(partial)
        manifest = source.manifest(request.manifest)
        os.mkdir(partial, 0o755)
        try:
            extractor = Extractor(partial)
            for layer in manifest.layers:
                extractor.apply(source.blob(layer.digest, layer.size), layer.media_type, f"layer {layer.digest}")
            extractor.finish()
            os.replace(partial, host.at(request.path))
        except OSError as error:
            raise ClusterError("the root file system cannot be unpacked", where=request.path, why=str(error)) from error
        finally:
            _discard(partial)

    def _items(self) -> t.List[Item]:
        request = self._request
        items: t.List[Item] = [StateItem(request.directory), LinkItem(request.current, request.manifest.hex)]
        items += [DirectoryItem(mapping.outside) for mapping in request.mappings if self._names(mapping)]
        return items + list(self._links())

    def _links(self) -> t.List[LinkItem]:
        current = self._request.current
        return [
            LinkItem(f"{mapping.outside}/{name}", f"{current}/{mapping.inside}/{name}", replace=False)
            for mapping in self._request.mappings
            for name in self._names(mapping)
        ]

    def _names(self, mapping: Mapping) -> t.List[str]:
        directory = os.path.join(self._host.at(self._request.path), mapping.inside)
        return [name for name in host_files.listed(directory) if not os.path.isdir(os.path.join(directory, name))]

    def _expected(self) -> t.List[Change]:
        """What is known to change before anything is fetched: the same with and without check mode."""
        request = self._request
        now = host_files.look(self._host.at(request.current))
        then = f"link {request.current} -> {request.manifest.hex}"
        changes = [Change(told(request.current, now), then), Change("", f"directory {request.path}")]
        if now.kind == host_files.ABSENT:
            changes += [Change("", f"links {m.outside}/* -> {request.current}/{m.inside}/*") for m in request.mappings]
        return changes

    def _prune(self) -> None:
        """Remove trees that are not current, and what interrupted runs left of one."""
        directory = self._host.at(self._request.directory)
        for name in host_files.listed(directory):
            if _TREE.fullmatch(name) and name != self._request.manifest.hex:
                for path in remove_tree(os.path.join(directory, name)):
                    self._host.warn(f"{path} is left: it is mounted there")


def _discard(path: str) -> None:
    """Remove what an attempt made, for which there is another error to tell already."""
    with contextlib.suppress(SealerError):
        remove_tree(path)
