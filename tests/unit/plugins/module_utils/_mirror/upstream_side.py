# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The upstream side of a mirror in a test: configuration, links and manifests over registries on the loopback."""

from __future__ import annotations

import logging
import pathlib
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.manifests import Manifests
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.upstreams import Upstreams
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

NAME = "registry.example.com"


class Counted(NoCounts):
    """Remembers what was counted."""

    def __init__(self) -> None:
        self.told: list[tuple[t.Any, ...]] = []

    def fetched(self, upstream: str, kind: str, size: int, seconds: float) -> None:
        assert seconds >= 0
        self.told.append(("fetched", upstream, kind, size))

    def failed(self, upstream: str, why: str) -> None:
        self.told.append(("failed", upstream, why))

    def stale(self, registry: str) -> None:
        self.told.append(("stale", registry))

    def coalesced(self, registry: str) -> None:
        self.told.append(("coalesced", registry))


class Clock:
    """A clock that is set by hand."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def upstream(url: str, *more: str, name: str = NAME, **settings: t.Any) -> dict[str, t.Any]:
    """The configuration of an upstream at these URLs."""
    return {"name": name, "urls": [url, *more], "insecure": True, **settings}


def config(store: pathlib.Path, *upstreams: dict[str, t.Any], **settings: t.Any) -> Config:
    """A mirror's configuration."""
    value = {
        "store": str(store),
        "listen": ["127.0.0.1:0"],
        "instance": "here",
        "pull_through": "configured",
        "upstreams": list(upstreams),
        **settings,
    }
    return Config.parse(value)


def asked(name: str, **how: t.Any) -> Asked:
    """What a client wants of the upstream NAME, or of the registry that it names."""
    return Asked(Reference.parse(name if "." in name.partition("/")[0] else f"{NAME}/{name}"), **how)


class UpstreamSide:
    """Manifests over a store of their own."""

    def __init__(self, store: pathlib.Path, *upstreams: dict[str, t.Any], **settings: t.Any) -> None:
        self.config = config(store, *upstreams, **settings)
        self.layout = Layout.open(str(store), create=True)
        self.upstreams = Upstreams(self.config)
        self.counts = Counted()
        self.clock = Clock()
        self.manifests = Manifests(
            Store(str(store)),
            self.upstreams,
            PulledRecords(self.layout),
            self.counts,
            logging.getLogger("test"),
            negative_ttl=self.config.negative_ttl,
            clock=self.clock,
        )

    def raw(self, name: str, **how: t.Any) -> bytes | None:
        """The bytes of the manifest, None when there is none."""
        found = self.manifests.manifest(asked(name, **how))
        return None if found is None else found.document.raw
