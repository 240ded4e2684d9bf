# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that takes all from somebody's registry, with a login: no mirror runs, nothing comes from elsewhere."""

from __future__ import annotations

import base64
import dataclasses
import json
import pathlib
import subprocess
import typing as t
from functools import partial

import pytest
from ansible_collections.sealer.cluster.tests.lab.canaries import Secret, Watch
from ansible_collections.sealer.cluster.tests.lab.cluster_state import watched
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab, Run
from ansible_collections.sealer.cluster.tests.lab.private_registry import PASSWORD, USER, PrivateRegistry
from ansible_collections.sealer.cluster.tests.lab.runtimes import KUBEADM
from ansible_collections.sealer.cluster.tests.lab.secret_options import EXTERNAL_PASSWORD

LOGIN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MIRRORS_FILES = [
    "/etc/sealer/pki",
    "/etc/sealer/mirror",
    "/etc/sealer/mirror.json",
    "/usr/local/lib/sealer",
    "/var/lib/sealer/store",
]
# Which of a host's files have these words in them.
FIND = "grep -rlF --devices=skip -e {} /etc /root /home /usr/local /var/lib/sealer /tmp || true"


@dataclasses.dataclass(frozen=True)
class External:
    """Two hosts, a registry, and a file that tells the playbooks of it."""

    lab: Lab
    registry: PrivateRegistry
    variables: pathlib.Path
    before: Inventories

    def play(self, name: str, *arguments: str, **variables: object) -> Run:
        return self.lab.play(name, f"--extra-vars=@{self.variables}", *arguments, variables=variables)

    def log(self) -> str:
        """What the registry was asked for."""
        done = subprocess.run(
            ["podman", "logs", f"{self.lab.name}-private"], capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[External]:
    lab = Lab("ext", subnet="10.77.97")
    directory = tmp_path_factory.mktemp("external")
    registry = PrivateRegistry(lab, directory)
    with lab.running(), registry.running():
        described = {
            "destination": f"{registry.url.partition('://')[2]}/site",
            "username": USER,
            "password": PASSWORD,
            "ca_path": str(directory / "ca.crt"),
        }
        variables = directory / "variables.json"
        variables.write_text(json.dumps({"sealer_registry_external": described}))
        yield External(lab, registry, variables, lab.inventories())


@pytest.fixture(scope="module")
def watched_site(external: External) -> tuple[Run, Watch]:
    return watched(KUBEADM, external.lab, partial(external.play, "site"))


@pytest.fixture(scope="module")
def installed(watched_site: tuple[Run, Watch]) -> Run:
    return watched_site[0]


def test_check_mode_on_bare_hosts_changes_nothing(external: External) -> None:
    run = external.play("site", "--check", "--diff", "-vvv")
    assert run.status == 0, run.text
    assert all(run.hosts[host].changed > 0 for host in external.lab.hosts)
    assert PASSWORD not in run.text and LOGIN not in run.text
    assert external.lab.changes_since(external.before) == {}
    assert "PUT" not in external.log()


def test_no_host_runs_a_mirror_or_has_anything_of_one(external: External, installed: Run) -> None:
    lab = external.lab
    for host in lab.hosts:
        assert "sealer-mirror" not in lab.ssh(host, "systemctl list-unit-files --no-pager; cat /etc/passwd")
        assert lab.ssh(host, f"ls -d {' '.join(MIRRORS_FILES)} 2>/dev/null || true") == ""
        assert lab.ssh(host, "ss --no-header --listening --tcp sport = :5000") == ""
    assert {host: installed.hosts[host].tasks for host in lab.hosts if installed.hosts[host].tasks > 25} == {}


def test_pods_run(external: External, installed: Run) -> None:
    pods = external.lab.kubectl("get pods --all-namespaces")["items"]
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert {pod["spec"]["nodeName"] for pod in pods} == set(external.lab.hosts)
    assert not [name for pod in pods for name in images_of(pod) if external.lab.subnet in name]


def images_of(pod: dict[str, t.Any]) -> list[str]:
    return [container["image"] for container in pod["spec"]["containers"]]


def test_programs_and_images_came_from_the_registry_alone(external: External, installed: Run) -> None:
    log = external.log()
    for address in external.lab.hosts.values():
        asked = [
            line for line in log.splitlines() if f"remoteaddr={address}" in line or f'remoteaddr="{address}' in line
        ]
        assert any("/v2/site/docker.io/library/demo/blobs/" in line for line in asked)
        assert any("/v2/site/registry.k8s.io/" in line for line in asked)
    assert external.lab.air_gap.attempts() == {}


def test_the_password_is_for_root_alone(external: External, watched_site: tuple[Run, Watch]) -> None:
    run, watch = watched_site
    assert watch.findings([*watch.secrets(), Secret(EXTERNAL_PASSWORD, PASSWORD)], run.text) == []
    lab = external.lab
    for host in lab.hosts:
        assert lab.ssh(host, FIND.format(PASSWORD)) == ""
        with_login = lab.ssh(host, FIND.format(LOGIN)).split()
        assert with_login and all(path.startswith("/etc/containerd/certs.d/") for path in with_login)
        assert set(lab.ssh(host, f"stat --format=%a:%U {' '.join(with_login)}").split()) == {"600:root"}


def test_a_second_run_changes_nothing(external: External, installed: Run) -> None:
    run = external.play("site")
    assert run.status == 0, run.text
    assert run.unchanged, run.text


def test_a_run_for_one_worker_sees_nothing_to_do(external: External, installed: Run) -> None:
    worker = list(external.lab.hosts)[1]
    run = external.play("site", "--check", "--diff", f"--limit={worker},localhost")
    assert run.status == 0, run.text
    assert run.unchanged, run.text


def test_a_registry_that_does_not_answer_is_told_before_anything_is_done(external: External, installed: Run) -> None:
    place = f"{external.registry.url.partition('://')[2]}1"
    elsewhere = json.dumps({"sealer_registry_external": {"destination": f"{place}/site"}})
    run = external.play("site", f"--extra-vars={elsewhere}")
    assert run.status != 0
    assert f"{place}: the registry does not answer: GET https://{place}/v2/: the connection was refused" in run.text
    assert "Bring what is missing" not in run.text
    assert all(run.hosts[host].changed == 0 for host in external.lab.hosts)


def test_reset_leaves_the_hosts_as_they_were(external: External, installed: Run) -> None:
    run = external.play("reset", sealer_reset=True)
    assert run.status == 0, run.text
    assert external.lab.changes_since(external.before) == {}
