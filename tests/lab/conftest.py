# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lab for all tests of a run; SEALER_LAB_KEEP=1 leaves it for a look around."""

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import Lab


@pytest.fixture(scope="session")
def lab() -> t.Iterator[Lab]:
    made = Lab("test", subnet="10.77.89")
    made.destroy()
    made.create()
    yield made
    if not os.environ.get("SEALER_LAB_KEEP"):
        made.destroy()
