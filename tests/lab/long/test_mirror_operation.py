# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mirrors that are changed while clients pull from them, refuse what is wrong, and are looked at and emptied."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import DEMO_IMAGE, Lab, Run

MOST_EXPOSED = 2.0

# Pulls by four clients until the file is gone. A kept connection that ends before an answer is opened again, as all do.
PULL = """
import http.client, json, os, ssl, sys, threading
path, flag = sys.argv[1:]
context = ssl.create_default_context(cafile="/etc/sealer/pki/ca.crt")
good, bad = [], []
def pull():
    connection, fresh = None, True
    while os.path.exists(flag):
        try:
            if connection is None:
                connection, fresh = http.client.HTTPSConnection("127.0.0.1", 5000, context=context, timeout=30), True
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            (good if answer.status == 200 else bad).append(answer.status)
            fresh = False
            if answer.will_close:
                connection = None
        except (OSError, http.client.HTTPException) as error:
            if fresh or not isinstance(error, (ConnectionError, http.client.RemoteDisconnected)):
                bad.append(repr(error))
            connection = None
threads = [threading.Thread(target=pull) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps({"good": len(good), "bad": bad}))
"""


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("credentials") / "registry.yml"


@pytest.fixture(scope="module")
def with_users(lab: Lab, site: Run, credentials: pathlib.Path) -> Run:
    return lab.play("registry", variables={"registry_credentials_path": str(credentials)})


def main_process(lab: Lab) -> str:
    return lab.ssh(lab.control_plane, "systemctl show --property=MainPID --value sealer-mirror")


def info(lab: Lab) -> dict[str, t.Any]:
    """What registry_info tells of the first mirror."""
    return module(lab, "registry_info", "ca_path=/etc/sealer/pki/ca.crt")


def module(lab: Lab, name: str, arguments: str) -> dict[str, t.Any]:
    command = ["ansible", "--inventory", str(lab.inventory), "--one-line", "--module-name", f"sealer.cluster.{name}"]
    done = subprocess.run(
        [*command, "--args", arguments, lab.control_plane], capture_output=True, text=True, check=True
    )
    return t.cast("dict[str, t.Any]", json.loads(done.stdout.partition("=> ")[2]))


def test_users_are_made_once_and_read_when_encrypted(lab: Lab, with_users: Run, credentials: pathlib.Path) -> None:
    assert with_users.status == 0, with_users.text
    assert credentials.stat().st_mode & 0o777 == 0o600
    passwords = re.findall(r'password: "(.+)"', credentials.read_text())
    assert len(passwords) == 2 and not any(password in with_users.text for password in passwords)
    vault = credentials.with_name("vault")
    vault.write_text("vault\n")
    encrypt = ["ansible-vault", "encrypt", f"--vault-password-file={vault}", str(credentials)]
    subprocess.run(encrypt, check=True, capture_output=True)
    variables: dict[str, object] = {"registry_credentials_path": str(credentials)}
    again = lab.play("registry", f"--vault-password-file={vault}", variables=variables)
    assert again.status == 0 and again.unchanged, again.text
    journal = lab.ssh(lab.control_plane, "journalctl --no-pager")
    assert not any(password in journal for password in passwords)


def test_no_request_fails_while_certificate_and_configuration_change(lab: Lab, with_users: Run) -> None:
    repository, tag = DEMO_IMAGE.split(":")
    flag = "/run/pull-on"
    lab.ssh(lab.control_plane, f"touch {flag} && cat > /run/pull.py", given=PULL)
    before, told = main_process(lab), []
    path = f"/v2/library/{repository}/manifests/{tag}?ns=docker.io"
    client = threading.Thread(
        target=lambda: told.append(lab.ssh(lab.control_plane, f"python3 /run/pull.py '{path}' {flag}"))
    )
    client.start()
    try:
        run = lab.play("registry", variables={"registry_names": ["more.example.com"], "registry_workers": 3})
    finally:
        lab.ssh(lab.control_plane, f"rm {flag} /run/pull.py")
        client.join()
    assert run.status == 0, run.text
    pulls = json.loads(told[0])
    assert pulls["bad"] == []
    assert pulls["good"] > 100
    assert main_process(lab) == before
    shown = (
        "openssl s_client -connect 127.0.0.1:5000 < /dev/null 2> /dev/null | openssl x509 -noout -ext subjectAltName"
    )
    assert "DNS:more.example.com" in lab.ssh(lab.control_plane, shown)


def test_a_wrong_configuration_is_told_and_changes_nothing(lab: Lab, with_users: Run) -> None:
    before = main_process(lab)
    run = lab.play("registry", variables={"registry_allow": ["not a host!"]})
    assert run.status != 0
    assert "not a host!" in run.text
    assert main_process(lab) == before
    assert info(lab)["service"]["healthy"] is True
    assert lab.play("registry").status == 0
    again = lab.play("registry")
    assert again.unchanged, again.text


def test_what_it_has_and_has_done(lab: Lab, with_users: Run) -> None:
    found = info(lab)
    assert any(image["kind"] == "cluster-image" for image in found["names"])
    assert found["service"]["hits"] > 100
    assert found["store"]["blobs"] > 10
    pruned = module(lab, "registry_prune", "everything=true")
    assert pruned["bytes_freed"] == found["pulled"]["bytes"] - info(lab)["pulled"]["bytes"]
    assert info(lab)["service"]["healthy"] is True
    assert info(lab)["names"] == found["names"]


def test_it_may_do_little_on_its_host(lab: Lab, with_users: Run) -> None:
    told = lab.ssh(lab.control_plane, "systemd-analyze security --no-pager sealer-mirror.service")
    score = re.search(r"Overall exposure level for .*: ([0-9.]+)", told)
    assert score is not None and float(score.group(1)) <= MOST_EXPOSED, told
    user = lab.ssh(lab.control_plane, "ps -o user:32= -p $(systemctl show --property=MainPID --value sealer-mirror)")
    assert user.strip() == "sealer-mirror"
    assert lab.ssh(lab.control_plane, "find /var/lib/sealer/store -type d ! -user sealer-mirror") == ""
