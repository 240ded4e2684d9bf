# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong before a host is touched: each is told clearly, and the hosts stay as they were."""

from __future__ import annotations

import contextlib
import json
import pathlib
import typing as t
from functools import partial

import pytest
from ansible_collections.sealer.cluster.tests.lab.lab import CACHE, Lab, playbook, wait_for

TAKE_PORT = """
systemd-run --quiet --unit=taken python3 -m http.server 6443
for try in $(seq 50); do ss -ltn | grep -q :6443 && exit; sleep 0.1; done; exit 1
"""
MAKE_GUEST = """
useradd --create-home guest
install -d -o guest -m 700 /home/guest/.ssh
install -o guest -m 600 /root/.ssh/authorized_keys /home/guest/.ssh/
"""


@contextlib.contextmanager
def untouched(lab: Lab) -> t.Iterator[None]:
    """The hosts' inventories are the same afterwards."""
    before = lab.inventories()
    yield
    assert lab.changes_since(before) == {}


def test_a_host_that_is_missing(lab: Lab, tmp_path: pathlib.Path) -> None:
    extra = tmp_path / "hosts.yml"
    absent = {"ansible_host": f"{lab.subnet}.99", "ansible_ssh_timeout": 3}
    extra.write_text(json.dumps({"kube_node": {"hosts": {"absent": absent}}}))
    with untouched(lab):
        run = lab.play("site", f"--inventory={extra}")
    assert run.status != 0
    text = " ".join(run.text.replace("\\n", " ").split())
    assert (
        "absent cannot be asked: " in text
        and "--limit 'all:!absent'" in text
        and "name=absent on a control plane" in text
    )
    assert all(run.hosts[host].changed == 0 for host in lab.hosts)


def test_an_inventory_without_control_plane(lab: Lab) -> None:
    run = lab.play("site", variables={"sealer_control_plane_group": "none_of_them"})
    assert run.status != 0
    assert "The inventory has no control plane" in run.text
    assert set(run.hosts) == {"localhost"}


def test_an_inventory_and_an_image_that_do_not_fit(lab: Lab, tmp_path: pathlib.Path) -> None:
    """All of it is told at once: groups, addresses, the image's platform, the runtime that it lacks, an even number."""
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY Kubefile etc/\n")
    given = {"sealer_store": str(tmp_path / "store"), "sealer_build_path": str(tmp_path), "sealer_build_name": "odd:1"}
    built = playbook(
        "sealer.cluster.build", f"--extra-vars={json.dumps({**given, 'sealer_build_platforms': ['linux/s390x']})}"
    )
    assert built.status == 0, built.text
    first, second, third, fourth = lab.hosts
    groups = {
        "kube_control_plane": {"hosts": {"twin": {"ansible_host": lab.managed(second)}}},
        "nodes": {"hosts": {"database": {"ansible_host": f"{lab.subnet}.98"}, fourth: {}}},
    }
    extra = tmp_path / "hosts.yml"
    extra.write_text(json.dumps(groups))
    with untouched(lab):
        run = lab.play("site", f"--inventory={extra}", variables={**given, "sealer_image": "odd:1"})
    assert run.status != 0
    assert all(run.hosts[host].changed == 0 for host in (first, second, third, fourth, "twin"))
    assert "database" not in run.hosts
    text = " ".join(run.text.replace("\\n", " ").split())
    for told in (
        "Group nodes (database) is not part of the cluster, because the inventory has kube_control_plane and kube_node",
        f"{second} and twin have the same address {lab.managed(second)}",
        "The image odd:1 brings no Kubernetes",
        "the image is not made for linux/",
        "There are 4 control planes. More than half of them have to be alive",
    ):
        assert told in text, run.text


def test_a_port_that_is_taken(lab: Lab) -> None:
    lab.ssh(lab.control_plane, TAKE_PORT)
    try:
        with untouched(lab):
            run = lab.play("site")
    finally:
        lab.ssh(lab.control_plane, "systemctl stop taken")
    assert run.status != 0
    assert "6443" in run.text and "python3" in run.text


def test_too_little_space(lab: Lab) -> None:
    lab.ssh(lab.control_plane, "mkdir -p /var/lib/sealer && mount -t tmpfs -o size=50m tmpfs /var/lib/sealer")
    try:
        with untouched(lab):
            run = lab.play("site")
    finally:
        lab.ssh(lab.control_plane, "umount /var/lib/sealer && rmdir /var/lib/sealer")
    assert run.status != 0
    assert "/var/lib/sealer" in run.text and "free" in run.text


def _guest_is_gone(lab: Lab, host: str) -> bool:
    """Once the last process of the user has ended, the user can be removed."""
    removed = "pkill -KILL -u guest; userdel --remove guest 2>/dev/null; id guest >/dev/null 2>&1 || echo gone"
    return "gone" in lab.ssh(host, removed)


def test_a_user_who_is_not_root(lab: Lab) -> None:
    for host in lab.hosts:
        lab.ssh(host, MAKE_GUEST)
    try:
        run = lab.play("site", variables={"ansible_user": "guest", "ansible_become": False})
    finally:
        for host in lab.hosts:
            wait_for(partial(_guest_is_gone, lab, host), 30)
    assert run.status != 0
    assert "root" in run.text and "become" in run.text


def test_an_image_that_is_not_in_the_store(lab: Lab) -> None:
    with untouched(lab):
        run = lab.play("site", variables={"sealer_image": "absent:1"})
    assert run.status != 0
    assert "docker.io/library/absent:1" in run.text


@pytest.mark.parametrize(
    ("kubefile", "told"),
    [
        ("FROM kubernetes:v1.35.4\nRUN true\n", "Kubefile:2:1"),
        ("FROM kubernetes:v1.35.4\nCOPPY a b\n", "COPY"),
        ("FROM 127.0.0.1:9/absent:1\n", "127.0.0.1:9"),
    ],
    ids=["not supported yet", "unknown", "unreachable registry"],
)
def test_a_kubefile_that_is_wrong(tmp_path: pathlib.Path, kubefile: str, told: str) -> None:
    (tmp_path / "Kubefile").write_text(kubefile)
    names = (CACHE / "store/index.json").read_bytes()
    given = {"sealer_store": str(CACHE / "store"), "sealer_build_path": str(tmp_path), "sealer_build_name": "wrong:1"}
    run = playbook("sealer.cluster.build", f"--extra-vars={json.dumps(given)}")
    assert run.status != 0
    assert told in run.text
    assert (CACHE / "store/index.json").read_bytes() == names
    assert [path.name for path in tmp_path.iterdir()] == ["Kubefile"]
