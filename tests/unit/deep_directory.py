# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories so deep that a walk by calls of itself ends, and that no system call takes their path."""

from __future__ import annotations

import os
import pathlib
import typing as t


def make_deep(top: t.Union[str, pathlib.Path], levels: int = 1500) -> None:
    """A chain of directories in a directory that is there."""
    current = os.open(top, os.O_RDONLY)
    for _level in range(levels):
        os.mkdir("directory", dir_fd=current)
        inner = os.open("directory", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = inner
    os.close(current)
