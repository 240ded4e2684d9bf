# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run all integration targets, those of one shard beside those of another, and say how long each took.

A line of a target's aliases names its shard, as ``shard/1``. The command that runs the targets of one is given as
arguments, and gets ``--continue-on-error shard/1/`` besides. Where SEALER_JUNIT names a directory, a JUnit file there
has a test case for each target.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import typing as t
import xml.etree.ElementTree as ET

TARGETS = pathlib.Path(__file__).resolve().parents[1] / "integration/targets"
SHARD = re.compile(r"shard/\w+")
_RUNNING = re.compile(r"Running (\S+) integration test (?:role|script)")
_FAILED = 'ERROR: Command "'
_SKIPPED = re.compile(r'"msg": "SKIPPED: (.*)"')


@dataclasses.dataclass
class Target:
    """What came of a target; skipped: the reasons for which it left cases out."""

    name: str
    begun: float
    seconds: float = 0.0
    failed: bool = False
    skipped: list[str] = dataclasses.field(default_factory=list)

    def __str__(self) -> str:
        said = [f"==> {'FAILED ' if self.failed else ''}{self.name}: {self.seconds:.0f} s"]
        return "\n".join([*said, *(f"==> {self.name}: skipped: {reason}" for reason in self.skipped)])


@dataclasses.dataclass
class Shard:
    """The targets of one shard, run one after the other."""

    name: str
    command: t.Sequence[str]
    lines: list[str] = dataclasses.field(default_factory=list)
    targets: list[Target] = dataclasses.field(default_factory=list)
    process: t.Optional[subprocess.Popen[str]] = None

    def run(self) -> bool:
        """Whether all targets passed; says which one is running, and everything else in the end."""
        self.process = subprocess.Popen(
            [*self.command, "--continue-on-error", f"{self.name}/"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # An interrupt is handed on to the whole group.
            start_new_session=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            self._take(self.lines[-1], time.monotonic())
        passed = self.process.wait() == 0
        self._end(time.monotonic())
        if not passed and not any(target.failed for target in self.targets):
            last = self.targets[-1] if self.targets else self._begin(self.name, time.monotonic())
            last.failed = True
        return passed

    def _take(self, line: str, now: float) -> None:
        running, skipped = _RUNNING.match(line), _SKIPPED.search(line)
        if running:
            self._end(now)
            self._begin(running[1], now)
            print(f"{self.name}: {running[1]}", flush=True)
        elif self.targets and line.startswith(_FAILED):
            self.targets[-1].failed = True
        elif self.targets and skipped:
            self.targets[-1].skipped.append(skipped[1])

    def _begin(self, name: str, now: float) -> Target:
        self.targets.append(Target(name, now))
        return self.targets[-1]

    def _end(self, now: float) -> None:
        if self.targets:
            self.targets[-1].seconds = now - self.targets[-1].begun

    def interrupt(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)


def shards_of(target: pathlib.Path) -> list[str]:
    """The shards that a target's aliases name."""
    return [line for line in (target / "aliases").read_text().splitlines() if SHARD.fullmatch(line)]


def run(shards: t.Sequence[Shard]) -> bool:
    """Whether all passed, once all have ended; prints what each said as it ends."""
    with concurrent.futures.ThreadPoolExecutor(len(shards)) as pool:
        try:
            running = {pool.submit(shard.run): shard for shard in shards}
            for ended in concurrent.futures.as_completed(running):
                print("\n".join([f"--- {running[ended].name}", *running[ended].lines]), flush=True)
        except BaseException:
            for shard in shards:
                shard.interrupt()
            raise
    return all(one.result() for one in running)


def write_junit(targets: t.Sequence[Target], path: pathlib.Path) -> None:
    """A test case for each target, and one for each reason for which something was left out."""
    suite = ET.Element("testsuite", name="integration")
    for target in targets:
        case = ET.SubElement(suite, "testcase", name=target.name, time=f"{target.seconds:.1f}")
        if target.failed:
            ET.SubElement(case, "failure", message=f"the target {target.name} failed")
        for reason in target.skipped:
            left_out = ET.SubElement(suite, "testcase", name=target.name, time="0")
            ET.SubElement(left_out, "skipped", message=reason)
    ET.ElementTree(suite).write(path, encoding="unicode")


def main(command: t.Sequence[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_told: sys.exit(143))
    names = sorted({name for target in TARGETS.iterdir() for name in shards_of(target)})
    shards = [Shard(name, command) for name in names]
    passed = run(shards)
    targets = sorted((target for shard in shards for target in shard.targets), key=lambda target: target.failed)
    print("\n".join(map(str, targets)))
    if os.environ.get("SEALER_JUNIT"):
        write_junit(targets, pathlib.Path(os.environ["SEALER_JUNIT"]) / "integration.xml")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
