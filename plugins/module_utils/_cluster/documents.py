# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration documents of kubeadm and k0s: written, compared, kept without secrets.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import os
import typing as t

# Of kubeadm, k0s and k3s.
SECRET_FIELDS = frozenset(
    {
        "agent-token",
        "bootstrapTokens",
        "certificateKey",
        "dataSource",
        "datastore-endpoint",
        "etcd-s3-access-key",
        "etcd-s3-secret-key",
        "password",
        "tlsBootstrapToken",
        "token",
        "vpn-auth",
    }
)

Document = t.Mapping[str, t.Any]


def stream_of(documents: t.Iterable[Document]) -> str:
    """A YAML stream; every JSON document is a YAML document."""
    return "".join(f"---\n{json.dumps(document, indent=1, sort_keys=True)}\n" for document in documents)


class ConfigFile:
    """A configuration for kubeadm in memory, under a path for a program that inherits its descriptor.

    It holds secrets, and no file on a disk outlives a process that is killed.
    """

    def __init__(self, documents: t.Iterable[Document]) -> None:
        self._text = stream_of(documents)
        self.descriptor = -1

    @property
    def path(self) -> str:
        """The path as the program sees it."""
        return f"/proc/self/fd/{self.descriptor}"

    def __enter__(self) -> ConfigFile:
        self.descriptor = os.memfd_create("kubeadm")
        with open(self.descriptor, "w", encoding="utf-8", closefd=False) as stream:
            stream.write(self._text)
        return self

    def __exit__(self, *_caught: object) -> None:
        os.close(self.descriptor)


def without_secrets(value: t.Any) -> t.Any:
    """The same value without the fields that hold secrets, at any depth."""
    if isinstance(value, dict):
        return {key: without_secrets(item) for key, item in value.items() if key not in SECRET_FIELDS}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


def by_kind(documents: t.Iterable[Document]) -> t.Dict[str, t.Any]:
    """The documents under their kinds, without secrets: what is recorded as the inputs of a cluster."""
    return {str(document.get("kind", "")): without_secrets(dict(document)) for document in documents}


def differences(before: t.Any, after: t.Any, path: str = "") -> t.List[str]:
    """Paths of the values in which two documents differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        found: t.List[str] = []
        for key in sorted(set(before) | set(after)):
            found += differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        return found
    return [] if before == after else [path]
