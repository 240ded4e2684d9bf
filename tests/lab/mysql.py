# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The example mysql, as somebody who uses it on a cluster sees it."""

from __future__ import annotations

import json

from ansible_collections.sealer.cluster.tests.lab.lab import Lab

DATA = "/var/lib/mysql-data"
CLIENT = (
    "MYSQL_PWD=$(cat /run/secrets/mysql/password) mysql --host={address} --user=app --batch --skip-column-names app"
)


def client(lab: Lab, host: str, statement: str) -> str:
    """What the image's client says on this host, in a pod of its own, to a statement through the Service's name."""
    container = {
        "name": "client",
        "image": "docker.io/library/mysql:8.4",
        "command": ["sh", "-c", f'{CLIENT.format(address="mysql")} --execute="$STATEMENT"'],
        "env": [{"name": "STATEMENT", "value": statement}],
        "volumeMounts": [{"name": "passwords", "mountPath": "/run/secrets/mysql"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client", "namespace": "default"},
        "spec": {
            "nodeName": host,
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "passwords", "secret": {"secretName": "mysql"}}],
        },
    }
    kubectl = lab.kubectl_command
    lab.ssh(lab.control_plane, f"{kubectl} apply -f -", given=json.dumps(pod))
    try:
        done = "wait --for=jsonpath={.status.phase}=Succeeded --timeout=60s pod/client"
        lab.ssh(lab.control_plane, f"{kubectl} {done} || {{ {kubectl} logs client; false; }}")
        return lab.ssh(lab.control_plane, f"{kubectl} logs client").strip()
    finally:
        lab.ssh(lab.control_plane, f"{kubectl} delete --now pod client")
