# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Live progress of long steps, as lines through Ansible's display.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import threading
import time
import typing as t
from dataclasses import dataclass

from ansible import constants
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import merge_hash

ENVIRONMENT_NAME = "SEALER_PROGRESS"
# Workers are forked without a terminal, so this is read when the plugin is loaded, which is before the fork.
ON_TERMINAL = sys.stdout.isatty()
TERMINAL_SECONDS = 2.0
LOG_PERCENT = 10
POLL_SECONDS = 0.25
# Between two lines lies at most half a minute, the wait for the next look at the file included.
LOG_SECONDS = 30.0 - 2 * POLL_SECONDS

Clock = t.Callable[[], float]
Show = t.Callable[[str], None]


@dataclass(frozen=True)
class Snapshot:
    """How far a step is. Totals of 0 are not known (yet)."""

    phase: str
    done: int = 0
    total: int = 0
    items_done: int = 0
    items_total: int = 0
    text: str = ""
    doing: str = ""

    @classmethod
    def from_line(cls, line: bytes) -> t.Optional[Snapshot]:
        """Read one line of a progress file; None for a line that is none (cut off, or written by something else)."""
        try:
            raw = json.loads(line)
            return cls(
                phase=str(raw["phase"]),
                text=str(raw.get("text") or ""),
                doing=str(raw.get("doing") or ""),
                **{name: int(raw.get(name) or 0) for name in ("done", "total", "items_done", "items_total")},
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    @property
    def percent(self) -> int:
        if self.total:
            return min(100, self.done * 100 // self.total)
        return min(100, self.items_done * 100 // self.items_total) if self.items_total else 0


def human_size(count: float) -> str:
    """A number of bytes for people: 1.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def human_time(seconds: float) -> str:
    """A duration for people: 1 min 30 s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def progress_line(prefix: str, now: Snapshot, rate: float, seconds: float = 0.0) -> str:
    """What people read: prefix, phase, bytes, items, rate, and what is being worked on, for ``seconds`` so far."""
    parts = []
    if now.total:
        parts.append(f"{human_size(now.done)} of {human_size(now.total)} ({now.percent} %)")
    elif now.done:
        parts.append(human_size(now.done))
    if now.items_total:
        parts.append(f"{now.items_done} of {now.items_total} items")
    if rate > 0:
        parts.append(f"{human_size(rate)}/s")
    if now.doing:
        parts.append(f"{now.doing} for {human_time(seconds)}" if seconds >= 1 else now.doing)
    elif now.text:
        parts.append(now.text)
    return f"{prefix} {now.phase}: {', '.join(parts) or 'started'}"


class Announcer:
    """Turns many snapshots into few lines: every two seconds on a terminal, every 10 % or half minute elsewhere.

    Where snapshots stay away, the last one is shown again every half minute: long work is not taken for dead.
    """

    def __init__(self, show: Show, prefix: str, *, terminal: bool = ON_TERMINAL, clock: Clock = time.monotonic) -> None:
        self._show = show
        self._prefix = prefix
        self._terminal = terminal
        self._clock = clock
        self._last_time = clock()
        self._silent_since = self._doing_since = self._last_time
        self._last = Snapshot(phase="")
        self._pending = self._last
        self._shown: t.Optional[Snapshot] = None

    def update(self, now: Snapshot) -> None:
        if now.phase != self._last.phase:
            self.finish()
            self._last = Snapshot(phase=now.phase, done=now.done, items_done=now.items_done)
            self._last_time = self._clock()
        if now.doing != self._pending.doing:
            self._doing_since = self._clock()
        self._pending = now
        if self._due(now):
            self._announce(now)

    def tick(self) -> None:
        """Time goes by without a snapshot."""
        news = self._terminal and self._pending != self._last
        due = self._last_time + TERMINAL_SECONDS if news else self._silent_since + LOG_SECONDS
        if self._pending.phase and self._clock() >= due:
            self._announce(self._pending)

    def finish(self) -> None:
        """Show where a phase ended, if it was long enough to be shown at all."""
        if self._shown is not None and self._pending != self._shown:
            self._announce(self._pending)
        self._shown = None

    def _due(self, now: Snapshot) -> bool:
        elapsed = self._clock() - self._last_time
        if elapsed < TERMINAL_SECONDS:
            return False
        if self._terminal:
            return True
        return elapsed >= LOG_SECONDS or now.percent // LOG_PERCENT > self._last.percent // LOG_PERCENT

    def _announce(self, now: Snapshot) -> None:
        moment = self._clock()
        elapsed = moment - self._last_time
        rate = max(0, now.done - self._last.done) / elapsed if elapsed > 0 else 0.0
        self._show(progress_line(self._prefix, now, rate, moment - self._doing_since))
        self._last, self._last_time, self._shown = now, moment, now
        self._silent_since = moment


class ProgressFile:
    """Follows the file that a module writes its progress to, in a thread, and announces what it reads."""

    def __init__(self, announcer: Announcer, directory: t.Optional[str] = None) -> None:
        self._announcer = announcer
        self._directory = directory
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="sealer-progress", daemon=True)
        self.path = ""

    def __enter__(self) -> ProgressFile:
        handle, self.path = tempfile.mkstemp(prefix="sealer-progress-", dir=self._directory)
        self._stream = os.fdopen(handle, "rb")
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()
        self._stream.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _follow(self) -> None:
        rest = b""
        stopping = False
        while not stopping:
            stopping = self._stop.wait(POLL_SECONDS)
            *lines, rest = (rest + self._stream.read()).split(b"\n")
            for line in lines:
                snapshot = Snapshot.from_line(line)
                if snapshot is not None:
                    self._announcer.update(snapshot)
            if not stopping:
                self._announcer.tick()
        self._announcer.finish()


class ProgressAction(ActionBase):
    """Runs the module of the action's own name and shows its progress where module and controller share a disk."""

    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        result = super().run(tmp, task_vars)
        wrap_async = bool(self._task.async_val) and not self._connection.has_native_async
        with contextlib.ExitStack() as stack:
            if not wrap_async and self._progress_can_be_read():
                stack.enter_context(self._progress_shown(task_vars or {}))
            module_result = self._execute_module(task_vars=task_vars, wrap_async=wrap_async)
        if not wrap_async:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        merged: t.Dict[str, t.Any] = merge_hash(result, module_result)
        return merged

    def _progress_can_be_read(self) -> bool:
        return self._connection.transport == "local" and not self._is_become_unprivileged()

    @contextlib.contextmanager
    def _progress_shown(self, task_vars: t.Dict[str, t.Any]) -> t.Iterator[None]:
        announcer = Announcer(Display().display, line_prefix(self._task.action, task_vars))
        environment = self._task.environment
        layers = environment if isinstance(environment, list) else [environment or {}]
        with ProgressFile(announcer, local_tmp()) as progress:
            self._task.environment = [*layers, {ENVIRONMENT_NAME: progress.path}]
            try:
                yield
            finally:
                self._task.environment = environment


def line_prefix(action: str, task_vars: t.Mapping[str, t.Any]) -> str:
    """How each progress line of an action begins: which host, which step."""
    return f"[{task_vars.get('inventory_hostname', 'localhost')}] {action.rpartition('.')[2]}"


def local_tmp() -> str:
    """The controller's temporary directory of this run, which Ansible removes at its end."""
    return str(vars(constants)["DEFAULT_LOCAL_TMP"])
