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
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import join_token
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import NOT_FOUND, Runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_wait import url_answers
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.service import Handed, Service
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

RUNTIME = "k0s"
ADMIN_KUBECONFIG = "/var/lib/k0s/pki/admin.conf"
CA_CERTIFICATE = "/var/lib/k0s/pki/ca.crt"
KUBELET_KUBECONFIG = "/var/lib/k0s/kubelet.conf"
CONTROLLERS = "controlnodes.autopilot.k0sproject.io"
CONTROLLER = "k0scontroller.service"
WORKER = "k0sworker.service"
RUN_DIRECTORY = "/run/sealer-k0s"
KUBELET_HEALTH = "http://127.0.0.1:10248/healthz"
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_LONG = re.compile(r"H4sI[A-Za-z0-9+/=]{40,}")
_SERVER = re.compile(r"^\s*(?:- )?server:\s*[\"']?(https://[^\s\"']+)", re.MULTILINE)
_AUTHORITY = re.compile(r"certificate-authority-data:\s*([A-Za-z0-9+/=]+)")


@dataclasses.dataclass(frozen=True)
class Node:
    """The node that the host becomes: its name, whether it runs an API server, and whether it runs workloads."""

    name: str
    controller: bool
    workloads: bool
    timeout: float

    @property
    def unit(self) -> str:
        return CONTROLLER if self.controller else WORKER

    def waits_for(self, run: Runner, kubectl: Kubectl) -> t.Optional[str]:
        """Why it is not up yet; None when it is."""
        told = status(run)
        if told is None:
            return f"{self.unit} does not answer yet"
        if self.workloads:
            connection = told.get("WorkerToAPIConnectionStatus") or {}
            if not connection.get("Success"):
                return f"the worker has no connection to the API server: {connection.get('Message', '')}".rstrip(": ")
            # The connection is told before containerd and the kubelet have started.
            unwell = url_answers(KUBELET_HEALTH, None)()
            if unwell is not None:
                return f"the kubelet does not answer: {unwell}"
        if self.controller:
            done = kubectl.call("get", "--raw", "/readyz", "--request-timeout=10s")
            if done.rc != 0:
                return f"the API server is not ready: {done.output[-500:]}"
        return None

    def start(self, run: Runner, kubectl: Kubectl, action: str, token: t.Optional[str] = None) -> str:
        """Start k0s, which goes on where an attempt was cut off; a token is in memory, and only while the host joins.

        Returns the end of what k0s said.
        """
        # Tells whether k0s is there at all, before anything is changed.
        status(run)
        service = Service(
            runtime=RUNTIME,
            unit=self.unit,
            traces=K0S,
            ready=lambda: self.waits_for(run, kubectl),
            redact=redacted,
            timeout=self.timeout,
        )
        return service.start(run, action, handed(token))


def handed(token: t.Optional[str]) -> Handed:
    """What the unit reads where a host joins."""
    if token is None:
        return Handed(RUN_DIRECTORY, {}, {})
    return Handed(RUN_DIRECTORY, {"token": token}, {"K0S_JOIN": f"--token-file={RUN_DIRECTORY}/token"})


def redacted(text: str) -> str:
    """The same text without join tokens."""
    return _LONG.sub("<redacted>", _TOKEN.sub("<redacted>", text))


def kubeconfig_in(token: str) -> str:
    """The kubeconfig that a join token is."""
    try:
        return gzip.decompress(base64.b64decode(token, validate=True)).decode()
    except (binascii.Error, EOFError, OSError, UnicodeDecodeError) as error:
        raise ClusterError(
            "k0s gave no join token that can be read", where="k0s token create", why=str(error)
        ) from error


def token_id(token: str) -> str:
    """The part of a join token that names it: what its invalidation needs."""
    return bootstrap_token(kubeconfig_in(token)).partition(".")[0]


def bootstrap_token(kubeconfig: str) -> str:
    """With what the user of this kubeconfig is known."""
    found = _TOKEN.search(kubeconfig)
    if found is None:
        raise ClusterError("there is no bootstrap token in k0s' join token", where="k0s token create")
    return found.group(0)


def question(token: str, controller: bool) -> t.Tuple[str, str]:
    """Where it is known whether a join token is good, and what to show there.

    That of controllers is not for the API server, but for k0s' own, by which they join.
    """
    kubeconfig = kubeconfig_in(token)
    server = _SERVER.search(kubeconfig)
    if server is None:
        raise ClusterError("there is no server in k0s' join token", where="k0s token create")
    path = "/v1beta1/ca" if controller else "/version"
    return server.group(1).rstrip("/") + path, bootstrap_token(kubeconfig)


def refuse_dead_token(token: str, controller: bool, ca: str) -> None:
    """Raise ClusterError for a token that is worth nothing any more."""
    url, bearer = question(token, controller)
    join_token.refuse_dead(url, bearer, ca, "k0s_token_ttl")


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
