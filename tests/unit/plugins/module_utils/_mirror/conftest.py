# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store with a sample image, served."""

from __future__ import annotations

import logging
import pathlib

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.app import Application
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.sources import StoreSource
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.store import Store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.serving import (
    CLUSTER_IMAGE,
    Client,
    Shop,
)
from ansible_collections.sealer.cluster.tests.unit.sample_image import sample


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> Shop:
    """A store with one cluster image, served."""
    layout = Layout.open(str(tmp_path / "store"), create=True)
    made = sample(layout, CLUSTER_IMAGE)
    application = Application([StoreSource(Store(layout.path))], logging.getLogger("test"))
    return Shop(layout, made, Client(application))
