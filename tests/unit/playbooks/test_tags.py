# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What protects a cluster is done whatever tags are chosen."""

from __future__ import annotations

import subprocess

import pytest

LEASE = "Refuse to change the cluster together with another run"


@pytest.mark.parametrize(
    ("playbook", "tag", "task"),
    [
        ("site", "rootfs_install", LEASE),
        ("site", "rootfs_install", "Refuse to go on without a host"),
        ("reset", "rootfs_remove", "Refuse to reset by accident"),
        ("reset", "rootfs_remove", LEASE),
        ("reset", "container_runtime_remove", "Leave out hosts that cannot be asked"),
        ("reset", "container_runtime_remove", "Tell which hosts are not reset"),
        ("registry", "registry_content", LEASE),
        ("registry", "registry_service", "Gather facts"),
        ("registry", "registry_service", "Read the addresses of hosts that this run leaves out"),
    ],
)
def test_what_is_always_done(playbook: str, tag: str, task: str) -> None:
    hosts = ["--inventory", "cp1,", "--extra-vars", "sealer_control_plane_group=all", "--limit", "cp1"]
    command = ["ansible-playbook", f"sealer.cluster.{playbook}", *hosts, "--list-tasks", "--tags", tag]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert any(line.partition("TAGS:")[0].strip().endswith(task) for line in listed.splitlines()), listed
