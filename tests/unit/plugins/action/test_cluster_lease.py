# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.sealer.cluster.plugins.action import cluster_lease
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.lease import REPLACED
from ansible_collections.sealer.cluster.plugins.plugin_utils import _controller_process

# A host that does not answer, sudo that fails, and a lease that is there.
OTHERS = (255, 1, 0)


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    calls: list[tuple[int, str]] = []
    monkeypatch.setattr(_controller_process, "stop", lambda process, message: calls.append((process, message)))
    return calls


def renewals(*statuses: int) -> cluster_lease._Renewal:
    """A renewal whose commands end so, and that is done as often."""
    left = list(statuses)
    renewal = cluster_lease._Renewal(lambda: {"rc": left.pop(0)}, _controller_process.this_run(os.getpid(), {}))
    for _status in statuses:
        renewal()
    return renewal


def test_a_run_that_has_lost_its_lease_is_stopped(stopped: list[tuple[int, str]]) -> None:
    renewals(0, *[REPLACED] * 4)
    assert [process for process, _message in stopped] == [os.getpid()]
    assert "another run changes this cluster" in stopped[0][1]


@pytest.mark.parametrize("other", OTHERS)
def test_a_run_whose_lease_is_back_or_cannot_be_renewed_goes_on(stopped: list[tuple[int, str]], other: int) -> None:
    renewals(*[REPLACED] * 3, other, *[REPLACED] * 3, other, other, other, other)
    assert stopped == []
