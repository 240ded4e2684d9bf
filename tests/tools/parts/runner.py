# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running parts: one after the other, or some at the same time; all of them, whatever fails."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t

from ansible_collections.sealer.cluster.tests.tools.parts.excerpt import excerpt
from ansible_collections.sealer.cluster.tests.tools.parts.outcome import (
    Counts,
    Outcome,
    Result,
    UnreadableResults,
    counted,
)
from ansible_collections.sealer.cluster.tests.tools.parts.plan import ROOT, Part, stages
from ansible_collections.sealer.cluster.tests.tools.parts.table import minutes

SIGN_OF_LIFE_SECONDS = 30.0
FOLLOW_SECONDS = 0.25
LINE_WIDTH = 120
LAST_BYTES = 1 << 16


class CannotRun(Exception):
    """Why a part cannot be started."""


def end_on_signals() -> None:
    """Let SIGTERM and SIGINT end a run by an exception, so that its parts are asked to end, too.

    A process that was started in the background ignores SIGINT, and so would the parts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_told: sys.exit(128 + signal.SIGTERM))


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


@dataclasses.dataclass
class Runner:
    """Runs parts, and keeps their logs and JUnit files.

    directory: for those files; shown: whether what a part that runs alone prints is shown at once; else a line every
    half minute says what it is at.
    """

    directory: pathlib.Path
    shown: bool = dataclasses.field(default_factory=sys.stdout.isatty)
    environment: t.Mapping[str, str] = dataclasses.field(default_factory=lambda: os.environ)
    sign_of_life: float = SIGN_OF_LIFE_SECONDS
    _running: list[subprocess.Popen[bytes]] = dataclasses.field(default_factory=list)
    _stopping: bool = False
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def run(self, parts: t.Sequence[Part]) -> list[Outcome]:
        """What came of each, also where an interrupt ended the run: the rest is not run then."""
        outcomes: dict[str, Outcome] = {}
        for stage in stages(parts):
            ready = [part for part in stage if not self._left_out(part, outcomes)]
            shown = self.shown and len(ready) == 1
            with concurrent.futures.ThreadPoolExecutor(len(stage)) as pool:
                running = {part.name: pool.submit(self._run, part, shown) for part in ready}
                try:
                    concurrent.futures.wait(running.values())
                except (KeyboardInterrupt, SystemExit):
                    self._stop()
                outcomes.update({name: one.result() for name, one in running.items()})
        return [outcomes[part.name] for part in parts]

    def _left_out(self, part: Part, outcomes: dict[str, Outcome]) -> bool:
        missing = [name for name in part.needs if name in outcomes and outcomes[name].result is not Result.PASSED]
        if self._stopping:
            outcomes[part.name] = Outcome.not_run(part.name, "the run was interrupted")
        elif part.requires and not self.environment.get(part.requires, "").strip():
            outcomes[part.name] = Outcome.skipped(part.name, f"{part.requires} names no program")
        elif missing and all(outcomes[name].result is Result.SKIPPED for name in missing):
            outcomes[part.name] = Outcome.skipped(part.name, f"it needs {', '.join(missing)}")
        elif missing:
            outcomes[part.name] = Outcome.not_run(part.name, f"it needs {', '.join(missing)}")
        return part.name in outcomes

    def _run(self, part: Part, shown: bool) -> Outcome:
        """One part; whatever goes wrong with it is told in its outcome, and the others go on."""
        say(f"{part.name}: {part.what}")
        begun = time.monotonic()
        kept = self.directory / part.name
        counts, why, log = Counts(failed=1), "", ""
        try:
            with self._kept_alone(kept):
                status = self._wait(part, kept, shown)
                log = (kept / "log").read_text("utf-8", "replace")
                why = f"exit code {status}" if status else ""
                counts = counted(kept, log, passed=status == 0)
        except (CannotRun, UnreadableResults, OSError) as error:
            why = str(error)
        seconds = time.monotonic() - begun
        if counts.failed:
            print(excerpt(log), flush=True)
            say(f"{part.name}: failed after {minutes(seconds)}{f': {why}' if why else ''}; the whole log is {kept}/log")
        else:
            say(f"{part.name}: passed in {minutes(seconds)}{_told(counts)}")
        result = Result.FAILED if counts.failed else Result.PASSED
        return Outcome(part.name, result, seconds, counts, why, notes=self._notes(part))

    @contextlib.contextmanager
    def _kept_alone(self, kept: pathlib.Path) -> t.Iterator[None]:
        """An empty directory for the files of a part, which no other run uses meanwhile."""
        kept.parent.mkdir(parents=True, exist_ok=True)
        with (kept.parent / f"{kept.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CannotRun("another run of this part is going on; wait for its end") from error
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(exist_ok=True)
            yield

    def _wait(self, part: Part, kept: pathlib.Path, shown: bool) -> int:
        """The exit code of a part's command."""
        process, begun = self._start(part, kept), time.monotonic()
        with (kept / "log").open("rb") as printed:
            while True:
                try:
                    return process.wait(FOLLOW_SECONDS if shown else self.sign_of_life)
                except subprocess.TimeoutExpired:
                    if not shown:
                        say(f"{part.name}: {minutes(time.monotonic() - begun)}: {_last_line(printed)}")
                finally:
                    if shown:
                        sys.stdout.buffer.write(printed.read())
                        sys.stdout.flush()

    def _start(self, part: Part, kept: pathlib.Path) -> subprocess.Popen[bytes]:
        """The process of a part's command, which has a group of its own, so that all of it can be interrupted."""
        options = f"{self.environment.get('PYTEST_ADDOPTS', '')} --junitxml={shlex.quote(f'{kept}/pytest.xml')}"
        environment = {**self.environment, "PYTEST_ADDOPTS": options, "SEALER_JUNIT": str(kept)}
        with self._lock, (kept / "log").open("wb") as output:
            if self._stopping:
                raise CannotRun("the run was interrupted")
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", part.run],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.append(process)
        return process

    def _notes(self, part: Part) -> tuple[str, ...]:
        return tuple(
            f"{program} was its double, since {variable} names no program"
            for program, variable in part.double.items()
            if not self.environment.get(variable, "").strip()
        )

    def _stop(self) -> None:
        """Start nothing more, and let what runs take itself down, as Ctrl-C would."""
        with self._lock:
            self._stopping = True
            for process in self._running:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGINT)


def _told(counts: Counts) -> str:
    skipped = sum(counts.skipped.values())
    return f": {counts.passed} passed" + (f", {skipped} skipped" if skipped else "") if counts.total else ""


def _last_line(log: t.BinaryIO) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_BYTES))
    lines = log.read().decode("utf-8", "replace").splitlines()
    return next((line.strip()[:LINE_WIDTH] for line in reversed(lines) if line.strip()), "nothing printed so far")
