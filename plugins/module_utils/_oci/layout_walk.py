# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What belongs to an image in a layout.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import (
    is_cluster_image,
    platform_of,
    platforms_text,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    ANNOTATION_PLATFORM,
    DOCUMENT_TYPES,
    is_foreign,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Platform

if t.TYPE_CHECKING:
    from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout


def reachable(layout: Layout, top: Descriptor) -> t.Iterator[Descriptor]:
    """The blob itself and all it needs, each once, children before parents.

    What an ordinary index names and is not here does not belong to it. All that a cluster image names for its
    platforms does, here or not: those of its descriptor's platform annotation, without one every platform.
    """
    seen: t.Set[Digest] = set()
    stack = [(top, False)]
    while stack:
        descriptor, opened = stack.pop()
        if opened:
            yield descriptor
            continue
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        stack.append((descriptor, True))
        stack.extend((child, False) for child in reversed(_children(layout, descriptor)) if child.digest not in seen)


def _children(layout: Layout, descriptor: Descriptor) -> t.List[Descriptor]:
    if descriptor.media_type not in DOCUMENT_TYPES or not layout.has(descriptor.digest):
        return []
    document = layout.read_document(descriptor)
    if not isinstance(document, Index):
        return [child for child in document.children if not is_foreign(child.media_type)]
    if not is_cluster_image(document):
        return [child for child in document.children if layout.has(child.digest)]
    wanted = wanted_platforms(descriptor)
    return [child for child in document.children if not wanted or _is_for(child, wanted)]


def wanted_platforms(descriptor: Descriptor) -> t.List[Platform]:
    """The platforms that a cluster image is here for; none means all."""
    text = descriptor.annotations.get(ANNOTATION_PLATFORM, "")
    return [Platform.parse(part) for part in text.split(",") if part]


def joined_platforms(index: Index, *several: t.Sequence[Platform]) -> str:
    """The annotation for a cluster image that is here for all of these; empty when that is all it has."""
    if not all(several):
        return ""
    joined = sorted({platform for platforms in several for platform in platforms})
    if all(_is_for(child, joined) for child in index.children):
        return ""
    return platforms_text(joined)


def _is_for(child: Descriptor, wanted: t.Sequence[Platform]) -> bool:
    platform = platform_of(child)
    return platform is None or any(platform.matches(one) for one in wanted)
