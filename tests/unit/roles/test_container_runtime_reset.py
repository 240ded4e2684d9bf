# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which containers and images keep containerd's data, by the task that looks for them, with a double of ctr."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
import typing as t

import pytest
import yaml
from ansible_collections.sealer.cluster.tests.unit.namespaces import in_own_namespaces, mount

ROOT = pathlib.Path(__file__).resolve().parents[3]
DATA = pathlib.Path("/var/lib/containerd")
DATABASE = DATA / "io.containerd.metadata.v1.bolt/meta.db"
JOURNAL = pathlib.Path("/var/lib/sealer/host.json")
# Answers by the last words of a command line, as containerd 2 does for a node with a Docker that came later.
CTR = r"""#!/bin/bash
[ "$1 $2 $3 $4" = "--address /run/containerd/containerd.sock --connect-timeout 5s" ] || exit 9
case "${*:5}" in
    "$BROKEN"*) echo "ctr: deadline exceeded" >&2; exit 1 ;;
    "namespaces list --quiet") printf 'default\nk8s.io\n'; [ -n "$ALONE" ] || echo moby ;;
    "--namespace k8s.io containers list --quiet labels."*'kind"!=container,labels.'*'kind"!=sandbox')
        [ -n "$ALONE" ] || echo nerdctl1 ;;
    "--namespace moby containers list --quiet labels."*) echo c0ffee ;;
    "--namespace moby images list --quiet") echo docker.io/library/nginx:1 ;;
    "--namespace default "*) ;;
    *) echo "not expected: $*" >&2; exit 8 ;;
esac
"""
# As its last act, containerd writes to its database.
SYSTEMCTL = f"""#!/bin/bash
echo "$*" >> /run/systemctl.called
touch {DATABASE}
sleep 0.05
"""
UNKNOWN = 3


def look(*, alone: bool = False, broken: str = "nothing", check: bool = False) -> subprocess.CompletedProcess[str]:
    """alone: whether only pods have something there; broken: what questions that fail begin with."""
    tasks = yaml.safe_load((ROOT / "roles/container_runtime/tasks/reset.yml").read_text())
    script = next(task for task in tasks if "shell" in str(task))["ansible.builtin.shell"]["cmd"]
    environment = {**os.environ, "ALONE": "1" if alone else "", "BROKEN": broken, "CHECK": str(check)}
    environment["PATH"] = f"/usr/local/bin:{environment['PATH']}"
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, env=environment)


def called() -> list[str]:
    place = pathlib.Path("/run/systemctl.called")
    return place.read_text().splitlines() if place.exists() else []


def make_host() -> None:
    """A host on which the role made the directory of a containerd that ran."""
    for place in ("/run", "/usr/local/bin", "/var/lib"):
        mount("tmpfs", place)
    for path in (DATABASE, JOURNAL):
        path.parent.mkdir(parents=True)
    DATABASE.touch()
    JOURNAL.write_text(json.dumps({"owners": {"container_runtime": [{"kind": "state", "name": str(DATA)}]}}, indent=1))
    for name, text in (("ctr", CTR), ("systemctl", SYSTEMCTL)):
        pathlib.Path(f"/usr/local/bin/{name}").write_text(text)
        pathlib.Path(f"/usr/local/bin/{name}").chmod(0o755)
    pathlib.Path("/run/containerd").mkdir()


@contextlib.contextmanager
def running() -> t.Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("/run/containerd/containerd.sock")
        yield
    pathlib.Path("/run/containerd/containerd.sock").unlink()


@in_own_namespaces
def test_containerd_is_asked_for_all_that_is_no_pods() -> None:
    make_host()
    with running():
        done = look()
    assert done.stdout.split() == ["k8s.io/nerdctl1", "moby/c0ffee", "moby/docker.io/library/nginx:1"], done.stderr
    assert (done.returncode, called()) == (0, [])


@pytest.mark.parametrize(
    "question",
    [
        "namespaces",
        "--namespace default containers",
        "--namespace default images",
        "--namespace k8s.io",
        "--namespace moby",
    ],
)
@in_own_namespaces
def test_every_question_has_to_be_answered(question: str) -> None:
    make_host()
    with running():
        done = look(broken=question)
    assert (done.returncode, done.stdout, called()) == (UNKNOWN, "", [])
    assert "deadline exceeded" in done.stderr


@in_own_namespaces
def test_what_is_in_a_containerd_that_does_not_run_is_not_known() -> None:
    make_host()
    done = look(alone=True)
    assert (done.returncode, done.stdout) == (UNKNOWN, "")
    assert "nothing listens at /run/containerd/containerd.sock" in done.stderr
    with running():
        pathlib.Path("/usr/local/bin/ctr").unlink()
        assert look(alone=True).returncode == UNKNOWN


@in_own_namespaces
def test_a_reset_that_was_cut_off_is_begun_again() -> None:
    make_host()
    with running():
        assert (look(alone=True).returncode, called()) == (0, ["stop containerd.service"])
    assert look().returncode == 0
    # The order in which host_config removes them, and is cut off.
    assert max(path.name for path in DATA.iterdir()) == "sealer-nothing-of-others"
    time.sleep(0.05)
    DATABASE.touch()
    assert look().returncode == UNKNOWN
    DATABASE.unlink()
    assert look().returncode == 0


@in_own_namespaces
def test_nothing_is_changed_in_check_mode() -> None:
    make_host()
    with running():
        done = look(alone=True, check=True)
    assert (done.returncode, done.stdout, called()) == (0, "", [])
    assert [path.name for path in DATA.iterdir()] == [DATABASE.parent.name]


@in_own_namespaces
def test_a_directory_that_the_role_did_not_make_is_no_business_of_ours() -> None:
    make_host()
    JOURNAL.write_text(json.dumps({"owners": {"k3s": [{"kind": "state", "name": "/var/lib/rancher"}]}}))
    assert (look().returncode, called()) == (0, [])
    JOURNAL.unlink()
    done = look()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
