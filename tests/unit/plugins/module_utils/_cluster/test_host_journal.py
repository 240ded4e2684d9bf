# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal's lock."""

from __future__ import annotations

import fcntl
import os
import pathlib
import signal
from pathlib import Path

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import host_journal


def test_the_lock_is_the_same_before_and_after_the_journal_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    monkeypatch.setattr(fcntl, "flock", lambda handle, _how: taken.append(os.fstat(handle).st_ino))
    path = tmp_path / "lib/sealer/host.json"
    path.parent.parent.mkdir()
    with host_journal.locked(str(path)):
        path.parent.mkdir()
    with host_journal.locked(str(path)):
        path.parent.rmdir()
    with host_journal.locked(str(path)):
        assert len(taken) == 3
    assert len(set(taken)) == 1


def test_one_run_at_a_time_makes_a_node_of_a_host_and_a_dead_one_holds_nobody(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_journal, "DEFAULT_JOURNAL", str(tmp_path / "sealer" / "host.json"))
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with host_journal.only_run(check=False):
            os.write(tell, b"held")
            signal.pause()
        os._exit(0)
    assert os.read(told, 4) == b"held"
    place = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with host_journal.only_run(check=True):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with host_journal.only_run(check=False):
        pass
