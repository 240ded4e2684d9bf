#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Fetches the wheels that meta/mirror-requirements.txt pins into wheels/, with pip, unless they are there already:
# wheels.sh [PYTHON]
set -euo pipefail

cd "$(dirname "$0")/../.."
pins=meta/mirror-requirements.txt

are_there() { sed -nE 's|^(.+)==(.+) --hash=sha256:(.+)$|\3  wheels/\1-\2-py3-none-any.whl|p' "$pins" | sha256sum --check --status 2>/dev/null; }

are_there || {
    rm -rf wheels
    "${1:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --requirement "$pins" --dest wheels ||
        { echo "error: the wheels of $pins could not be fetched. Check pip's settings, then run this again." >&2; exit 1; }
    are_there || { echo "error: wheels/ does not hold what $pins pins, although pip fetched it. Every pin needs a wheel py3-none-any." >&2; exit 1; }
}
