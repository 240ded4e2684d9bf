# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of roles and modules that hold secrets, which secret stands for each in the lab, and values to give."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import typing as t
import uuid

from ansible_collections.sealer.cluster.tests.lab.canaries import CERTIFICATE_KEY, JOIN_TOKEN, Secret

APPLICATION = "secret variable of an application"
AUTHORITY_KEY = "key of a given authority"
CLIENT_KEY = "key for an upstream"
DATA_SOURCE = "password in a datastore's address"
DISTRIBUTION_PASSWORD = "password of a user of distribution"
DISTRIBUTION_SECRET = "secret for distribution's uploads"
DISTRIBUTION_VARIABLE = "secret variable of distribution"
EXTERNAL_PASSWORD = "password at a registry in the mirror's place"
HOST_KEY = "key of a given certificate"
IDENTITY_TOKEN = "identity token for an upstream"
MIRROR_PASSWORD = "nodes' password at the mirror"
PROXY_PASSWORD = "password in a proxy's address"
S3_ACCESS_KEY = "access key of S3"
S3_SECRET_KEY = "secret key of S3"
UPSTREAM_PASSWORD = "password at an upstream"
USER_PASSWORD = "password of a mirror's user"

# Every option that a spec marks as one, by role or module.
OPTIONS = {
    "apps.apps_password": MIRROR_PASSWORD,
    "apps.apps_secret_env": APPLICATION,
    "container_runtime.container_runtime_external.password": EXTERNAL_PASSWORD,
    "container_runtime.container_runtime_password": MIRROR_PASSWORD,
    "distribution.distribution_ca_private_key": AUTHORITY_KEY,
    "distribution.distribution_environment": DISTRIBUTION_VARIABLE,
    "distribution.distribution_host_private_key": HOST_KEY,
    "distribution.distribution_http_secret": DISTRIBUTION_SECRET,
    "distribution.distribution_s3_access_key": S3_ACCESS_KEY,
    "distribution.distribution_s3_secret_key": S3_SECRET_KEY,
    "distribution.distribution_users.password": DISTRIBUTION_PASSWORD,
    "k0s.k0s_kine_data_source": DATA_SOURCE,
    "k0s.k0s_registry_password": MIRROR_PASSWORD,
    "k3s.k3s_datastore_endpoint": DATA_SOURCE,
    "k3s.k3s_registry_password": MIRROR_PASSWORD,
    "preflight.preflight_external.password": EXTERNAL_PASSWORD,
    "registry.registry_ca_private_key": AUTHORITY_KEY,
    "registry.registry_host_private_key": HOST_KEY,
    "registry.registry_upstreams.client_key": CLIENT_KEY,
    "registry.registry_upstreams.password": UPSTREAM_PASSWORD,
    "registry.registry_upstreams.proxy": PROXY_PASSWORD,
    "registry.registry_upstreams.token": IDENTITY_TOKEN,
    "registry.registry_users.password": USER_PASSWORD,
    "registry_client.registry_client_password": MIRROR_PASSWORD,
    "rootfs.rootfs_external.password": EXTERNAL_PASSWORD,
    "rootfs.rootfs_password": MIRROR_PASSWORD,
    "_argspec.password": EXTERNAL_PASSWORD,
    "cluster_apps.password": MIRROR_PASSWORD,
    "cluster_apps.secret_env": APPLICATION,
    "host_config.secrets": UPSTREAM_PASSWORD,
    "k0s_join.token": JOIN_TOKEN,
    "k3s_join.token": JOIN_TOKEN,
    "k3s_token.token": JOIN_TOKEN,
    "kubeadm_join.certificate_key": CERTIFICATE_KEY,
    "kubeadm_join.token": JOIN_TOKEN,
    "kubeadm_token.token": JOIN_TOKEN,
    "preflight.password": EXTERNAL_PASSWORD,
    "registry_credentials.password": USER_PASSWORD,
    "rootfs.password": MIRROR_PASSWORD,
    "tls_request.private_key": HOST_KEY,
    "tls_sign.ca_private_key": AUTHORITY_KEY,
}
# Made in a run: read on hosts while it goes, see runtimes.py.
MADE = {CERTIFICATE_KEY, JOIN_TOKEN}
# Given where a registry knows it, see private_registry.py.
KNOWN_TO_A_REGISTRY = {EXTERNAL_PASSWORD}
_KEYS = (AUTHORITY_KEY, CLIENT_KEY, HOST_KEY)


@dataclasses.dataclass(frozen=True)
class Given:
    """Secrets that are given to playbooks in check mode, and the variables that hold them."""

    secrets: tuple[Secret, ...]
    variables: t.Mapping[str, object]

    @classmethod
    def make(cls) -> Given:
        """Secrets that nobody had before, one for each kind that nobody has to know or to make."""
        pems = {
            kind: _openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]) for kind in _KEYS
        }
        others = set(OPTIONS.values()) - MADE - KNOWN_TO_A_REGISTRY - set(_KEYS)
        values = {kind: uuid.uuid4().hex for kind in others}
        first_lines = {kind: pem.splitlines()[1] for kind, pem in pems.items()}
        secrets = tuple(Secret(kind, value) for kind, value in {**values, **first_lines}.items())
        return cls(secrets, _variables(values, pems))

    def write(self, path: pathlib.Path, **more: object) -> None:
        """Put the variables into a file that is its owner's alone."""
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as stream:
            json.dump({**self.variables, **more}, stream)


def _openssl(arguments: t.Sequence[str], given: str = "") -> str:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, check=True).stdout


def _certificate(key: str) -> str:
    return _openssl(["req", "-x509", "-new", "-subj", "/CN=canary", "-days", "2", "-key", "/dev/stdin"], key)


def _variables(values: t.Mapping[str, str], pems: t.Mapping[str, str]) -> dict[str, object]:
    password = values[UPSTREAM_PASSWORD]
    upstreams = [
        {"name": "password.example", "urls": ["https://192.0.2.10"], "username": "canary", "password": password},
        {"name": "token.example", "urls": ["https://192.0.2.11"], "token": values[IDENTITY_TOKEN]},
        {
            "name": "certificate.example",
            "urls": ["https://192.0.2.12"],
            "client_certificate": _certificate(pems[CLIENT_KEY]),
            "client_key": pems[CLIENT_KEY],
            "proxy": f"http://canary:{values[PROXY_PASSWORD]}@192.0.2.13:3128",
        },
    ]
    address = f"mysql://canary:{values[DATA_SOURCE]}@tcp(192.0.2.14:3306)/canary"
    return {
        "apps_secret_env": {"CANARY": values[APPLICATION]},
        "sealer_registry_pull_through": "configured",
        "sealer_registry_upstreams": upstreams,
        "sealer_registry_users": [{"name": "canary", "password": values[USER_PASSWORD]}],
        "sealer_registry_username": "canary",
        "sealer_registry_password": values[MIRROR_PASSWORD],
        "sealer_registry_ca_certificate": _certificate(pems[AUTHORITY_KEY]),
        "sealer_registry_ca_private_key": pems[AUTHORITY_KEY],
        "registry_host_private_key": pems[HOST_KEY],
        "k3s_datastore_endpoint": address,
        "k0s_storage": "kine",
        "k0s_kine_data_source": address,
        "distribution_ca_certificate": _certificate(pems[AUTHORITY_KEY]),
        "distribution_ca_private_key": pems[AUTHORITY_KEY],
        "distribution_host_private_key": pems[HOST_KEY],
        "distribution_environment": {"CANARY": values[DISTRIBUTION_VARIABLE]},
        "distribution_http_secret": values[DISTRIBUTION_SECRET],
        "distribution_storage": "s3",
        "distribution_s3_bucket": "canary",
        "distribution_s3_access_key": values[S3_ACCESS_KEY],
        "distribution_s3_secret_key": values[S3_SECRET_KEY],
        "distribution_users": [{"name": "canary", "password": values[DISTRIBUTION_PASSWORD]}],
    }
