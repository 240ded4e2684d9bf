# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many processes at once, killed at any moment, in any order: the store is whole every time."""

from __future__ import annotations

import fcntl
import itertools
import os
import pathlib
import random
import subprocess
import sys
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci import media
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._oci import layout_worker

COUNT = 6
ROUNDS = int(os.environ.get("SEALER_KILL_ROUNDS", "30"))
KILLED = -9

# The calls of functions written in C are counted, and the time is not: however busy the machine is, a number stands for
# the same moment of the work, between two things that the kernel is asked to do.
COUNTED = f"""
import os, signal, sys
from {layout_worker.__name__} import work
last, calls = sys.argv[1], 0
def count(_frame, event, _argument):
    global calls
    if event == "c_call":
        calls += 1
        if str(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(count)
work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
sys.setprofile(None)
print(calls)
"""


def environment() -> dict[str, str]:
    """One in which a process finds the collection."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def start(path: str, seed: int) -> subprocess.Popen[bytes]:
    """A process that has begun to work."""
    command = [sys.executable, layout_worker.__file__, path, str(seed), str(COUNT)]
    worker = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"working\n"
    worker.stdout.close()
    return worker


def assert_finished(layout: Layout) -> None:
    assert layout.verify() == []
    named = {name: entry for name, entry in layout.names().items() if "extra" not in name}
    assert sorted(named) == sorted(str(layout_worker.reference(number)) for number in range(COUNT))
    for number in range(COUNT):
        document = layout.read_document(named[str(layout_worker.reference(number))])
        assert [blob.digest for blob in document.children[1:]] == [
            Digest.of(layout_worker.content(number + step)) for step in range(3)
        ]


def test_processes_share_a_store_with_prune(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "store")
    workers = [start(path, seed) for seed in range(4)]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0, 0]
    layout = Layout.open(path)
    assert_finished(layout)
    assert not any("extra" in name for name in layout.names())
    layout.prune()
    assert list((tmp_path / "store").rglob(".*.partial")) == []


def test_a_store_survives_kill_9_at_any_moment(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "store")
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    whole = int(run_until(None, str(tmp_path / "measured"), seed).stdout)
    killed = 0
    for number in itertools.count():
        assert number < 4 * ROUNDS, f"seed {seed}: only {killed} runs were killed in the middle"
        run = run_until(chance.randint(1, whole), path, seed + number)
        assert run.returncode in (0, KILLED), f"seed {seed}, round {number}"
        killed += run.returncode == KILLED
        if Layout.exists(path):
            assert Layout.open(path).verify() == [], f"seed {seed}, round {number}"
        if killed == ROUNDS:
            break
        if number % 5 == 4:
            assert_next_run_finishes(path, seed + number)
            take_names_away(path, chance)
    assert_next_run_finishes(path, seed)


def run_until(last: int | None, path: str, seed: int) -> subprocess.CompletedProcess[bytes]:
    """A run that kill -9 ends at its call of this number, or one that says how many it makes."""
    command = [sys.executable, "-c", COUNTED, str(last), path, str(seed), str(COUNT)]
    return subprocess.run(command, env=environment(), stdout=subprocess.PIPE, timeout=120, check=False)


def assert_next_run_finishes(path: str, seed: int) -> None:
    assert start(path, seed).wait(timeout=120) == 0
    assert_finished(Layout.open(path))


def take_names_away(path: str, chance: random.Random) -> None:
    """Take some names away, so that there is something to do again."""
    layout = Layout.open(path)
    for number in chance.sample(range(COUNT), COUNT // 2):
        layout.untag(layout_worker.reference(number))
    layout.prune()


@pytest.mark.parametrize("rounds", [20])
def test_writers_of_one_blob_wait_for_each_other(tmp_path: pathlib.Path, rounds: int) -> None:
    layout = Layout.open(str(tmp_path / "store"), create=True)
    for number in range(rounds):
        written: list[bool] = []
        data = layout_worker.content(number)

        def write(data: bytes = data, told: t.Callable[[bool], None] = written.append) -> None:
            with layout.writer(Digest.of(data), len(data)) as writer:
                told(not writer.done)
                if not writer.done:
                    for start_at in range(0, len(data), layout_worker.STEP):
                        writer.write(data[start_at : start_at + layout_worker.STEP])
                    writer.commit()

        threads = [threading.Thread(target=write) for _thread in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(written) == [False] * 5 + [True]
    assert layout.verify() == []


def test_prune_waits_for_a_writer(tmp_path: pathlib.Path) -> None:
    layout = Layout.open(str(tmp_path / "store"), create=True)
    with layout.writer(Digest.of(b"content"), 7) as writer:
        thread = threading.Thread(target=layout.prune)
        thread.start()
        writer.write(b"con")
        with open(os.path.join(layout.path, ".session.lock")) as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer.write(b"tent")
        writer.commit()
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert not layout.has(Digest.of(b"content"))


def test_prune_waits_for_a_session(tmp_path: pathlib.Path) -> None:
    layout = Layout.open(str(tmp_path / "store"), create=True)
    pruned = threading.Event()

    def prune() -> None:
        layout.prune()
        pruned.set()

    with layout.session():
        digest = layout.put_bytes(b"{}")
        thread = threading.Thread(target=prune)
        thread.start()
        manifest = layout_worker.put_image(layout, 1)
        assert not pruned.is_set() and layout.has(digest)
        layout.tag(layout_worker.reference(1), manifest)
    thread.join(timeout=60)
    assert pruned.is_set()
    assert layout.verify() == []
    assert not layout.has(digest)
    assert layout.resolve(layout_worker.reference(1)) == Descriptor(
        media.OCI_MANIFEST,
        manifest.digest,
        manifest.size,
        {media.ANNOTATION_REF: str(layout_worker.reference(1))},
    )
