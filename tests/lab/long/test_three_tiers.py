# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example of three tiers on top of the example mysql, brought to a cluster that has another application."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import Lab, Run
from ansible_collections.sealer.cluster.tests.lab.mysql import CLIENT, DATA, client

IMAGE = "three-tier:1"


@pytest.fixture(scope="module")
def example(lab: Lab, site: Run) -> t.Iterator[Run]:
    """Taken away afterwards, with the data, which no reset touches."""
    run = lab.play("site", variables={"sealer_image": IMAGE})
    assert run.status == 0, run.text
    yield run
    rootfs, names = "/var/lib/sealer/rootfs/current", ("application/apps/web", "application/apps/guestbook", "mysql")
    files = " ".join(f"-f {rootfs}/{name}" for name in names)
    lab.ssh(lab.control_plane, f"{lab.kubectl_command} delete {files}")
    lab.ssh(lab.control_plane, f"{lab.kubectl_command} wait --for=delete --timeout=60s pod/mysql-0")
    for host in lab.hosts:
        lab.ssh(host, f"rm -rf {DATA}")


def address(lab: Lab, service: str) -> str:
    return str(lab.kubectl(f"get service {service}")["spec"]["clusterIP"])


def test_sql_is_answered_through_the_service_and_survives_the_pod(lab: Lab, example: Run) -> None:
    server = lab.kubectl("get pod mysql-0")
    elsewhere = next(host for host in lab.hosts if host != server["spec"]["nodeName"])
    written = "CREATE TABLE kept (line TEXT); INSERT INTO kept VALUES ('it\\'s here'); SELECT * FROM kept"
    assert client(lab, elsewhere, written) == "it's here"
    lab.ssh(lab.control_plane, f"{lab.kubectl_command} delete pod mysql-0")
    lab.ssh(lab.control_plane, f"{lab.kubectl_command} wait --for=condition=Ready --timeout=60s pod/mysql-0")
    again = lab.kubectl("get pod mysql-0")
    assert again["metadata"]["uid"] != server["metadata"]["uid"]
    assert again["spec"]["nodeName"] == server["spec"]["nodeName"]
    asked = CLIENT.format(address=address(lab, "mysql"))
    told = lab.ssh(
        lab.control_plane, f"{lab.kubectl_command} exec --stdin mysql-0 -- sh -c '{asked}'", given="SELECT * FROM kept"
    )
    assert told.strip() == "it's here"


def test_web_server_application_and_database_work_together(lab: Lab, example: Run) -> None:
    page = f"curl --silent --show-error --fail --retry 30 --retry-all-errors http://{address(lab, 'web')}/"
    lab.ssh(lab.control_plane, f"{page} --data-urlencode 'line=<from> the control plane & äöü'")
    for host in lab.hosts:
        assert "<li>&lt;from&gt; the control plane &amp; äöü</li>" in lab.ssh(host, page)
    assert lab.kubectl("get deployment guestbook")["spec"]["replicas"] == 2


def test_a_second_run_changes_nothing(lab: Lab, example: Run) -> None:
    before = lab.kubectl("get secret mysql")["data"]
    run = lab.play("site", f"--limit={lab.control_plane},localhost", variables={"sealer_image": IMAGE})
    assert run.status == 0, run.text
    assert run.unchanged, run.text
    assert lab.kubectl("get secret mysql")["data"] == before


def test_passwords_are_in_no_manifest_and_no_record(lab: Lab, example: Run) -> None:
    word = lab.kubectl("get secret mysql")["data"]["password"]
    plain = lab.ssh(
        lab.control_plane,
        f"{lab.kubectl_command} get secret mysql --output 'jsonpath={{.data.password}}' | base64 --decode",
    )
    assert len(plain) == 32
    found = lab.ssh(lab.control_plane, f"grep -rlF -e {plain} -e {word} /etc/sealer /var/lib/sealer /var/log || true")
    assert found == ""
    assert plain not in example.text


def test_no_packet_left_the_network(lab: Lab, example: Run) -> None:
    assert lab.air_gap.attempts() == {}
