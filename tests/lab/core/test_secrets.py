# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every secret that can be given to the playbooks is given to them on bare hosts, in check mode, and shows up nowhere.

Secrets that a cluster makes are looked for where a cluster is made.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing as t
import uuid

import pytest
from ansible_collections.sealer.cluster.tests.lab.canaries import LOUD, Secret, watching
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab
from ansible_collections.sealer.cluster.tests.lab.runtimes import K0S, K3S, KUBEADM, Runtime
from ansible_collections.sealer.cluster.tests.lab.secret_options import Given
from ansible_collections.sealer.cluster.tests.unit.real_registry import PROGRAM


@pytest.fixture(scope="module")
def given() -> Given:
    return Given.make()


@pytest.fixture
def variables(lab: Lab, before: Inventories, given: Given) -> t.Iterator[pathlib.Path]:
    """A file of variables, because what is on a command line is there for all to see."""
    path = lab.directory / "secrets.json"
    given.write(path)
    yield path
    path.unlink()


def test_what_is_planted_on_a_host_is_found(lab: Lab, before: Inventories) -> None:
    """Processes with a secret are planted by watching() itself."""
    planted = Secret("planted secret", uuid.uuid4().hex)
    try:
        with watching(lab) as watch:
            for host in lab.hosts:
                lab.ssh(host, "tee /tmp/planted | systemd-cat --identifier=planter", given=planted.value)
        assert watch.findings([planted], f"TASK [Tell] ***\n{planted.value}\n", cluster=False) == sorted(
            [f"planted secret in the file /tmp/planted on {host}, which everyone can read" for host in lab.hosts]
            + [f"planted secret in the journal of {host}, said by planter" for host in lab.hosts]
            + ["planted secret in the output of ansible-playbook, task 'Tell'"]
        )
    finally:
        for host in lab.hosts:
            lab.ssh(host, "rm -f /tmp/planted")


@pytest.mark.parametrize("runtime", [KUBEADM, K3S, K0S], ids=lambda runtime: runtime.name)
def test_site_tells_nobody_what_it_is_given(lab: Lab, runtime: Runtime, given: Given, variables: pathlib.Path) -> None:
    hosts = dataclasses.replace(lab, image=runtime.image)
    with watching(hosts) as watch:
        run = hosts.play("site", "--check", *LOUD, f"--extra-vars=@{variables}")
    assert run.status == 0, run.text
    assert watch.findings(given.secrets, run.text, cluster=False) == []


def test_distribution_tells_nobody_what_it_is_given(lab: Lab, given: Given, variables: pathlib.Path) -> None:
    hosts = lab.only(lab.control_plane)
    given.write(variables, distribution_program=str(PROGRAM), sealer_distribution_group="kube_control_plane")
    with watching(hosts) as watch:
        run = hosts.play("distribution", "--check", *LOUD, f"--extra-vars=@{variables}")
    assert run.status == 0, run.text
    assert watch.findings(given.secrets, run.text, cluster=False) == []
