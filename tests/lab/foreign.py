# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Things on a host that are somebody else's, and that no cluster may take away."""

from __future__ import annotations

import json

from ansible_collections.sealer.cluster.tests.lab.lab import Inventories, Lab

# Where runc keeps process and times of the container.
_STATE = "/run/runc/foreign/state.json"
# A rule, a CNI configuration, a container and a service. All but the file are gone when a host starts again.
_PUT = """
set -eu
iptables -A INPUT -p tcp --dport 9 -m comment --comment foreign -j ACCEPT
mkdir -p /etc/cni/net.d /opt/foreign/rootfs/usr
echo '{"cniVersion": "1.0.0", "name": "foreign", "type": "loopback"}' > /etc/cni/net.d/99-foreign.conf
for name in bin lib lib64; do ln -sfn usr/$name /opt/foreign/rootfs/$name; done
cd /opt/foreign
rm -f config.json
runc spec
python3 - <<END
import json
spec = json.load(open("config.json"))
spec["process"].update(terminal=False, args=["/bin/sleep", "infinity"], rlimits=[])
spec["mounts"].append({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]})
json.dump(spec, open("config.json", "w"))
END
runc run --detach foreign < /dev/null > /dev/null 2>&1
systemd-run --quiet --unit=foreign.service sleep infinity
"""


def put_foreign(lab: Lab, *names: str) -> None:
    """Put them onto all hosts, or these."""
    for host in names or lab.hosts:
        lab.ssh(host, _PUT)


def put_foreign_again(lab: Lab, host: str, before: Inventories) -> None:
    """Put them onto a host that has started again, and what the new container has of its own into the inventory."""
    put_foreign(lab, host)
    before[host]["files"][_STATE] = lab.inventory_of(host)["files"][_STATE]


def require_foreign(lab: Lab, *names: str) -> None:
    """They are still there, and run."""
    for host in names or lab.hosts:
        assert "foreign" in lab.ssh(host, "iptables-save")
        assert "foreign" in lab.ssh(host, "cat /etc/cni/net.d/99-foreign.conf")
        assert lab.ssh(host, "systemctl is-active foreign.service").strip() == "active"
        assert json.loads(lab.ssh(host, "runc state foreign"))["status"] == "running"
