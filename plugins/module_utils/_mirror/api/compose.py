# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The application as a configuration wants it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import logging
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import Access
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.app import Application, Parts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.listing import Discovery, Lister
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.push import Push
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.route import Router, Site
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Source, StoreSource
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts


class Farther(Source, Lister, t.Protocol):
    """The source of what is not in the store, see pull_through.PullThrough."""

    def close(self) -> None:
        """End what it does."""


def site_of(config: Config) -> Site:
    """The names that requests reach the mirror by."""
    return Site(config.name, config.own_names, frozenset(upstream.name for upstream in config.upstreams))


def application(
    config: Config,
    log: logging.Logger,
    *,
    store: t.Optional[Store] = None,
    farther: t.Optional[Farther] = None,
    counts: t.Optional[Counts] = None,
    closing: t.Sequence[t.Callable[[], None]] = (),
) -> Application:
    """The whole application; one in each process. ``farther`` is absent where only the store is served."""
    store = store or Store(config.store, config.name)
    router = Router(site_of(config))
    near: t.List[Source] = [StoreSource(store)]
    sources = near if farther is None else [*near, farther]
    return Application(
        sources,
        log,
        Parts(
            router=router,
            access=Access(config.users_file, config.anonymous_pull, log),
            push=Push(store, router),
            discovery=Discovery(store, sources, farther),
            counts=counts if config.metrics else None,
            closing=closing if farther is None else [farther.close, *closing],
            shares_own=bool(config.peers or config.parents),
        ),
    )
