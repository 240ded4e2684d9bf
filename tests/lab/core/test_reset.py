# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a cluster: hosts are as they were before it, and what is somebody else's is still there."""

from __future__ import annotations

from ansible_collections.sealer.cluster.tests.lab.foreign import (
    put_foreign_into_nodes,
    require_foreign,
    require_foreign_in_nodes,
)
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab, Run


def test_reset_asks_to_be_confirmed(lab: Lab, site: Run) -> None:
    run = lab.play("reset")
    assert run.status != 0
    assert "sealer_reset" in run.text


def test_reset_leaves_the_hosts_as_they_were(lab: Lab, site: Run, before: Inventories) -> None:
    """What somebody else has put into the nodes since is told, and goes on."""
    put_foreign_into_nodes(lab)
    run = lab.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    for kept in ("/var/lib/etcd/foreign/nas: tmpfs", "/var/lib/kubelet/foreign/nas", "CNI network foreign"):
        assert kept in " ".join(run.text.split())
    require_foreign_in_nodes(lab)
    assert lab.changes_since(before) == {}
    require_foreign(lab)


def test_a_second_reset_changes_nothing(lab: Lab, site: Run) -> None:
    run = lab.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    assert run.unchanged, run.text
