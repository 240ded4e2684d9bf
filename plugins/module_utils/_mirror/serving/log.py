# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the mirror tells on stderr, which is the journal.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import time
import traceback
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.exchange import Exchange

_STDERR = 2

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
            """One line a request: who, what, status, bytes, seconds, id. No query and no header is told.

            Past Python's logging, which would take a tenth of all the time that a manifest takes.
            """
            took = time.monotonic() - exchange.started
            line = (
                f"INFO {exchange.peer[0]} {exchange.method} {exchange.path} {exchange.reference}"
                f" {exchange.status[:3] or '-'} {sent}B {took:.3f}s {exchange.request_id}"
                f"{'' if complete else ' broken off'}\n"
            )
            with contextlib.suppress(OSError):
                os.write(_STDERR, line.encode("utf-8", "replace"))
