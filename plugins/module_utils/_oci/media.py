# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Media types, annotations and the kinds of things inside a cluster image.

Private to the collection: may change at any time.
"""

from __future__ import annotations

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
LAYER_TAR = "application/vnd.oci.image.layer.v1.tar"
LAYER_TAR_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
LAYER_TAR_ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
LOCK_V1 = "application/vnd.io.sealer.lock.v1+json"
# An upstream's index as a layer of a lock. With an index's own type, oras would push it as a manifest, not as a blob.
UPSTREAM_INDEX_V1 = "application/vnd.io.sealer.upstream-index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_CONTENT = b"{}"

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
DOCUMENT_TYPES = INDEX_TYPES | MANIFEST_TYPES

ANNOTATION_KIND = "io.sealer.kind"
ANNOTATION_PLATFORM = "io.sealer.platform"
ANNOTATION_REF = "org.opencontainers.image.ref.name"
ANNOTATION_CONTAINERD_NAME = "io.containerd.image.name"

KIND_CLUSTER_IMAGE = "cluster-image"
KIND_ROOTFS = "rootfs"
KIND_LOCK = "lock"
KIND_CONTAINER_IMAGE = "container-image"

LABEL_DESCRIPTION = "io.sealer.cluster"


def is_foreign(media_type: str) -> bool:
    """Whether such a layer is fetched from its own URL and never travels with the image."""
    return ".nondistributable." in media_type or ".foreign." in media_type
