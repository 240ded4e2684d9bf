# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of state on hosts: replaced at once, private, and without leftovers of a run that was killed."""

from __future__ import annotations

import os
import pathlib

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import read_json, write_json
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError


class Killed(BaseException):
    """Stands for the end of the process."""


def killed(*names: str) -> None:
    raise Killed(names)


def test_what_is_written_is_read_by_its_owner_only(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "state" / "a.json"
    write_json(str(path), {"b": [1]})
    assert read_json(str(path)) == {"b": [1]}
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_a_killed_run_left_is_written_over(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(str(path), {"kept": True})
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", killed)
        with pytest.raises(Killed):
            write_json(str(path), {"lost": True})
    assert read_json(str(path)) == {"kept": True}
    write_json(str(path), {"new": True})
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_a_file_that_holds_something_else_is_told(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ClusterError, match=str(path)):
        read_json(str(path))
