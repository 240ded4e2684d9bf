# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three control planes of kubeadm: what each knows of the others, and the loss of the first."""

from __future__ import annotations

import json
import re
import subprocess
from functools import partial

from ansible_collections.sealer.cluster.tests.lab.cluster_state import control_planes, members, reached, worker
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


def answers_itself(lab: Lab, host: str) -> bool:
    """Whether a control plane's own API server is ready."""
    return lab.ssh(host, f"{lab.kubectl_command} get --raw /readyz", check=False) == "ok"


def lease_of(lab: Lab, host: str, asked: str) -> str:
    """When the kubelet of a host last said that it is alive; a node counts as ready for a while after that."""
    return str(lab.kubectl(f"get lease {host} --namespace kube-node-lease", asked)["spec"]["renewTime"])


def test_the_first_control_plane_is_lost_and_comes_back(lab: Lab, site: Run, before: Inventories) -> None:
    first, second, _third = control_planes(lab)
    wait_for(partial(reached, lab, worker(lab)), 60)
    running = {pod["metadata"]["name"] for pod in lab.kubectl("get pods")["items"]}
    subprocess.run(["podman", "kill", first], check=True, capture_output=True)
    try:
        for host in (second, worker(lab)):
            wait_for(partial(reached, lab, host), 10)
        pods = lab.kubectl("get pods", second)["items"]
        assert {pod["metadata"]["name"]: pod["status"]["phase"] for pod in pods} == dict.fromkeys(running, "Running")
        last_lease = lease_of(lab, first, second)
    finally:
        subprocess.run(["podman", "start", first], check=True, capture_output=True)
    wait_for(partial(answers_itself, lab, first), 90)
    wait_for(lambda: members(KUBEADM, lab, first) == set(control_planes(lab)), 10)
    wait_for(lambda: lease_of(lab, first, second) > last_lease, 60)
    assert lab.readiness(first) == dict.fromkeys(lab.hosts, "True")
    put_foreign_again(lab, first, before)
