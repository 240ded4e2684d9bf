# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CNCF distribution on two bare hosts: one registry in one bucket, changed, moved to a directory, and gone again."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import pathlib
import re
import ssl
import subprocess
import typing as t
import urllib.request

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import HERE, STORE, Inventories, Lab, Run
from ansible_collections.sealer.cluster.tests.lab.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from ansible_collections.sealer.cluster.tests.unit.real_registry import PROGRAM

PORT = 5001
MOST_EXPOSED = 2.0
IMAGE = "registry.k8s.io/pause:3.10.1"
USER, PASSWORD, NEW_PASSWORD = "ci", "f1rst-password", "s3cond:password"
UNIT = "sealer-distribution.service"


@dataclasses.dataclass
class Registry:
    """The registry on two hosts: their inventories before, and what is given to the playbook, secrets in a file."""

    lab: Lab
    directory: pathlib.Path
    before: Inventories
    variables: dict[str, object]

    @property
    def hosts(self) -> list[str]:
        return list(self.lab.hosts)

    @property
    def ca(self) -> pathlib.Path:
        return self.directory / "trust/ca.crt"

    def place(self, host: str) -> str:
        return f"{self.lab.hosts[host]}:{PORT}"

    def play(self, *arguments: str, **changed: object) -> Run:
        """Run the playbook with these variables, and those of before."""
        self.variables |= changed
        inventory = self.directory / "hosts.yml"
        inventory.write_text(json.dumps({"distribution": {"hosts": dict.fromkeys(self.hosts, {})}}))
        given = self.directory / "variables.yml"
        given.write_text(json.dumps(self.variables))
        return self.lab.play("distribution", f"--inventory={inventory}", f"--extra-vars=@{given}", *arguments)

    def skopeo(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr}")
        return done.stdout if done.returncode == 0 else done.stderr

    def push(self, host: str, name: str, password: str, *, check: bool = True) -> str:
        login = [f"--dest-creds={USER}:{password}"] if password else ["--dest-no-creds"]
        trust = f"--dest-cert-dir={self.ca.parent}"
        place = f"docker://{self.place(host)}/{name}"
        return self.skopeo("copy", "--quiet", trust, *login, f"oci:{STORE}:{IMAGE}", place, check=check)

    def digest(self, host: str, name: str, password: str) -> str:
        """The digest of a tag, as a host has it."""
        access = [f"--cert-dir={self.ca.parent}", f"--creds={USER}:{password}"]
        return self.skopeo("inspect", *access, "--format={{.Digest}}", f"docker://{self.place(host)}/{name}")

    def ask(self, method: str, url: str, data: bytes = b"") -> tuple[int, t.Mapping[str, str]]:
        """One request with the login."""
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(self.ca))) as answer:
            return answer.status, dict(answer.headers)

    def processes(self) -> dict[str, str]:
        show = f"systemctl show --property=MainPID --value {UNIT}"
        return {host: self.lab.ssh(host, show) for host in self.hosts}


@pytest.fixture(scope="module")
def lab() -> t.Iterator[Lab]:
    with Lab("dist", subnet="10.77.92").running() as made:
        yield made


@pytest.fixture(scope="module")
def storage(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[S3Server]:
    server = S3Server(f"{lab.subnet}.1", tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def registry(lab: Lab, storage: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    directory = tmp_path_factory.mktemp("distribution")
    (directory / "trust").mkdir()
    program = pathlib.Path(PROGRAM or "")
    variables: dict[str, object] = {
        "distribution_program": str(program),
        "distribution_checksum": f"sha256:{hashlib.sha256(program.read_bytes()).hexdigest()}",
        "distribution_users": [{"name": USER, "password": PASSWORD}],
        "distribution_ca_copy": str(directory / "trust/ca.crt"),
        "distribution_storage": "s3",
        "distribution_s3_bucket": storage.bucket,
        "distribution_s3_endpoint": storage.url,
        "distribution_s3_access_key": ACCESS_KEY,
        "distribution_s3_secret_key": SECRET_KEY,
        "distribution_s3_ca_certificate": storage.certificate,
    }
    before = lab.inventories()
    return Registry(lab, directory, before, variables)


def test_check_mode_tells_and_does_nothing(registry: Registry) -> None:
    host = registry.hosts[0]
    run = registry.play("--check", "--diff", f"--limit={host}")
    assert run.status == 0, run.text
    assert run.hosts[host].changed
    assert "ExecStart=/usr/local/lib/sealer-distribution/registry" in run.text
    registry.lab.ssh(host, "! ls -d /etc/sealer /usr/local/lib/sealer-distribution /var/lib/sealer 2>/dev/null")


@pytest.fixture(scope="module")
def running(registry: Registry) -> Run:
    run = registry.play("--diff")
    assert run.status == 0, run.text
    return run


def test_a_second_run_changes_nothing(registry: Registry, running: Run) -> None:
    before = registry.processes()
    run = registry.play()
    assert run.status == 0 and run.unchanged, run.text
    assert registry.processes() == before


def test_what_is_pushed_to_one_host_is_pulled_from_the_other(
    registry: Registry, running: Run, storage: S3Server
) -> None:
    first, second = registry.hosts
    registry.push(first, "team/pause:1", PASSWORD)
    assert registry.digest(second, "team/pause:1", PASSWORD) == registry.digest(first, "team/pause:1", PASSWORD)
    assert list(storage.content.glob("docker/registry/v2/repositories/team/pause/_manifests/tags/1"))


def test_it_can_be_the_external_registry(registry: Registry, running: Run) -> None:
    first, second = registry.hosts
    external = {"destination": f"{registry.place(first)}/site", "username": USER, "ca_path": str(registry.ca)}
    variables: dict[str, object] = {
        "sealer_sync_names": [IMAGE],
        "sealer_registry_external": {**external, "password": PASSWORD},
    }
    run = registry.lab.play("sync", variables=variables)
    assert run.status == 0, run.text
    assert registry.digest(second, f"site/{IMAGE}", PASSWORD).startswith("sha256:")


def test_an_upload_goes_on_at_the_other_host(registry: Registry, running: Run) -> None:
    """Which needs one secret for both."""
    first, second = registry.hosts
    content = b"one half, the other half"
    status, headers = registry.ask("POST", f"https://{registry.place(first)}/v2/team/halves/blobs/uploads/")
    assert status == 202
    elsewhere = headers["Location"].replace(registry.place(first), registry.place(second))
    status, headers = registry.ask("PATCH", elsewhere, content)
    assert status == 202
    end = f"{headers['Location']}&digest=sha256:{hashlib.sha256(content).hexdigest()}"
    status, _headers = registry.ask("PUT", end.replace(registry.place(second), registry.place(first)))
    assert status == 201


@pytest.mark.parametrize("password", ["", "wrong"])
def test_nobody_else_pushes(registry: Registry, running: Run, password: str) -> None:
    told = registry.push(registry.hosts[0], "team/other:1", password, check=False)
    assert "authentication required" in told or "unauthorized" in told, told


def test_secrets_are_told_nowhere(registry: Registry, running: Run) -> None:
    secrets = (PASSWORD, SECRET_KEY, ACCESS_KEY)
    assert not any(secret in running.text for secret in secrets)
    for host in registry.hosts:
        journal = registry.lab.ssh(host, "journalctl --no-pager; cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert not any(secret in journal for secret in secrets)
        readable = registry.lab.ssh(host, "find /etc/sealer -type f -perm /o=r -exec cat {} +")
        assert not any(secret in readable for secret in (*secrets, "PRIVATE KEY", "$2b$"))


def test_it_may_do_little_on_its_host(registry: Registry, running: Run) -> None:
    host = registry.hosts[0]
    told = registry.lab.ssh(host, f"systemd-analyze security --no-pager {UNIT}")
    score = re.search(r"Overall exposure level for .*: ([0-9.]+)", told)
    assert score is not None and float(score.group(1)) <= MOST_EXPOSED, told
    user = registry.lab.ssh(host, f"ps -o user:32= -p $(systemctl show --property=MainPID --value {UNIT})")
    assert user.strip() == "sealer-distribution"


def test_garbage_is_collected_as_the_guide_says(registry: Registry, running: Run) -> None:
    guide = (HERE.parents[1] / "docs/distribution.md").read_text()
    found = re.search(r"^systemd-run .*?config\.yml$", guide, re.MULTILINE | re.DOTALL)
    assert found is not None
    told = registry.lab.ssh(registry.hosts[1], found.group(0))
    assert "team/pause: marking manifest" in told, told


def test_another_password_restarts_nothing(registry: Registry, running: Run) -> None:
    before, host = registry.processes(), registry.hosts[1]
    run = registry.play(f"--limit={host}", distribution_users=[{"name": USER, "password": NEW_PASSWORD}])
    assert run.status == 0, run.text
    assert registry.processes() == before
    assert registry.digest(host, "team/pause:1", NEW_PASSWORD).startswith("sha256:")
    with pytest.raises(RuntimeError, match="auth"):
        registry.digest(host, "team/pause:1", PASSWORD)


def test_a_new_certificate_and_another_storage(registry: Registry, running: Run) -> None:
    """Host by host, and only once: the run after it has nothing to do."""
    before = registry.processes()
    run = registry.play(distribution_names=["registry.example.com"], distribution_storage="filesystem")
    assert run.status == 0, run.text
    assert not set(registry.processes().items()) & set(before.items())
    host = registry.hosts[0]
    shown = (
        f"openssl s_client -connect 127.0.0.1:{PORT} < /dev/null 2> /dev/null | openssl x509 -noout -ext subjectAltName"
    )
    assert "DNS:registry.example.com" in registry.lab.ssh(host, shown)
    registry.push(host, "team/pause:2", NEW_PASSWORD)
    tags = "/var/lib/sealer/distribution/docker/registry/v2/repositories/team/pause/_manifests/tags"
    assert registry.lab.ssh(host, f"ls {tags}") == "2\n"
    assert registry.play(f"--limit={host}").unchanged


def test_it_goes_and_leaves_images_unless_told(registry: Registry, running: Run) -> None:
    first, second = registry.hosts
    only_second = f"{{{{ inventory_hostname == '{second}' }}}}"
    run = registry.play(distribution_state="absent", distribution_remove_data=only_second)
    assert run.status == 0, run.text
    left = registry.lab.changes_since(registry.before)
    assert set(left) == {first}
    assert all("/var/lib/sealer" in line for line in left[first]), left[first]
    registry.lab.ssh(first, "rm -r /var/lib/sealer")
    assert registry.lab.changes_since(registry.before) == {}
