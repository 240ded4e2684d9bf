# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the mirror tells on stderr, which is the journal.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import time
import traceback
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.app import REFERENCE_KEY
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.exchange import REQUEST_ID, Exchange

GUNICORN_IMPORT_ERROR: t.Optional[str] = None

try:
    from gunicorn.glogging import Logger
except ImportError:
    GUNICORN_IMPORT_ERROR = traceback.format_exc()
else:

    class Log(Logger):
        """Plain lines; the journal adds time and process."""

        error_fmt = "%(levelname)s %(message)s"

        def exchange(self, exchange: Exchange, sent: int, complete: bool) -> None:
            """One line a request: who, what, status, bytes, seconds, id. No query and no header is told."""
            environ = exchange.environ
            self.error_log.info(
                "%s %s %s %s %s %dB %.3fs %s%s",
                environ["REMOTE_ADDR"],
                exchange.method,
                exchange.path,
                environ.get(REFERENCE_KEY, "-"),
                exchange.status[:3] or "-",
                sent,
                time.monotonic() - exchange.started,
                environ[REQUEST_ID],
                "" if complete else " broken off",
            )
