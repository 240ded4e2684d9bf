# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process of gunicorn's that serves with our loop.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
import traceback
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.connection import Service
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.exchange import Exchange, Heads
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.loop import Loop

GUNICORN_IMPORT_ERROR: t.Optional[str] = None

DESCRIPTORS_KEPT = 512
"""Descriptors that are not for clients: blobs that are being sent, upstreams, the program's own."""

try:
    from gunicorn.workers.base import Worker as BaseWorker
except ImportError:
    GUNICORN_IMPORT_ERROR = traceback.format_exc()
else:

    class Worker(BaseWorker):
        """Gunicorn gives sockets, settings and signals; ``app`` is server.Server."""

        _loop: t.Optional[Loop] = None

        def __init__(self, *arguments: t.Any) -> None:
            """In the main process, before it is forked: from now on it has to tell that it lives, or is killed."""
            super().__init__(*arguments)
            self.notify()
            self._born = self.tmp.last_update()

        @property
        def serves(self) -> bool:
            """Whether it has told since that it lives, which it does when it begins to serve; for the main process."""
            return bool(self.tmp.last_update() != self._born)

        def init_signals(self) -> None:
            """Take signals, also those that came before, see main_process.Main.spawn_worker."""
            super().init_signals()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

        def run(self) -> None:
            """Serve until told to end."""
            service = Service(
                self.wsgi, Heads(self.cfg), self.app.tls, self.log.error_log, self._told, lambda: self.alive
            )
            self.app.share.enter(self.age)
            loop = self._loop = Loop(self.sockets, service, self.cfg.threads, most_connections(), self.app.share)
            loop.start()
            self.notify()
            while self.alive and self.ppid == os.getppid():
                if loop.watch():
                    self.notify()
            self.alive = False
            loop.drain(self.cfg.graceful_timeout - 1, self.notify)
            getattr(self.wsgi, "close", lambda: None)()

        def handle_exit(self, sig: int, frame: t.Any) -> None:
            """End when what runs has ended."""
            super().handle_exit(sig, frame)
            if self._loop is not None:
                self._loop.stir()

        def _told(self, exchange: Exchange, sent: int, complete: bool) -> None:
            self.app.counts.request(exchange.method, exchange.status[:3] or "-", time.monotonic() - exchange.started)
            if self.cfg.accesslog:
                self.log.exchange(exchange, sent, complete)


def most_connections() -> int:
    """How many clients a process can hold, after it has asked for as many descriptors as it may have."""
    allowed, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed < hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            allowed = hard
    return max(allowed // 2, allowed - DESCRIPTORS_KEPT)
