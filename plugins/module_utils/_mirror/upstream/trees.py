# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who of the mirrors of one cluster fetches what, so that it crosses the site's uplink once.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference


def order_of_peers(reference: Reference, urls: t.Sequence[str]) -> t.List[str]:
    """The peers in the order in which they are to fetch this content.

    Every peer comes to the same order by itself. The order differs from content to content, and a peer that comes or
    goes changes nobody else's place before another. Content is its digest, so that it is one whatever it is called.
    """
    content = str(reference.digest) if reference.digest is not None else str(reference)
    return sorted(urls, key=lambda url: hashlib.sha256(f"{url} {content}".encode()).digest())
