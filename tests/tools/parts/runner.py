# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running parts: one after the other, or some at the same time; all of them, whatever fails."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import typing as t

from ansible_collections.sealer.cluster.tests.tools.parts.excerpt import excerpt
from ansible_collections.sealer.cluster.tests.tools.parts.outcome import Counts, Outcome, Result, counted
from ansible_collections.sealer.cluster.tests.tools.parts.plan import ROOT, Part, stages
from ansible_collections.sealer.cluster.tests.tools.parts.table import minutes

SIGN_OF_LIFE_SECONDS = 30.0
LINE_WIDTH = 120


def end_on_signals() -> None:
    """Let SIGTERM and SIGINT end this process by an exception, so that its parts are asked to end, too.

    A process that was started in the background ignores SIGINT, and so would the parts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_told: sys.exit(128 + signal.SIGTERM))


def say(text: str) -> None:
    print(f"==> {text}", flush=True)


@dataclasses.dataclass
class Runner:
    """Runs parts, and keeps their logs and JUnit files.

    directory: for those files; shown: whether a part that runs alone writes to the terminal itself; elsewhere a line
    every half minute says what it is at.
    """

    directory: pathlib.Path
    shown: bool = dataclasses.field(default_factory=sys.stdout.isatty)
    environment: t.Mapping[str, str] = dataclasses.field(default_factory=lambda: os.environ)
    sign_of_life: float = SIGN_OF_LIFE_SECONDS
    _running: set[subprocess.Popen[bytes]] = dataclasses.field(default_factory=set)

    def run(self, parts: t.Sequence[Part]) -> list[Outcome]:
        """What came of each; a part is not run where one that it needs did not pass."""
        outcomes: dict[str, Outcome] = {}
        for stage in stages(parts):
            ready = [part for part in stage if not self._left_out(part, outcomes)]
            with concurrent.futures.ThreadPoolExecutor(len(stage)) as pool:
                shown = self.shown and len(ready) == 1
                try:
                    done = {part.name: pool.submit(self._run, part, shown) for part in ready}
                    concurrent.futures.wait(done.values())
                except BaseException:
                    self._interrupt()
                    raise
            outcomes.update({name: one.result() for name, one in done.items()})
        return [outcomes[part.name] for part in parts]

    def _left_out(self, part: Part, outcomes: dict[str, Outcome]) -> bool:
        missing = [name for name in part.needs if name in outcomes and not outcomes[name].result.good]
        if missing:
            outcomes[part.name] = Outcome(part.name, Result.NOT_RUN, why=f"it needs {', '.join(missing)}")
        elif part.requires and not self.environment.get(part.requires):
            outcomes[part.name] = Outcome(part.name, Result.SKIPPED, why=f"{part.requires} names no program")
        return part.name in outcomes

    def _run(self, part: Part, shown: bool) -> Outcome:
        say(f"{part.name}: {part.what}")
        kept = self.directory / part.name
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        log = kept / "log"
        begun = time.monotonic()
        status = self._wait(part, kept, log, shown)
        seconds = time.monotonic() - begun
        text = log.read_text("utf-8", "replace") if log.exists() else ""
        counts = counted(kept, text)
        if status:
            print(excerpt(text), flush=True)
            say(f"{part.name}: failed after {minutes(seconds)} with exit code {status}; the whole log is {log}")
            counts = dataclasses.replace(counts, failed=max(1, counts.failed))
        else:
            say(f"{part.name}: passed in {minutes(seconds)}{_told(counts)}")
        result = Result.FAILED if status else Result.PASSED
        return Outcome(part.name, result, seconds, counts, notes=self._notes(part))

    def _wait(self, part: Part, kept: pathlib.Path, log: pathlib.Path, shown: bool) -> int:
        """The exit code of a part's command."""
        environment = {
            **self.environment,
            "PYTEST_ADDOPTS": f"{self.environment.get('PYTEST_ADDOPTS', '')} --junitxml={kept}/pytest.xml",
            "SEALER_JUNIT": str(kept),
        }
        command = ["bash", "-euo", "pipefail", "-c", part.run]
        with log.open("wb") as output:
            streams: dict[str, t.Any] = {} if shown else {"stdout": output, "stderr": subprocess.STDOUT}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, **streams)
            self._running.add(process)
            begun = time.monotonic()
            while True:
                try:
                    return process.wait(self.sign_of_life)
                except subprocess.TimeoutExpired:
                    if not shown:
                        say(f"{part.name}: {minutes(time.monotonic() - begun)}: {_last_line(log)}")

    def _notes(self, part: Part) -> tuple[str, ...]:
        return tuple(
            f"{program} was its double, since {variable} names no program"
            for program, variable in part.double.items()
            if not self.environment.get(variable)
        )

    def _interrupt(self) -> None:
        """Let each command end in its own way."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def _told(counts: Counts) -> str:
    skipped = sum(counts.skipped.values())
    return f": {counts.passed} passed" + (f", {skipped} skipped" if skipped else "") if counts.total else ""


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_text("utf-8", "replace").splitlines()
    return next((line.strip()[:LINE_WIDTH] for line in reversed(lines) if line.strip()), "nothing printed so far")
