# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""k0s on a host: whether it is a node, starting its service as the first or with a token, what its tokens say.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import gzip
import json
import os
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import record
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_wait import url_answers, wait_until
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json, remove
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import NodeReset, ResetSettings
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import replace_file

RUNTIME = "k0s"
ADMIN_KUBECONFIG = "/var/lib/k0s/pki/admin.conf"
CA_CERTIFICATE = "/var/lib/k0s/pki/ca.crt"
KUBELET_KUBECONFIG = "/var/lib/k0s/kubelet.conf"
CONTROLLER = "k0scontroller.service"
WORKER = "k0sworker.service"
RUN_DIRECTORY = "/run/sealer-k0s"
KUBELET_HEALTH = "http://127.0.0.1:10248/healthz"
_TAIL_LINES = 25
_RESTARTS = 3
_TOKEN = re.compile(r"\b([a-z0-9]{6})\.[a-z0-9]{16}\b")
_LONG = re.compile(r"H4sI[A-Za-z0-9+/=]{40,}")
_AUTHORITY = re.compile(r"certificate-authority-data:\s*([A-Za-z0-9+/=]+)")


@dataclasses.dataclass(frozen=True)
class Service:
    """The service of a node: its unit, whether it runs an API server and whether it runs workloads."""

    unit: str
    controller: bool
    workloads: bool
    timeout: float


def is_node() -> bool:
    return any(os.path.exists(path) for path in K0S.nodes)


def refuse_foreign(found: t.Optional[Json]) -> None:
    """Raise ClusterError where k0s runs that this collection did not start."""
    if found is None and is_node():
        raise ClusterError(
            "this host is a node of a cluster that this collection did not make",
            where="/var/lib/k0s",
            fix="Take another host, or run k0s reset on it",
        )


def redacted(text: str) -> str:
    """The same text without join tokens."""
    return _LONG.sub("<redacted>", _TOKEN.sub("<redacted>", text))


def token_id(token: str) -> str:
    """The part of a join token that names it: what its invalidation needs."""
    try:
        kubeconfig = gzip.decompress(base64.b64decode(token, validate=True)).decode()
    except (binascii.Error, EOFError, OSError, UnicodeDecodeError) as error:
        raise ClusterError(
            "k0s gave no join token that can be read", where="k0s token create", why=str(error)
        ) from error
    found = _TOKEN.search(kubeconfig)
    if found is None:
        raise ClusterError("there is no bootstrap token in k0s' join token", where="k0s token create")
    return found.group(1)


def known_authority(controller: bool) -> str:
    """The CA that a node trusts, in PEM form; empty where it cannot be told."""
    path = CA_CERTIFICATE if controller else KUBELET_KUBECONFIG
    try:
        with open(path, encoding="ascii") as stream:
            text = stream.read()
    except FileNotFoundError:
        return ""
    if controller:
        return text
    found = _AUTHORITY.search(text)
    return base64.b64decode(found.group(1)).decode() if found else ""


def status(run: Runner) -> t.Optional[Json]:
    """What k0s says of itself; None while it does not run."""
    done = run(["k0s", "status", "--out", "json"])
    if done.rc == NOT_FOUND:
        raise ClusterError(
            "k0s is not on this host",
            where="k0s status",
            fix="Use a cluster image whose base brings k0s, and run the rootfs role first",
        )
    if done.rc != 0 or "{" not in done.stdout:
        return None
    return t.cast("Json", json.loads(done.stdout[done.stdout.index("{") :]))


def waits_for(run: Runner, service: Service, kubectl: Kubectl) -> t.Optional[str]:
    """Why a node is not up yet; None when it is."""
    told = status(run)
    if told is None:
        return f"{service.unit} does not answer yet"
    if service.workloads:
        connection = told.get("WorkerToAPIConnectionStatus") or {}
        if not connection.get("Success"):
            return f"the worker has no connection to the API server: {connection.get('Message', '')}".rstrip(": ")
        # The connection is told before containerd and the kubelet have started.
        unwell = url_answers(KUBELET_HEALTH, None)()
        if unwell is not None:
            return f"the kubelet does not answer: {unwell}"
    if service.controller:
        done = kubectl.call("get", "--raw", "/readyz", "--request-timeout=10s")
        if done.rc != 0:
            return f"the API server is not ready: {done.output[-500:]}"
    return None


def start(run: Runner, service: Service, kubectl: Kubectl, action: str, token: t.Optional[str] = None) -> str:
    """Start the service, with a token for a host that joins; when that fails, k0s is off the host again."""
    status(run)
    record.start(run, action, K0S)
    try:
        with JoinToken(token):
            run(["systemctl", "reset-failed", service.unit])
            done = run(["systemctl", "restart", service.unit])
            if done.rc != 0:
                raise ClusterError(f"{service.unit} cannot be started", why=done.output)
            wait_until(
                lambda: waits_for(run, service, kubectl),
                f"k0s ({service.unit})",
                service.timeout,
                lambda: _hopeless(run, service.unit),
                lambda: f"; the end of what it said:\n{_said(run, service.unit)}\n",
            )
    except (SealerError, OSError) as error:
        failure = ClusterError(
            f"k0s {action} failed", why=str(error), fix="What it did was undone; correct the cause and run this again"
        )
        try:
            NodeReset(run, ResetSettings(cni_files=(), links=()), K0S).clear()
        except (SealerError, OSError) as second:
            failure.fix = f"{failure.fix}. What k0s did could not be undone whole: {second}"
        raise failure from error
    return _said(run, service.unit)


def _hopeless(run: Runner, unit: str) -> t.Optional[str]:
    done = run(["systemctl", "show", "--property=NRestarts", "--value", unit])
    restarts = done.stdout.strip()
    return f"it ended {restarts} times" if restarts.isdigit() and int(restarts) >= _RESTARTS else None


def _said(run: Runner, unit: str) -> str:
    done = run(["journalctl", f"--unit={unit}", "--no-pager", "--output=cat", f"--lines={_TAIL_LINES}"])
    return redacted(done.output)


class JoinToken:
    """A token where the unit looks for it, in memory and only while the host joins."""

    def __init__(self, token: t.Optional[str], directory: str = RUN_DIRECTORY) -> None:
        self._token = token
        self._directory = directory
        self._file = f"{directory}/token"
        self._environment = f"{directory}/environment"

    def __enter__(self) -> None:
        if self._token is not None:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            replace_file(self._file, self._token.encode(), 0o600)
            replace_file(self._environment, f"K0S_JOIN=--token-file={self._file}\n".encode(), 0o600)

    def __exit__(self, *_caught: object) -> None:
        if self._token is not None:
            remove(self._file)
            remove(self._environment)
            os.rmdir(self._directory)
