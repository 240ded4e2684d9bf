# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lab for all tests of a run, and the cluster that most of them look at; SEALER_LAB_KEEP=1 leaves the hosts.

Two labs at once are too much for one machine, so tests that need no host of this one run before it is made.
"""

from __future__ import annotations

import typing as t
from functools import partial

import pytest
from ansible_collections.sealer.cluster.tests.lab.canaries import Watch
from ansible_collections.sealer.cluster.tests.lab.cluster_state import watched
from ansible_collections.sealer.cluster.tests.lab.foreign import put_foreign
from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab, Run
from ansible_collections.sealer.cluster.tests.lab.runtimes import KUBEADM

# The same hosts are looked at bare, are clusters of two runtimes, and then the cluster of the others, until its end.
ORDER = (
    "test_air_gap",
    "test_wrong_input",
    "test_secrets",
    "test_pairs",
    "test_cluster",
    "test_mirror",
    "test_applications",
    "test_control_planes",
    "test_reset",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    """Tests without hosts come first. In long/, no test needs hosts in a state that another one leaves."""
    if "lab" not in getattr(item, "fixturenames", ()):
        return -1
    if item.path.parent.name == "core" and item.path.stem not in ORDER:
        raise pytest.UsageError(f"{item.path.name} uses the lab: say in ORDER of tests/lab/conftest.py when it runs")
    return ORDER.index(item.path.stem) if item.path.stem in ORDER else len(ORDER)


@pytest.fixture(scope="session")
def lab() -> t.Iterator[Lab]:
    with Lab("core", control_planes=3, registries=2, subnet="10.77.89").running() as made:
        yield made


@pytest.fixture(scope="session")
def before(lab: Lab) -> Inventories:
    """The hosts' inventories, with things on them that are somebody else's."""
    put_foreign(lab)
    return lab.inventories()


@pytest.fixture(scope="session")
def watched_site(lab: Lab, before: Inventories) -> tuple[Run, Watch]:
    return watched(KUBEADM, lab, partial(lab.play, "site"))


@pytest.fixture(scope="session")
def site(watched_site: tuple[Run, Watch]) -> Run:
    return watched_site[0]
