# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking one link after the other until one gives an answer.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import logging
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import Asked
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.metrics import Counts
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.failures import (
    decisive,
    is_not_found,
    refused,
    word_for,
)
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.links import PEER, Link

_Result = t.TypeVar("_Result")


class Asking:
    """Asks, and tells metrics and the log what went wrong."""

    def __init__(self, counts: Counts, log: logging.Logger) -> None:
        self._counts = counts
        self._log = log

    def first(self, asked: Asked, links: t.Sequence[Link], ask: t.Callable[[Link], _Result]) -> t.Optional[_Result]:
        """The first answer; None when all say that there is none. Raises Refused when it is not known.

        A peer that has asked the upstream in vain has done so for all peers.
        """
        failures: t.List[t.Tuple[Link, OciError]] = []
        peers_know = False
        for link in links:
            if peers_know and link.kind == PEER and not asked.own:
                continue
            try:
                return ask(link)
            except OciError as error:
                failures.append((link, error))
                if is_not_found(error):
                    peers_know = peers_know or link.kind == PEER
                else:
                    self._counts.failed(link.name, word_for(error))
                    self._log.warning("%s did not give %s: %s", link.name, asked.reference, error)
        told = decisive(failures)
        if told is None:
            return None
        raise refused(told, asked.reference) from told
