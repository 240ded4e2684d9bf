# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three control planes of kubeadm: what each knows of the others, and the loss of the first."""

from __future__ import annotations

import json
import re
from functools import partial

from ansible_collections.sealer.cluster.tests.lab.cluster_state import (
    control_planes,
    demo_page,
    lost,
    members,
    reached,
    worker,
)
from ansible_collections.sealer.cluster.tests.lab.foreign import put_foreign_again
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab, Run, wait_for
from ansible_collections.sealer.cluster.tests.lab.runtimes import KUBEADM


def test_all_know_of_each_other(lab: Lab, site: Run) -> None:
    for host in control_planes(lab):
        assert lab.readiness(host) == dict.fromkeys(lab.hosts, "True")
        assert members(KUBEADM, lab, host) == set(control_planes(lab))
        state = json.loads(lab.ssh(host, "cat /etc/sealer/cluster.json"))
        assert state["runtime"]["name"] == KUBEADM.name
        assert {member["name"]: member["role"] for member in state["members"]} == {
            name: "control_plane" if "-cp" in name else "worker" for name in lab.hosts
        }


def test_control_planes_joined_one_at_a_time(lab: Lab, site: Run) -> None:
    joins = site.text.partition("PLAY [Join the other control planes]")[2].partition("PLAY [Join the workers]")[0]
    assert joins.count("PLAY [Join the other control planes]") == 1
    first_batch = joins.partition("PLAY [Join the other control planes]")[0]
    assert not re.search(rf"^\w+: \[{control_planes(lab)[2]}", first_batch, re.MULTILINE)


def test_the_first_control_plane_is_lost_and_comes_back(lab: Lab, site: Run, before: Inventories) -> None:
    first, second, _third = control_planes(lab)
    wait_for(partial(reached, lab, worker(lab)), 60)
    with lost(lab, first, second):
        for host in (second, worker(lab)):
            wait_for(partial(reached, lab, host), 10)
        assert "cluster image" in demo_page(lab, worker(lab), second)
    wait_for(lambda: members(KUBEADM, lab, first) == set(control_planes(lab)), 10)
    wait_for(lambda: lab.readiness(first) == dict.fromkeys(lab.hosts, "True"), 90)
    put_foreign_again(lab, first, before)
