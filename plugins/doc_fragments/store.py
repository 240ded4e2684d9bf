# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the store option (module_utils/_argspec.py, STORE_SPEC)."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  store:
    description:
      - Directory of the store, an OCI image layout.
      - Without it, E(SEALER_STORE) decides, then C(/var/lib/sealer/store) for root and
        C(~/.local/share/sealer/store) for everybody else.
    type: path
"""
