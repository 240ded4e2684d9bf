# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths on the controller."""

from __future__ import annotations

import pathlib

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.filter.controller_path import controller_path


def test_relative_paths_become_absolute(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert controller_path(".") == str(tmp_path)
    assert controller_path("a/../b") == f"{tmp_path}/b"
    assert controller_path("~/x") == "/home/me/x"
    assert controller_path("/a/b") == "/a/b"
    assert controller_path("") == ""


def test_paths_of_other_hosts_are_left_alone() -> None:
    assert controller_path("~/x", "builder") == "~/x"
    assert controller_path("x", "builder") == "x"


def test_what_is_no_path_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match="wants a path, and not 5"):
        controller_path(5)
