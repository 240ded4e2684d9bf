# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal's lock."""

from __future__ import annotations

import fcntl
import os
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
