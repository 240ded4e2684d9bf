# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The source of what is not here: others' registries and other mirrors.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import logging
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked, Content, Found
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.failures import is_not_found, refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.fetch import Fetches
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.leading import Room
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import Listing
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.manifests import Manifests
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.upstreams import Upstreams
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PulledRecords


def open_pull_through(
    config: Config,
    store: Store,
    layout: Layout,
    records: PulledRecords,
    counts: Counts,
    log: logging.Logger,
    room: t.Optional[Room] = None,
) -> PullThrough:
    """The source as a configuration wants it; one in each process, made after the process was forked.

    Where nobody may be asked it serves the tags that were pulled through before, marked stale after their time.
    """
    upstreams = Upstreams(config)
    manifests = Manifests(store, upstreams, records, counts, log, negative_ttl=config.negative_ttl)
    fetches = Fetches(layout, upstreams, records, counts, room, log)
    return PullThrough(upstreams, manifests, fetches, log)


class Blobs(t.Protocol):
    """Fetches blobs, see fetch.py."""

    def blob(self, asked: Asked) -> t.Optional[Content]:
        """The blob, as soon as its size is known; None when nobody has it."""


class PullThrough:
    """Asks others. A request that came through this mirror before is a miss: nobody behind it can know more."""

    def __init__(self, upstreams: Upstreams, manifests: Manifests, blobs: Blobs, log: logging.Logger) -> None:
        self._upstreams = upstreams
        self._manifests = manifests
        self._blobs = blobs
        self._log = log

    def manifest(self, asked: Asked) -> t.Optional[Found]:
        """The manifest, None when it is nowhere. Raises Refused."""
        self._tell_loop(asked)
        return self._manifests.manifest(asked)

    def blob(self, asked: Asked) -> t.Optional[Content]:
        """The blob, None when it is nowhere. Raises Refused."""
        if self._tell_loop(asked):
            return None
        try:
            return self._blobs.blob(asked)
        except OciError as error:
            if is_not_found(error):
                return None
            raise refused(error, asked.reference) from error

    def listing(self, asked: Asked, path: str, query: t.Sequence[t.Tuple[str, str]]) -> t.Optional[Listing]:
        """What the upstream tells at ``tags/list`` or ``referrers/<digest>`` of a repository. Raises Refused."""
        return None if self._tell_loop(asked) else self._manifests.listing(asked, path, query)

    def status(self) -> t.Dict[str, t.Any]:
        """Whom it may ask, and who does not answer."""
        return {"source": "pull-through", "upstreams": self._upstreams.status()}

    def sweep(self) -> int:
        """Forget the tags whose manifests are gone; answers how many."""
        return self._manifests.sweep()

    def close(self) -> None:
        """Close idle connections."""
        self._upstreams.close()

    def _tell_loop(self, asked: Asked) -> bool:
        if not self._upstreams.is_loop(asked):
            return False
        self._log.warning("%s was asked for in a circle: %s", asked.reference, ", ".join(asked.via))
        return True
