# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gunicorn's main process, which becomes a new program without letting go of its sockets.

Private to the collection: may change at any time.

SIGHUP reloads: where the program on disk finds its configuration and certificate good, the main process executes it, in
place: same process id, same listening sockets. Workers of before go on until the new ones serve, then finish what they
are at. So there is one way for a new configuration, a new certificate and a new program.
"""

from __future__ import annotations

import fcntl
import math
import os
import signal
import subprocess
import time
import traceback
import typing as t

GUNICORN_IMPORT_ERROR: t.Optional[str] = None

CHECK = "--check"
CHECK_SECONDS = 20
FORMER = "SEALER_MIRROR_FORMER_WORKERS"
_FIRST_DESCRIPTOR = 3
_LAST_SECONDS = 5

try:
    from gunicorn import systemd
    from gunicorn.arbiter import Arbiter
except ImportError:
    GUNICORN_IMPORT_ERROR = traceback.format_exc()
else:

    class Main(Arbiter):
        """Makes workers, and replaces itself."""

        log: t.Any

        def __init__(self, app: t.Any) -> None:
            self._former: t.Dict[int, float] = {int(pid): math.inf for pid in os.environ.pop(FORMER, "").split()}
            super().__init__(app)

        def manage_workers(self) -> None:
            """Keep as many workers as there should be; those of before the reload end once the new ones serve."""
            super().manage_workers()
            if self._former:
                self._end_former(time.monotonic())

        def _end_former(self, now: float) -> None:
            """Tell the workers of before to end, and kill those that do not: nobody else watches them."""
            workers = list(self.WORKERS.values())
            if len(workers) < self.num_workers or not all(worker.serves for worker in workers):
                return
            self._former = {pid: until for pid, until in self._former.items() if _is_child(pid)}
            for pid, until in self._former.items():
                if until == math.inf:
                    os.kill(pid, signal.SIGTERM)
                    self._former[pid] = now + self.cfg.graceful_timeout + _LAST_SECONDS
                elif now > until:
                    self.log.critical("worker %s of before the reload does not end: it is killed", pid)
                    os.kill(pid, signal.SIGKILL)

        def spawn_worker(self) -> t.Any:
            """Make a worker. Signals wait until it takes them, as this process' handlers would lose them."""
            signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)
            try:
                return super().spawn_worker()
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

        def handle_hup(self) -> None:
            """Reload."""
            systemd.sd_notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", self.log)
            command = _own_command()
            if self._is_good(command):
                self._become(command)
            systemd.sd_notify("READY=1", self.log)

        def init_signals(self) -> None:
            """Take signals, also those that came while the program was loaded."""
            super().init_signals()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, self.SIGNALS)

        def handle_usr2(self) -> None:
            """Reload: gunicorn's own way would have two main processes, of which systemd knows one."""
            self.handle_hup()

        def stop(self, graceful: bool = True) -> None:
            """End the workers."""
            systemd.sd_notify("STOPPING=1", self.log)
            super().stop(graceful)

        def _is_good(self, command: t.List[str]) -> bool:
            """Whether the program on disk starts with the configuration on disk."""
            # gunicorn's handler would take the result away
            before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                done = subprocess.run([*command, CHECK], timeout=CHECK_SECONDS, check=False)
                good = done.returncode == 0
            except (OSError, subprocess.TimeoutExpired) as error:
                self.log.error("cannot try the new program: %s", error)
                good = False
            finally:
                signal.signal(signal.SIGCHLD, before)
            self.reap_workers()
            if not good:
                self.log.error("not reloaded: the configuration or the program on disk cannot be used")
            return good

        def _become(self, command: t.List[str]) -> None:
            self.log.info("Reloading: %s", " ".join(command))
            environ = dict(os.environ, **{FORMER: " ".join(map(str, [*self.WORKERS, *self._former]))})
            environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(self.LISTENERS)))
            _hand_over([listener.fileno() for listener in self.LISTENERS])
            # Signals would end the program before it takes them again: they wait, and so do those not looked at yet.
            signal.pthread_sigmask(signal.SIG_BLOCK, self.SIGNALS)
            for waiting in self.SIG_QUEUE:
                os.kill(os.getpid(), waiting)
            os.execve(command[0], command, environ)


def _own_command() -> t.List[str]:
    """How this process was started, with the interpreter's options."""
    with open("/proc/self/cmdline", "rb") as stream:
        words = stream.read().split(b"\0")[:-1]
    return [os.readlink("/proc/self/exe"), *map(os.fsdecode, words[1:])]


def _hand_over(sockets: t.Sequence[int]) -> None:
    """Put these where a new program looks for sockets that it is given."""
    above = _FIRST_DESCRIPTOR + len(sockets)
    copies = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, above) for one in sockets]
    for place, copy in enumerate(copies, _FIRST_DESCRIPTOR):
        os.dup2(copy, place, inheritable=True)


def _is_child(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stream:
            return int(stream.read().rpartition(")")[2].split()[1]) == os.getpid()
    except OSError:
        return False
