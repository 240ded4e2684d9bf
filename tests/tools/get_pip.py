# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stands in for the get-pip script that ansible-test would download: pip from this Python, then what was asked for."""

from __future__ import annotations

import subprocess
import sys


def main() -> None:
    """Install pip, then the exact requirements among the arguments."""
    # In a process of its own: ensurepip changes pip's settings for the process that it runs in.
    subprocess.run([sys.executable, "-m", "ensurepip", "--default-pip"], check=True)
    wanted = [argument for argument in sys.argv[1:] if "==" in argument and not argument.startswith("-")]
    if wanted:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)


if __name__ == "__main__":
    main()
