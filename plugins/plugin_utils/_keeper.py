# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process on the controller that does something on a host while another process lives, and clears up after it.

Plugins work in processes that Ctrl-C kills, and that SIGKILL leaves without the run that they belong to. A keeper is
forked from such a worker, belongs to no terminal, and goes on to use the worker's connection.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process

REPEAT_SECONDS = 10.0
LOOK_SECONDS = 0.25
# A host that does not answer any more keeps nobody.
CLEAR_UP_SECONDS = 15.0
MAX_DESCRIPTORS = 4096

Command = t.Callable[[], object]
# What ansible-core tells of a command: rc, stdout and so on.
CommandResult = t.Dict[str, t.Any]


class Keeper:
    """Outlives one process.

    process: the one to watch; clear_up: what is done when it has ended, however it did; repeat: what is done every ten
    seconds before that.
    """

    def __init__(self, process: int, *, clear_up: Command, repeat: t.Optional[Command] = None) -> None:
        self._process = process
        self._began = _controller_process.started(process)
        self._clear_up = clear_up
        self._repeat = repeat

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
        ended = threading.Event()
        # One thread for both: a connection is not for two commands at once.
        working = threading.Thread(target=self._work, args=[ended], daemon=True)
        working.start()
        while _controller_process.is_alive(self._process, self._began) is not False:
            time.sleep(LOOK_SECONDS)
        ended.set()
        working.join(CLEAR_UP_SECONDS)
        # A command that waits for a silent host ends with this process.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)

    def _work(self, ended: threading.Event) -> None:
        while not ended.wait(REPEAT_SECONDS):
            if self._repeat is not None:
                _tried(self._repeat)
        _tried(self._clear_up)


class _Silence:
    """Takes the place of the queue by which a worker shows what it says, and which has gone with the task."""

    def send_display(self, *args: object, **kwargs: object) -> None:
        pass


def on_host(action: ActionBase, command: str, *, become: bool = True) -> t.Callable[[], CommandResult]:
    """What runs a shell command on an action's host, as the user of modules there or as the one who logs in."""

    def run() -> CommandResult:
        Display().set_queue(t.cast(t.Any, _Silence()))
        done: CommandResult = action._low_level_execute_command(command, sudoable=become)
        return done

    return run


def removal_of_files(action: ActionBase) -> Command:
    """What removes the temporary directory that an action has on its host now."""
    shell = action._connection._shell
    return on_host(action, shell.remove(shell.tmpdir, recurse=True), become=False)


def _tried(command: Command) -> None:
    """Once more later is all that can be done about a failure: nobody listens to this process."""
    with contextlib.suppress(Exception):
        command()


def _leave_terminal() -> None:
    """Hold nothing that somebody waits for: whoever reads what the run prints reads until all have closed it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN if number != signal.SIGTERM else signal.SIG_DFL)
    # An object of the caller's that went later would close whatever has its number by then.
    gc.freeze()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.closerange(3, MAX_DESCRIPTORS)
