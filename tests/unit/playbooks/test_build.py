# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook build, typed as people type it."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference


@pytest.fixture
def context(tmp_path: pathlib.Path) -> pathlib.Path:
    """A directory with a Kubefile, below another one."""
    directory = tmp_path / "images" / "shop"
    directory.mkdir(parents=True)
    (directory / "Kubefile").write_text("FROM scratch\nCOPY page.html www/\n")
    (directory / "page.html").write_text("hello\n")
    return directory


def build(cwd: pathlib.Path, path: str) -> subprocess.CompletedProcess[str]:
    """Type the command in a directory, with a store beside it."""
    arguments = [f"sealer_build_path={path}", "sealer_build_name=shop:1", "sealer_store=store"]
    command = ["ansible-playbook", "sealer.cluster.build", *(word for one in arguments for word in ("-e", one))]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("below", "path"), [("", "images/shop"), ("images/shop", "."), ("images", "../images/shop")])
def test_relative_paths_count_from_where_the_command_is_typed(context: pathlib.Path, below: str, path: str) -> None:
    cwd = context.parents[1] / below
    done = build(cwd, path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert Layout.open(str(cwd / "store")).resolve(Reference.parse("shop:1"))
    assert (context / "Kubefile.lock").exists()


def test_a_missing_kubefile_is_told_with_its_whole_path(tmp_path: pathlib.Path) -> None:
    done = build(tmp_path, "nowhere")
    assert done.returncode != 0
    assert f"{tmp_path}/nowhere/Kubefile: there is no Kubefile" in done.stdout + done.stderr
