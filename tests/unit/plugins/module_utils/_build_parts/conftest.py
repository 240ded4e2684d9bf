# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of parts share."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._build_parts.release_site import (
    ReleaseSite,
    running_site,
)

Tools = t.Callable[..., None]


@pytest.fixture
def site() -> t.Iterator[ReleaseSite]:
    with running_site() as running:
        yield running


@pytest.fixture
def tools(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """PATH becomes a directory of these scripts, by name, and of these real programs."""
    directory = tmp_path / "tools"
    directory.mkdir()

    def use(*real: str, **scripts: str) -> None:
        for name in real:
            found = shutil.which(name)
            if found is None:
                pytest.skip(f"needs {name}")
            (directory / name).symlink_to(os.path.abspath(found))
        for name, text in scripts.items():
            path = directory / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        monkeypatch.setenv("PATH", str(directory))

    return use
