#!/bin/sh
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs integration targets with ansible-test in a copy of the tree, without containers.
#
#   PYTHON=<virtual environment> tests/run_integration.sh [TARGET ...]
#
# Without targets all of them run. PYTHON may be left out where ansible-test is on PATH.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${PYTHON:-}" ]; then
    found=$(command -v ansible-test) || {
        echo "run_integration.sh: ansible-test is not on PATH; set PYTHON to a virtual environment that has it" >&2
        exit 1
    }
    PYTHON=$(cd "$(dirname "$found")/.." && pwd)
fi
for program in docker-registry skopeo git; do
    command -v "$program" >/dev/null || {
        echo "run_integration.sh: $program is needed; install the package that brings it" >&2
        exit 1
    }
done
version=$("$PYTHON/bin/python3" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

work=$(mktemp -d "${TMPDIR:-/tmp}/sealer-integration-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
tree=$work/ansible_collections/sealer/cluster
mkdir -p "$tree"

# ansible-test takes a tree for a collection by its place, and lists its files by git.
(cd "$here" && git ls-files -z --cached --others --exclude-standard |
    xargs -0 sh -c 'for name; do if [ -e "$name" ]; then printf "%s\0" "$name"; fi; done' list) >"$work/files"
(cd "$here" && tar --null --no-recursion -T "$work/files" -cf -) | tar -C "$tree" -xf -
cd "$tree"
git init -q .
git add -A
git -c user.name=test -c user.email=test@localhost commit -q -m tree

# Interpreters that are only stand-ins (pyenv's shims) break ansible-test: nothing but the environment and the system.
PATH=$PYTHON/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
ansible-test integration --python "$version" --color no --allow-destructive "$@"
