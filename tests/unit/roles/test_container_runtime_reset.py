# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which containers and images keep containerd's data, by the task that looks for them, with a double of ctr."""

from __future__ import annotations

import pathlib
import socket
import subprocess

import yaml
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Answers by the last words of a command line, as containerd 2 does for a node with a Docker that came later.
CTR = r"""#!/bin/bash
[ "$1 $2" = "--address /run/containerd/containerd.sock" ] || exit 9
case "${*:3}" in
    "--connect-timeout 5s namespaces list --quiet") printf 'default\nk8s.io\nmoby\n' ;;
    "--namespace k8s.io containers list --quiet labels."*'kind"!=container,labels.'*'kind"!=sandbox') echo nerdctl1 ;;
    "--namespace moby containers list --quiet labels."*) echo c0ffee ;;
    "--namespace moby images list --quiet") echo docker.io/library/nginx:1 ;;
    "--namespace default "*) ;;
    *) echo "not expected: $*" >&2; exit 8 ;;
esac
"""


def look() -> subprocess.CompletedProcess[str]:
    tasks = yaml.safe_load((ROOT / "roles/container_runtime/tasks/reset.yml").read_text())
    script = next(task for task in tasks if "shell" in str(task))["ansible.builtin.shell"]["cmd"]
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


def make_host() -> None:
    for place in ("/run", "/usr/local/bin", "/var/lib"):
        mount("tmpfs", place)
    for namespace in ("k8s.io", "moby"):
        pathlib.Path(f"/var/lib/containerd/io.containerd.runtime.v2.task/{namespace}/c0ffee").mkdir(parents=True)
    pathlib.Path("/usr/local/bin/ctr").write_text(CTR)
    pathlib.Path("/usr/local/bin/ctr").chmod(0o755)
    pathlib.Path("/run/containerd").mkdir()


@in_own_namespaces
def test_containerd_is_asked_for_all_that_is_no_pods() -> None:
    make_host()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("/run/containerd/containerd.sock")
        done = look()
    assert done.stdout.split() == ["k8s.io/nerdctl1", "moby/c0ffee", "moby/docker.io/library/nginx:1"], done.stderr
    assert done.returncode == 0


@in_own_namespaces
def test_a_containerd_that_does_not_run_is_known_by_its_directories() -> None:
    make_host()
    assert look().stdout.split() == ["moby/c0ffee"]


@in_own_namespaces
def test_where_none_ever_ran_there_is_nothing() -> None:
    for place in ("/run", "/usr/local/bin", "/var/lib"):
        mount("tmpfs", place)
    done = look()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
