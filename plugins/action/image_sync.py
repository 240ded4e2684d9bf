# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller side of M(sealer.cluster.image_sync): shows its progress."""

from __future__ import annotations

from ansible_collections.sealer.cluster.plugins.plugin_utils._progress import ProgressAction


class ActionModule(ProgressAction):
    """Runs the module of this name."""
