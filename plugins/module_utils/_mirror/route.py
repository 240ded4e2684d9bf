# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a request's path and query ask for.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import DOCKER_HUB, Reference

MANIFESTS = "manifests"
BLOBS = "blobs"
NAMESPACE = "ns"

_CONTENT = re.compile(rf"/v2/(?P<name>.+)/(?P<kind>{MANIFESTS}|{BLOBS})/(?P<wanted>[^/]+)")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DOCKER_HUB_ALIASES = frozenset({"index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True)
class Target:
    """A manifest (by tag or digest) or a blob (by digest), under the name of the registry that the client meant."""

    kind: str
    reference: Reference


def parse_target(path: str, query: str) -> t.Optional[Target]:
    """What is asked for; None when the path is no manifest's and no blob's.

    The registry is the one in the query (``?ns=quay.io``, as containerd sends it), else the path's first component
    where that can only be a registry (``/v2/quay.io/…``), else docker.io. Raises Refused for invalid names.
    """
    found = _CONTENT.fullmatch(path)
    if found is None:
        return None
    name, kind, wanted = found.group("name", "kind", "wanted")
    digest = _digest(wanted) if ":" in wanted or kind == BLOBS else None
    tag = wanted if digest is None else None
    if tag is not None and _TAG.fullmatch(tag) is None:
        raise Refused(HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN", "this cannot be a tag")
    registry, repository = _split(name, _namespace(query))
    try:
        return Target(kind, Reference(registry, repository, tag, digest))
    except OciError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "NAME_INVALID", error.what, detail=error.why) from error


def _split(name: str, namespace: str) -> t.Tuple[str, str]:
    if namespace:
        registry, repository = namespace, name
    else:
        try:
            whole = Reference.parse(f"{name}:any")
        except OciError as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "NAME_INVALID", error.what, detail=error.why) from error
        registry, repository = whole.registry, whole.repository
    if registry in _DOCKER_HUB_ALIASES:
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _namespace(query: str) -> str:
    try:
        found = parse_qs(query, max_num_fields=16).get(NAMESPACE, [])
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "NAME_INVALID", "the query cannot be read", detail=str(error)) from error
    if len(set(found)) > 1:
        raise Refused(HTTPStatus.BAD_REQUEST, "NAME_INVALID", f"the query names several registries as {NAMESPACE!r}")
    return found[0] if found else ""


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except OciError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "DIGEST_INVALID", error.what, detail=error.why) from error
