# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of Kubernetes objects.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json


class ObjectId(t.NamedTuple):
    """What names an object for good; its API version may change. A cluster-scoped object has no namespace."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class ObjectRef(t.NamedTuple):
    """Where the API server finds an object."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def id(self) -> ObjectId:
        return ObjectId(group_of(self.api_version), self.kind, self.namespace, self.name)

    def document(self) -> Json:
        """The least that kubectl needs to find the object."""
        metadata = {"name": self.name, **({"namespace": self.namespace} if self.namespace else {})}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}

    def __str__(self) -> str:
        return str(self.id)


def group_of(api_version: str) -> str:
    """The API group: empty for the core group."""
    return api_version.rpartition("/")[0]


def ref_of(item: Json) -> ObjectRef:
    metadata = item["metadata"]
    return ObjectRef(item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"])


def list_of(documents: t.Iterable[Json]) -> Json:
    """Many objects as one document."""
    return {"apiVersion": "v1", "kind": "List", "items": list(documents)}
