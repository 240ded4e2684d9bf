# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress is told often enough to be seen and seldom enough to cost nothing."""

from __future__ import annotations

import json
import pathlib
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import (
    EnvProgress,
    NullProgress,
    Progress,
    from_environment,
)


class Clock:
    def __init__(self) -> None:
        self.now = 5.0

    def __call__(self) -> float:
        return self.now


def lines(path: pathlib.Path) -> list[dict[str, t.Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_line_a_quarter_of_a_second_and_one_at_the_end(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    progress = EnvProgress("pull", str(tmp_path / "p"), clock)
    progress.total(100, 3)
    for _step in range(50):
        progress.add(1)
    clock.now += 0.25
    progress.item("layer é")
    progress.add(1)
    assert [line["done"] for line in lines(tmp_path / "p")] == [0, 50]
    progress.total(20, 1)
    progress.done()
    progress.add(1)
    progress.done()
    assert lines(tmp_path / "p")[-1] == {
        "phase": "pull",
        "done": 51,
        "total": 120,
        "items_done": 1,
        "items_total": 4,
        "text": "layer é",
        "doing": "",
    }
    assert len(lines(tmp_path / "p")) == 3


def test_long_work_is_told_as_soon_as_it_begins_and_ends(tmp_path: pathlib.Path) -> None:
    progress = EnvProgress("build", str(tmp_path / "p"), Clock())
    with progress.doing("building one"), progress.doing("building two"):
        pass
    with pytest.raises(OSError, match="full"), progress.doing("building three"):
        raise OSError("full")
    progress.done()
    told = [line["doing"] for line in lines(tmp_path / "p")]
    assert told == ["building one", "building one", "building one", "", "building three", "", ""]


def test_threads_lose_nothing(tmp_path: pathlib.Path) -> None:
    progress = EnvProgress("load", str(tmp_path / "p"))

    def work() -> None:
        for _step in range(500):
            progress.add(2)
            progress.item("x")

    threads = [threading.Thread(target=work) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.done()
    last = lines(tmp_path / "p")[-1]
    assert (last["done"], last["items_done"]) == (4000, 2000)


@pytest.mark.parametrize("place", ["gone/p", "", "directory"])
def test_work_goes_on_when_nobody_can_be_told(place: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "directory").mkdir()
    progress = EnvProgress("load", str(tmp_path / place) if place else "")
    use_all(progress)
    assert list((tmp_path / "directory").iterdir()) == []


def test_the_environment_names_the_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEALER_PROGRESS", raising=False)
    silent = from_environment("build")
    assert isinstance(silent, NullProgress)
    use_all(silent)
    monkeypatch.setenv("SEALER_PROGRESS", str(tmp_path / "p"))
    use_all(from_environment("build"))
    assert lines(tmp_path / "p")[-1]["phase"] == "build"


def use_all(progress: Progress) -> None:
    progress.total(1, 1)
    with progress.doing("y"):
        progress.add(1)
    progress.item("x")
    progress.done()
