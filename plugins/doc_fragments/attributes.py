# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the attributes that modules declare."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: With C(--check), tells whether it would change something, and changes nothing.
  diff_mode:
    description: With C(--diff), shows what is changed, or would be.
  idempotent:
    description: Run again with the same options, it changes nothing.
"""
