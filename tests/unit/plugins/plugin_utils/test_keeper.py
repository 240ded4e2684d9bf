# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pathlib
import subprocess
import sys
import time

import pytest
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process, _keeper

# The directory that has ansible_collections in it.
ROOT = str(pathlib.Path(_keeper.__file__).parents[5])
# A run that starts a keeper as a worker does, and ends when its input does.
PROGRAM = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process, _keeper
_keeper.REPEAT_SECONDS = 0.1
_keeper.CLEAR_UP_SECONDS = 1
_keeper.Keeper(
    os.getpid(),
    repeat=lambda: eval(sys.argv[4]),
    clear_up=lambda: eval(sys.argv[3]),
).start()
print("started", flush=True)
sys.stdin.read()
"""


def wait_for(path: pathlib.Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not come"
        time.sleep(0.02)


def start(tmp_path: pathlib.Path, clear_up: str, repeat: str = "open('repeated', 'a')") -> subprocess.Popen[bytes]:
    """Paths count from the run's directory, as those in options of SSH do."""
    command = [sys.executable, "-c", PROGRAM, ROOT, str(tmp_path), clear_up, repeat]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdout.readline() == b"started\n"
    return process


@pytest.mark.parametrize("killed", [False, True])
def test_it_repeats_while_the_process_lives_and_clears_up_after_it(tmp_path: pathlib.Path, killed: bool) -> None:
    process = start(tmp_path, "open('cleared', 'w')")
    wait_for(tmp_path / "repeated")
    assert not (tmp_path / "cleared").exists()
    if killed:
        process.kill()
    # Its output is at its end although the keeper is there.
    process.communicate()
    wait_for(tmp_path / "cleared")


def test_a_host_that_is_silent_does_not_keep_it(tmp_path: pathlib.Path) -> None:
    said = "open('process', 'w').write(str(os.getpid()))"
    start(tmp_path, f"({said}, subprocess.run(['sleep', '600']))").communicate()
    wait_for(tmp_path / "process")
    deadline = time.monotonic() + 60
    while not (tmp_path / "process").read_text():
        assert time.monotonic() < deadline, "the keeper does not say its number"
        time.sleep(0.02)
    keeper = int((tmp_path / "process").read_text())
    while _controller_process.started(keeper):
        assert time.monotonic() < deadline, "the keeper does not end"
        time.sleep(0.02)


def test_it_does_one_thing_at_a_time(tmp_path: pathlib.Path) -> None:
    repeat = "(open('repeated', 'w'), subprocess.run(['sleep', '0.5']), open('repeated', 'w').write('ended'))"
    process = start(tmp_path, "os.link('repeated', 'cleared')", repeat)
    wait_for(tmp_path / "repeated")
    process.communicate()
    wait_for(tmp_path / "cleared")
    assert (tmp_path / "cleared").read_text() == "ended"


def test_a_failure_ends_nothing(tmp_path: pathlib.Path) -> None:
    process = start(tmp_path, "1 / 0")
    wait_for(tmp_path / "repeated")
    process.communicate()


def test_the_shortest_lease_is_renewed_twice_before_it_expires() -> None:
    assert _keeper.REPEAT_SECONDS * 2 <= 20
