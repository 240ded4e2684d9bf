# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are cut off at any task, and what the next run makes of it: a cluster, or bare hosts.

Each run is cut off somewhat later than the one before it, a random while after the beginning of a task, by Ctrl-C and
by SIGKILL in turn. SEALER_CUTS says how often; 200 is once at each task. k3s and k0s are their doubles, unless
SEALER_K3S_BINARY and SEALER_K0S_BINARY name the real ones.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import random
import signal
import time
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab import mysql
from ansible_collections.sealer.cluster.tests.lab.cluster_state import worker
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab, Run, wait_for
from ansible_collections.sealer.cluster.tests.lab.runtimes import K0S, K3S, KUBEADM, Runtime

CUTS = int(os.environ.get("SEALER_CUTS", "6"))
SIGNALS = (signal.SIGINT, signal.SIGKILL)
# A run that installs has more tasks than one that has nothing to do; those of a reset are fewer.
SITE_TASKS = 110
RESET_TASKS = 60
LONGEST_WAIT = 2.0


@pytest.fixture(scope="module")
def machines() -> t.Iterator[Lab]:
    with Lab("cuts", subnet="10.77.97").running() as made:
        yield made


@pytest.fixture(scope="module")
def bare(machines: Lab) -> Inventories:
    return machines.inventories()


@pytest.fixture(scope="module", params=[KUBEADM, K3S, K0S], ids=lambda runtime: runtime.name)
def hosts(request: pytest.FixtureRequest, machines: Lab) -> Lab:
    runtime: Runtime = request.param
    return dataclasses.replace(machines, image=runtime.image, kubeconfig=runtime.kubeconfig)


class Cut:
    """A moment in a run: the beginning of its task of that number, and a while after it."""

    def __init__(self, log: pathlib.Path, task: int, wait: float) -> None:
        self._log = log
        self._task = task
        self._wait = wait
        self._came: t.Optional[float] = None

    def __call__(self) -> bool:
        seen = self._log.read_text().count("TASK [") if self._log.exists() else 0
        if self._came is None and seen >= self._task:
            self._came = time.monotonic()
        return self._came is not None and time.monotonic() - self._came >= self._wait


def cut_off(hosts: Lab, name: str, tasks: int, directory: pathlib.Path, **variables: object) -> list[Run]:
    """Runs that are cut off later and later; one that comes to its end before is the last of them."""
    chance = random.Random(f"{hosts.image} {name}")
    runs = []
    for number, interruption in zip(range(CUTS), itertools.cycle(SIGNALS), strict=False):
        task = max(1, tasks * (number + 1) // CUTS - chance.randrange(max(1, tasks // CUTS)))
        cut = Cut(directory / f"{name}{number}", task, chance.uniform(0, LONGEST_WAIT))
        log = {"ANSIBLE_LOG_PATH": str(directory / f"{name}{number}")}
        run = hosts.play(name, variables=variables, interrupted=cut, interruption=interruption, **log)
        print(f"{name}, cut off in task {task} with {interruption.name}: {run.status}")
        runs.append(run)
        if run.status == 0:
            break
    return runs


def test_the_next_run_finishes_an_installation_that_was_cut_off(
    hosts: Lab, bare: Inventories, tmp_path: pathlib.Path
) -> None:
    cut = cut_off(hosts, "site", SITE_TASKS, tmp_path)
    assert cut[0].status != 0
    run = hosts.play("site")
    assert run.status == 0, run.text
    wait_for(lambda: hosts.readiness() == dict.fromkeys(hosts.hosts, "True"), 60)
    assert mysql.client(hosts, worker(hosts), "SELECT 6 * 7") == "42"
    again = hosts.play("site")
    assert again.status == 0 and again.unchanged, again.text


def test_the_next_run_finishes_a_reset_that_was_cut_off(hosts: Lab, bare: Inventories, tmp_path: pathlib.Path) -> None:
    cut = cut_off(hosts, "reset", RESET_TASKS, tmp_path, sealer_reset=True)
    assert cut[0].status != 0
    run = hosts.play("reset", variables={"sealer_reset": True})
    assert run.status == 0, run.text
    for host in hosts.hosts:
        hosts.ssh(host, f"rm -rf {mysql.DATA}")
    assert hosts.changes_since(bare) == {}
