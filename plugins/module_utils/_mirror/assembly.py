# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All of a mirror's parts over one store: serving it, pulling through into it, keeping it in order.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import logging
import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.app import Application
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.compose import application
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.config import OFF, Config
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping import housekeeping
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts, NoCounts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.pull_through import open_pull_through
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_cache import PULLED, PulledRecords

SWEEP_SECONDS = 24 * 3600.0


def assemble(config: Config, log: logging.Logger, counts: t.Optional[Counts] = None) -> Application:
    """The application with all that belongs to it; in each process, made after it was forked."""
    store = Store(config.store, config.name)
    told = counts or NoCounts()
    if not pulls_through(config):
        closing = []
        if os.access(config.store, os.W_OK) and (Layout.exists(config.store) or not os.listdir(config.store)):
            layout = Layout.open(config.store, create=True)
            closing = [housekeeping.start(config, layout, PulledRecords(layout), told, log).stop]
        return application(config, log, store=store, counts=counts, closing=closing)
    layout = Layout.open(config.store, create=True)
    records = PulledRecords(layout)
    evictor = housekeeping.evictor_of(config, layout, records, told)
    farther = open_pull_through(config, store, layout, records, told, log, evictor)
    sweep = housekeeping.Chore("forgetting tags", SWEEP_SECONDS, farther.sweep)
    keeper = housekeeping.start(config, layout, records, told, log, [sweep])
    return application(config, log, store=store, farther=farther, counts=counts, closing=[keeper.stop])


def pulls_through(config: Config) -> bool:
    """Whether there is anybody to ask, or was: what was pulled through is served when it is switched off, too."""
    asks = config.pull_through != OFF or bool(config.parents or config.peers)
    return asks or os.path.isdir(os.path.join(config.store, PULLED))
