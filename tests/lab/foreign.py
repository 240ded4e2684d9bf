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
# What comes to a host that is a node already: mounts in the node's directories, a chain of podman's, a Docker's socket,
# and a process in the control group of a node that runs in a container. None of it outlives the test. Nothing is put
# into /var/log/pods: each minute, the kubelet itself removes from there what belongs to none of its pods, mounted or
# not.
_NODES_DIRECTORIES = "/var/lib/etcd /var/lib/kubelet /var/lib/k0s /var/lib/rancher/k3s"
_GROUPS = "groups=/sys/fs/cgroup/pids; [ -d $groups ] || groups=/sys/fs/cgroup"
_RULE = """-s 192.0.2.7 -m comment --comment 'name: "foreign" id: "c0ffee"' -j CNI-foreign"""
_DOCKER = """
import socket, time
listening = socket.socket(socket.AF_UNIX)
listening.bind("/run/containerd/foreign.sock")
listening.listen()
time.sleep(86400)
"""
_PUT_INTO_NODE = f"""
set -eu
mkdir -p /opt/foreign/archive /run/containerd
for place in {_NODES_DIRECTORIES}; do
    [ -d $place ] || continue
    mkdir -p $place/foreign/nas
    case $place in
        /var/lib/kubelet) mount --bind /opt/foreign/archive $place/foreign/nas ;;
        *) mount -t tmpfs foreign $place/foreign/nas ;;
    esac
    echo precious > $place/foreign/nas/data
done
iptables -t nat -N CNI-foreign
iptables -t nat -A POSTROUTING {_RULE}
iptables -t nat -A CNI-foreign -m comment --comment 'name: "foreign" id: "c0ffee"' -j MASQUERADE
setsid python3 -c '{_DOCKER}' < /dev/null > /dev/null 2>&1 &
echo $! > /opt/foreign/docker.pid
{_GROUPS}
mkdir -p $groups/docker/foreign/kubepods/pod1
setsid sleep 86400 < /dev/null > /dev/null 2>&1 &
echo $! > /opt/foreign/pod.pid
cat /opt/foreign/pod.pid > $groups/docker/foreign/kubepods/pod1/cgroup.procs
"""
_REQUIRE_IN_NODE = f"""
set -eu
for place in {_NODES_DIRECTORIES}; do
    [ ! -d $place/foreign ] || [ "$(cat $place/foreign/nas/data)" = precious ]
done
[ "$(cat /opt/foreign/archive/data)" = precious ]
[ "$(iptables-save -t nat | grep -c '^-A.* CNI-foreign')" = 2 ]
[ -S /run/containerd/foreign.sock ]
kill -0 $(cat /opt/foreign/docker.pid)
kill -0 $(cat /opt/foreign/pod.pid)
grep -q /docker/foreign/kubepods/pod1 /proc/$(cat /opt/foreign/pod.pid)/cgroup
"""
# A Docker that goes takes along what a reset has left to it.
_TAKE_FROM_NODE = f"""
set -eu
kill -KILL $(cat /opt/foreign/docker.pid) $(cat /opt/foreign/pod.pid)
while kill -0 $(cat /opt/foreign/pod.pid) 2>/dev/null; do sleep 0.1; done
for place in {_NODES_DIRECTORIES}; do
    [ -d $place/foreign ] || continue
    umount $place/foreign/nas
    rmdir $place/foreign/nas $place/foreign
    [ $place != /var/lib/rancher/k3s ] || rmdir $place
done
iptables -t nat -D POSTROUTING {_RULE}
iptables -t nat -F CNI-foreign
iptables -t nat -X CNI-foreign
{_GROUPS}
cd $groups
rmdir -p docker/foreign/kubepods/pod1
rm -rf /run/containerd /opt/foreign/archive /opt/foreign/docker.pid /opt/foreign/pod.pid
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


def put_foreign_into_nodes(lab: Lab) -> None:
    """Put into all nodes what comes later and is none of theirs."""
    for host in lab.hosts:
        lab.ssh(host, _PUT_INTO_NODE)


def require_foreign_in_nodes(lab: Lab) -> None:
    """It is still there on hosts that are nodes no more, and works; take it away."""
    for host in lab.hosts:
        lab.ssh(host, _REQUIRE_IN_NODE)
        lab.ssh(host, _TAKE_FROM_NODE)
