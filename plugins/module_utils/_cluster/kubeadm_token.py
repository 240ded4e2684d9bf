# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new node needs to know of its cluster: a token that soon expires, and how to know the right API server.

A control plane needs the cluster's certificates as well. kubeadm puts them into a Secret, encrypted with a key of
their own. When hosts have joined, or have failed to, token and Secret are removed.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import Runner, checked
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import ConfigFile
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm import CA_CERTIFICATE, tail
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

_NAMESPACE = "kube-system"
_CERTIFICATES = "kubeadm-certs"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def certificate_authority(path: str = CA_CERTIFICATE) -> str:
    """The cluster's CA certificate in PEM form."""
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read()
    except FileNotFoundError as error:
        raise ClusterError(
            "this host is no control plane, so it cannot let others join",
            where=path,
            fix="Run the init entry point on the first control plane before workers join",
        ) from error


def fingerprint(pem: str) -> str:
    """SHA-256 of the first certificate of a PEM file."""
    found = _PEM.search(pem)
    if found is None:
        raise ClusterError("there is no certificate in this text", why=pem[:80])
    return hashlib.sha256(base64.b64decode(found.group(1))).hexdigest()


def is_ready(node: t.Mapping[str, t.Any]) -> bool:
    """Whether a Node says that it is ready."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)


def free_names(kubectl: Kubectl, names: t.Sequence[str]) -> None:
    """Delete these nodes: kubeadm refuses to join under the name of one that is ready."""
    if names:
        kubectl.delete("node", *names)


def create_token(run: Runner, ttl: str) -> str:
    """A bootstrap token made by kubeadm; it is on no command line and in no file."""
    command = ["kubeadm", "token", "create", "--ttl", ttl, "--kubeconfig", ADMIN_KUBECONFIG]
    return checked(run, command).strip()


def upload_certificates(run: Runner, inputs: Json) -> str:
    """Let kubeadm put the cluster's certificates into a Secret; returns the key that opens it."""
    key = secrets.token_hex(32)
    made_with = inputs.get("InitConfiguration", {})
    init = {name: made_with[name] for name in ("apiVersion", "kind", "localAPIEndpoint") if name in made_with}
    socket = made_with.get("nodeRegistration", {}).get("criSocket")
    if socket:
        init["nodeRegistration"] = {"criSocket": socket}
    documents = [{**init, "certificateKey": key}, inputs.get("ClusterConfiguration", {})]
    command = ["kubeadm", "init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print"]
    with ConfigFile(documents) as config:
        done = run([*command, "--config", config.path], descriptors=[config.descriptor])
    if done.rc != 0:
        raise ClusterError("kubeadm could not hand the certificates over", why=tail(done.output))
    return key


def revoke(kubectl: Kubectl, token: str) -> t.List[str]:
    """Remove a token, and certificates that were handed over with what kubeadm keeps beside them."""
    kept = kubectl.get("secret", "-n", _NAMESPACE, _CERTIFICATES)
    names = [f"bootstrap-token-{token.partition('.')[0]}"]
    if kept is not None:
        owners = kept["metadata"].get("ownerReferences", [])
        names += [owner["name"] for owner in owners if owner["kind"] == "Secret"] + [_CERTIFICATES]
    kubectl.text("delete", "secret", "-n", _NAMESPACE, "--ignore-not-found", *names)
    return names


def discovery_kubeconfig(ca: str, endpoint: str) -> Json:
    """A kubeconfig whose user has no credentials, as kubeadm's file discovery wants it."""
    cluster = {"server": f"https://{endpoint}", "certificate-authority-data": base64.b64encode(ca.encode()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "contexts": [{"name": "join", "context": {"cluster": "cluster", "user": "nobody"}}],
        "current-context": "join",
        "users": [{"name": "nobody", "user": {}}],
    }
