#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the collection's archive from the files that git knows and the wheels: collection.sh DIRECTORY
# Needs git and Python 3.11 or later with pip and venv. Nothing is installed.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
destination=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

git -C "$here" rev-parse --git-dir >/dev/null 2>&1 || fail "$here is not a git checkout: which files belong to the collection is not known."
python=python3
if ! "$python" -m pip --version >/dev/null 2>&1 || ! command -v ansible-galaxy >/dev/null; then
    "$python" -m venv "$scratch/venv" || fail "a virtual environment cannot be made. Install Python's venv (on Debian, the package python3-venv)."
    python=$scratch/venv/bin/python
    "$python" -m pip install --quiet --disable-pip-version-check "$(grep ^ansible-core== "$here/requirements.txt")"
    PATH=$scratch/venv/bin:$PATH
fi
"$here/tests/tools/wheels.sh" "$python"
mkdir "$scratch/collection"
(cd "$here" && git ls-files -z --cached --others --exclude-standard --deduplicate | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
done | tar --create --null --files-from=-) | tar --extract --directory "$scratch/collection"
cp -R "$here/wheels" "$scratch/collection/"
ansible-galaxy collection build --force --output-path "$destination" "$scratch/collection"
