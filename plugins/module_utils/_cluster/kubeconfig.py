# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a control plane has its administrator's kubeconfig.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, k3s
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError

KUBECONFIGS = (ADMIN_KUBECONFIG, k3s.ADMIN_KUBECONFIG, k0s.ADMIN_KUBECONFIG)


def kubeconfig_of_host(given: t.Optional[str]) -> str:
    """The one that is given, or else the runtime's. Raises ClusterError where this host has none."""
    wanted = [given] if given else KUBECONFIGS
    found = next((path for path in wanted if os.path.exists(path)), None)
    if found is None:
        raise ClusterError(
            "there is no cluster on this host", where=wanted[0], fix="Run this on one of its control planes"
        )
    return found
