# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people see while a long step runs."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.plugin_utils._progress import (
    Announcer,
    ProgressFile,
    Snapshot,
    human_size,
    human_time,
    progress_line,
)

MIB = 1 << 20


def silent(line: str) -> None:
    del line


class ManualClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (3 * MIB // 2, "1.5 MiB"),
        (1 << 30, "1.0 GiB"),
        (1 << 42, "4.0 TiB"),
    ],
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert human_size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (90, "1 min 30 s"), (3600, "60 min 0 s")])
def test_durations_are_readable(seconds: float, text: str) -> None:
    assert human_time(seconds) == text


@pytest.mark.parametrize(
    ("snapshot", "rate", "line"),
    [
        (Snapshot("pull"), 0, "[a] x pull: started"),
        (Snapshot("pull", done=MIB, total=4 * MIB), 0, "[a] x pull: 1.0 MiB of 4.0 MiB (25 %)"),
        (Snapshot("pull", done=MIB), MIB, "[a] x pull: 1.0 MiB, 1.0 MiB/s"),
        (Snapshot("pull", items_done=1, items_total=2, text="pause"), 0, "[a] x pull: 1 of 2 items, pause"),
        (Snapshot("gather", 0, 0, 1, 2, "pause", "building etcd"), 0, "[a] x gather: 1 of 2 items, building etcd"),
    ],
)
def test_a_line_says_only_what_is_known(snapshot: Snapshot, rate: float, line: str) -> None:
    assert progress_line("[a] x", snapshot, rate) == line


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b"{}", b'{"phase": "p", "done": "many"}', b"\xff\xfe", b'{"phase": "p", "total": []}x'],
)
def test_a_line_that_is_none_is_passed_over(line: bytes) -> None:
    assert Snapshot.from_line(line) is None


@pytest.mark.parametrize(
    ("snapshot", "percent"),
    [(Snapshot("p"), 0), (Snapshot("p", 3, 2), 100), (Snapshot("p", 1, 3), 33), (Snapshot("p", 0, 0, 1, 2), 50)],
)
def test_percent(snapshot: Snapshot, percent: int) -> None:
    assert snapshot.percent == percent


def announced(terminal: bool, steps: t.Sequence[t.Tuple[float, Snapshot]]) -> t.List[str]:
    """The lines that an announcer shows when it gets these snapshots after these seconds each."""
    clock = ManualClock()
    lines: t.List[str] = []
    announcer = Announcer(lines.append, "", terminal=terminal, clock=clock)
    for seconds, snapshot in steps:
        clock.now += seconds
        announcer.update(snapshot)
    announcer.finish()
    return lines


def test_a_terminal_gets_a_line_every_two_seconds() -> None:
    lines = announced(True, [(0, Snapshot("p", 0, 100)), *[(1, Snapshot("p", n, 100)) for n in range(1, 7)]])
    assert [line.split(" of ")[0] for line in lines] == [" p: 2 B", " p: 4 B", " p: 6 B"]


def test_a_log_gets_a_line_every_tenth_or_half_minute() -> None:
    steps = [(0, Snapshot("p", 0, 1000)), *[(3, Snapshot("p", n, 1000)) for n in range(11, 310, 11)]]
    assert len(announced(False, steps)) == 3
    slow = [(0, Snapshot("p", 0, 1000)), *[(15, Snapshot("p", n, 1000)) for n in range(1, 5)]]
    assert [line.split(" of ")[0] for line in announced(False, slow)] == [" p: 2 B", " p: 4 B"]


def test_a_short_phase_shows_nothing() -> None:
    assert announced(True, [(0, Snapshot("p", 0, 9)), (1, Snapshot("p", 9, 9)), (0.5, Snapshot("q", 1, 9))]) == []


def test_a_phase_that_was_shown_is_shown_to_its_end() -> None:
    lines = announced(
        True, [(0, Snapshot("p", 0, 9)), (3, Snapshot("p", 5, 9)), (1, Snapshot("p", 9, 9)), (0, Snapshot("q"))]
    )
    assert [line.split(" of ")[0] for line in lines] == [" p: 5 B", " p: 9 B"]


@pytest.mark.parametrize(("terminal", "times"), [(True, ["2 s", "32 s", "1 min 2 s"]), (False, ["27 s", "57 s"])])
def test_long_work_is_shown_again_with_its_time(terminal: bool, times: t.List[str]) -> None:
    clock = ManualClock()
    lines: t.List[str] = []
    announcer = Announcer(lines.append, "", terminal=terminal, clock=clock)
    announcer.tick()
    clock.now += 3
    announcer.update(Snapshot("gather", items_done=3, items_total=38, doing="building etcd"))
    announcer.update(Snapshot("gather", items_done=4, items_total=38, doing="building kubelet"))
    for _second in range(65):
        clock.now += 1
        announcer.tick()
    assert lines == [f" gather: 4 of 38 items, building kubelet for {time}" for time in times]


def test_the_file_is_followed_and_removed(tmp_path: pathlib.Path) -> None:
    seen: t.List[Snapshot] = []

    class Recorder(Announcer):
        def update(self, now: Snapshot) -> None:
            seen.append(now)

    with ProgressFile(Recorder(silent, ""), str(tmp_path)) as progress:
        path = progress.path
        with open(path, "ab") as stream:
            for n in range(3):
                stream.write(json.dumps({"phase": "p", "done": n, "total": 3}).encode() + b"\n")
            stream.write(b"garbage\n{")
    assert [snapshot.done for snapshot in seen] == [0, 1, 2]
    assert not os.path.exists(path)
    assert list(tmp_path.iterdir()) == []


def test_a_module_that_removed_the_file_does_no_harm(tmp_path: pathlib.Path) -> None:
    with ProgressFile(Announcer(silent, ""), str(tmp_path)) as progress:
        os.unlink(progress.path)
    assert list(tmp_path.iterdir()) == []
