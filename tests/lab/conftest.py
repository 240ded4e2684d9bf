# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lab and one cluster for all tests of a run; SEALER_LAB_KEEP=1 leaves the lab for a look around.

Files run by their names: hosts are bare in test_bare; test_cluster and test_mirror use the cluster, test_reset ends it.
Tests without this lab come first: two clusters at once are too much for one machine.
"""

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import Lab, Run

# A rule, a CNI configuration, a container and a service that are somebody else's.
FOREIGN = """
set -eu
iptables -A INPUT -p tcp --dport 9 -m comment --comment foreign -j ACCEPT
mkdir -p /etc/cni/net.d /opt/foreign/rootfs/usr
echo '{"cniVersion": "1.0.0", "name": "foreign", "type": "loopback"}' > /etc/cni/net.d/99-foreign.conf
for name in bin lib lib64; do ln -sfn usr/$name /opt/foreign/rootfs/$name; done
cd /opt/foreign
rm -f config.json
runc spec
python3 - <<EOF
import json
spec = json.load(open("config.json"))
spec["process"].update(terminal=False, args=["/bin/sleep", "infinity"], rlimits=[])
spec["mounts"].append({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]})
json.dump(spec, open("config.json", "w"))
EOF
runc run --detach foreign < /dev/null > /dev/null 2>&1
systemd-run --quiet --unit=foreign.service sleep infinity
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever has hosts of its own is done with them before the lab is made."""
    items.sort(key=lambda item: "lab" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def lab() -> t.Iterator[Lab]:
    made = Lab("test", workers=2, registries=2, subnet="10.77.89")
    made.destroy()
    made.create()
    yield made
    if not os.environ.get("SEALER_LAB_KEEP"):
        made.destroy()


@pytest.fixture(scope="session")
def before(lab: Lab) -> dict[str, dict[str, t.Any]]:
    """The hosts' inventories, with things on them that are somebody else's."""
    for host in lab.hosts:
        lab.ssh(host, FOREIGN)
    return {host: lab.inventory_of(host) for host in lab.hosts}


@pytest.fixture(scope="session")
def site(lab: Lab, before: dict[str, dict[str, t.Any]]) -> Run:
    run = lab.play("site")
    assert run.status == 0, run.text
    return run
