# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host needs of the cluster that it joins.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError


def required(endpoint: str, token: t.Optional[str], refused: t.Sequence[str]) -> str:
    """The token to join with; raises ClusterError where control planes gave none, with what they said instead."""
    if not endpoint:
        raise ClusterError(
            "no control plane of the cluster gave credentials to this host",
            why="; ".join(refused),
            fix="Start the cluster on its first control plane, or bring a control plane back, and run this again",
        )
    if not token:
        raise ClusterError(
            f"the host is to join {endpoint}, but there is no token for it",
            why="the cluster still counts a node of this name as ready, though this host is none",
            fix="Wait a minute until the cluster has noticed, or delete that node with kubectl, and run this again",
        )
    return token
