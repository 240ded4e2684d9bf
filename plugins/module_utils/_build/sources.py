# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where images are looked for, in which order, and what a build asks of a registry.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._build.lock import Lock
from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Document, Pool
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

MISSING, ALWAYS, NEVER = "missing", "always", "never"


class Registry(t.Protocol):
    """What a build asks of registries."""

    def document(self, reference: Reference) -> Document:
        """The document a name stands for, kept nowhere."""

    def blob(self, reference: Reference, descriptor: Descriptor) -> bytes:
        """A small blob, kept nowhere."""

    def open_blob(self, reference: Reference, descriptor: Descriptor) -> t.BinaryIO:
        """A blob of any size to be read once, kept nowhere."""

    def pull_cluster_image(self, layout: Layout, reference: Reference, platform: Platform) -> Descriptor:
        """Bring a cluster image into the store, for one platform."""

    def pull_container_image(
        self, layout: Layout, reference: Reference, platform: Platform, parallel: int
    ) -> Descriptor:
        """Bring a container image into the store, for one platform; answers what the name stands for."""


@dataclass(frozen=True)
class Sources:
    """Everything that decides what a name stands for."""

    pool: Pool
    registry: Registry
    pull: str = MISSING
    frozen: bool = False
    lock: Lock = field(default_factory=Lock)
    parallel: int = 1

    @property
    def asks_first(self) -> bool:
        """Whether registries are asked before lock and store."""
        return self.pull == ALWAYS and not self.frozen


def choose(index: Index, platform: Platform, name: str) -> Descriptor:
    """The manifest for a platform; BuildError when there is none."""
    there = [one for one in index.manifests if one.platform and one.platform.os != "unknown"]
    for one in there:
        if one.platform == platform:
            return one
    for one in there:
        if one.platform and one.platform.matches(platform):
            return one
    told = ", ".join(sorted({str(one.platform) for one in there})) or "no platform"
    raise BuildError(f"{name} is not made for {platform}", why=f"it has {told}")
