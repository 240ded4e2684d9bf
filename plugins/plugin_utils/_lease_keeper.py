# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process on the controller that renews a lease for as long as the run is alive, and then ends it.

It is forked from a worker of Ansible, which ends with its task, and goes on to use the worker's connection.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import typing as t

from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process

RENEW_SECONDS = 10.0
LOOK_SECONDS = 0.25
# A host that does not answer any more keeps nobody: its lease expires.
RELEASE_SECONDS = 15.0
MAX_DESCRIPTORS = 4096

Command = t.Callable[[], object]


class LeaseKeeper:
    """Keeps one lease.

    process, began: the run whose lease it is; renew, release: run the commands on the host.
    """

    def __init__(self, process: int, began: str, *, renew: Command, release: Command) -> None:
        self._process = process
        self._began = began
        self._renew = renew
        self._release = release

    def start(self) -> None:
        """Begin in a process of its own, which is no child of the caller's."""
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        # Nothing may go back into the caller's code: its finally blocks and exit handlers are not for this process.
        try:
            os.setsid()
            if os.fork() == 0:
                _leave_terminal()
                self._keep()
        finally:
            os._exit(0)

    def _keep(self) -> None:
        threading.Thread(target=self._renew_always, daemon=True).start()
        while _controller_process.is_alive(self._process, self._began):
            time.sleep(LOOK_SECONDS)
        releasing = threading.Thread(target=_tried, args=[self._release], daemon=True)
        releasing.start()
        releasing.join(RELEASE_SECONDS)
        # A command that waits for a silent host ends with this process.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)

    def _renew_always(self) -> None:
        while True:
            time.sleep(RENEW_SECONDS)
            _tried(self._renew)


def _tried(command: Command) -> None:
    """Once more later is all that can be done about a failure: nobody listens to this process."""
    with contextlib.suppress(Exception):
        command()


def _leave_terminal() -> None:
    """Hold nothing that somebody waits for: whoever reads what the run prints reads until all have closed it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number != signal.SIGTERM else signal.SIG_DFL)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.closerange(3, MAX_DESCRIPTORS)
