# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a cluster: hosts are as they were before it, and what is somebody else's is still there."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.sealer.cluster.tests.lab.lab import Lab, Run, differences


def test_reset_asks_to_be_confirmed(lab: Lab, site: Run) -> None:
    run = lab.play("reset")
    assert run.status != 0
    assert "sealer_reset" in run.text


def test_reset_leaves_the_hosts_as_they_were(lab: Lab, site: Run, before: dict[str, dict[str, t.Any]]) -> None:
    run = lab.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    for host in lab.hosts:
        assert differences(before[host], lab.inventory_of(host)) == []
        assert "foreign" in lab.ssh(host, "iptables-save")
        assert lab.ssh(host, "systemctl is-active foreign.service").strip() == "active"
        assert json.loads(lab.ssh(host, "runc state foreign"))["status"] == "running"


def test_a_second_reset_changes_nothing(lab: Lab, site: Run) -> None:
    run = lab.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    assert run.unchanged, run.text
