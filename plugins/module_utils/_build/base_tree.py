# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rootfs that a base image brings.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.base import Base, describe
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer_listing import read_listing
from ansible_collections.sealer.cluster.plugins.module_utils._build.sources import Sources
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import Tree
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference


def load_tree(sources: Sources, base: Base) -> Tree:
    """The base's layers one over the other.

    A layer is read once: what it holds is kept in the store. One that is not in the store, in check mode, is read from
    its registry and kept nowhere. Raises BuildError where a layer cannot be had or nodes would refuse it.
    """
    tree = Tree()
    for layer in base.layers:
        try:
            tree.apply(_listing(sources, base.reference, layer))
        except SealerError as error:
            raise BuildError(
                f"the files of base image {base.reference} cannot be listed",
                where=error.where,
                why=describe(error),
                fix=error.fix,
            ) from error
    return tree


def _listing(sources: Sources, reference: str, layer: Descriptor) -> t.Sequence[Entry]:
    pool = sources.pool
    known = pool.listing(layer.digest)
    if known is not None:
        return known
    with pool.open(layer.digest) or sources.registry.open_blob(Reference.parse(reference), layer) as blob:
        entries = read_listing(blob, layer)
    pool.put_listing(layer.digest, entries)
    return entries
