# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of others is told from what is the node's."""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import foreign
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.mounts import Mount
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.processes import Processes
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount

NAS, DISK, BELOW = (
    Mount("/", "/own/nas", "nfs4", "nas:/x"),
    Mount("/", "/own", "ext4", "/dev/sdb"),
    Mount("/", "/", "x", "y"),
)
VOLUME, BESIDE = Mount("/", "/own/pods/volume", "tmpfs", "tmpfs"), Mount("/", "/owner", "tmpfs", "tmpfs")
LISTEN = """
import socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print(flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("ours", "before", "kept"),
    [
        ([VOLUME], ["/own"], ["/own/nas"]),
        ([VOLUME], [], ["/own/nas", "/own"]),
        # What was mounted below before stays as well.
        ([VOLUME], ["/own", "/own/nas"], ["/own/nas"]),
        ([], ["/own"], ["/own/nas", "/own/pods/volume"]),
    ],
)
def test_mounts_of_others(ours: t.List[Mount], before: t.List[str], kept: t.List[str]) -> None:
    found = foreign.foreign_mounts("/own", [NAS, DISK, BELOW, VOLUME, BESIDE, NAS], ours, before)
    assert [one.what for one in found] == kept
    assert str(found[0]).startswith("/own/nas: nfs4 of nas:/x is mounted there")


def look() -> Processes:
    return Processes(["k3s.service"])


@in_own_namespaces
def test_sockets_that_others_have(tmp_path: pathlib.Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "link").symlink_to("own")
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        listening.bind(f"{tmp_path}/link/a b.sock")
        listening.listen()
        datagrams.bind(str(own / "log"))
        with socket.socket(socket.AF_UNIX) as gone:
            gone.bind(str(own / "dead.sock"))
            gone.listen()
        found = foreign.foreign_sockets([str(own)], look)
        assert [one.what for one in found] == [str(own / "a b.sock"), str(own / "log")]
        assert "(process 1" in found[0].why
        assert foreign.foreign_sockets([str(tmp_path / "ow")], look) == []


@in_own_namespaces
def test_sockets_of_the_node_and_of_containers_are_none_of_others(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    # A container has a directory of its own there.
    inside = f"mount -t tmpfs tmpfs {own} && exec python3 -c '{LISTEN}' {own}/containerd.sock"
    with subprocess.Popen(["unshare", "--mount", "sh", "-c", inside], stdout=subprocess.PIPE) as container:
        assert container.stdout is not None and container.stdout.readline()
        (own / "containerd.sock").touch()
        assert foreign.foreign_sockets([str(own)], look) == []
        container.kill()
    (own / "containerd.sock").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(own / "containerd.sock"))
        listening.listen()
        monkeypatch.setattr(Processes, "_is_ours", lambda *_given: True)
        assert foreign.foreign_sockets([str(own)], look) == []


def test_processes_are_looked_at_only_where_there_are_sockets(tmp_path: pathlib.Path) -> None:
    assert foreign.foreign_sockets([str(tmp_path)], lambda: pytest.fail("looked")) == []


@in_own_namespaces
def test_programs_of_other_nodes_count_in_the_same_network_alone(tmp_path: pathlib.Path) -> None:
    for name in ("kube-proxy", "flanneld", "kubelet"):
        (tmp_path / name).symlink_to("/bin/sleep")
    started = [subprocess.Popen([tmp_path / "kube-proxy", "60"])]
    started.append(subprocess.Popen(["unshare", "--net", "--mount", tmp_path / "flanneld", "60"]))
    started.append(subprocess.Popen(["unshare", "--mount", tmp_path / "kubelet", "60"]))
    while sorted(one.name for one in look().others() if one.number > 1) != ["flanneld", "kube-proxy", "kubelet"]:
        os.sched_yield()
    found = foreign.agents(look())
    assert set(found) == {"KUBE-"}
    # The kubelet has other directories, so it is no node on this host.
    foreign.refuse_other_node(look(), "/var/lib/sealer/k3s.json")
    for one in started:
        one.kill()


@in_own_namespaces
def test_who_is_in_a_network_namespace(tmp_path: pathlib.Path) -> None:
    (tmp_path / "net").touch()
    assert foreign.in_namespace(str(tmp_path / "net"), look()) is None
    mount("/proc/self/ns/net", tmp_path / "net")
    found = foreign.in_namespace(str(tmp_path / "net"), look())
    assert found is not None and found.number == 1
    assert foreign.in_namespace(str(tmp_path / "none"), look()) is None
