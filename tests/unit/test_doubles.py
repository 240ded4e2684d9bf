# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The doubles keep the contracts that they are there for, as far as that can be seen without hosts."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

DOUBLES = pathlib.Path(__file__).parents[1] / "doubles"


@pytest.mark.parametrize(
    "command", [["gofmt", "-l", "."], ["go", "vet", "./..."], ["go", "test", "./..."]], ids=" ".join
)
def test_contract(command: list[str]) -> None:
    done = subprocess.run(command, cwd=DOUBLES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert command[0] != "gofmt" or not done.stdout
