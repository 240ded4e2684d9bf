#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs ansible-test (sanity|units|integration, then its arguments) on a copy of the tree: it wants to be below
# ansible_collections, to be a git repository of its own, and leaves files behind. Without arguments, integration runs all
# targets in shards at the same time, each on a copy of its own.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
command=$1
shift
if [ "$command" = integration ] && [ $# = 0 ]; then
    exec python -m ansible_collections.sealer.cluster.tests.tools.integration_shards "$here/tests/tools/ansible_test.sh" integration
fi
root=$(mktemp -d "${TMPDIR:-/tmp}/ansible-test.XXXXXX")
trap 'rm -rf "$root"' EXIT
copy=$root/ansible_collections/sealer/cluster
mkdir -p "$copy"
git -C "$here" ls-files -z --cached --others --exclude-standard --deduplicate | rsync -a --from0 --ignore-missing-args --files-from=- "$here/" "$copy/"
cp -R "$here/wheels" "$copy/"
git -C "$copy" init --quiet
git -C "$copy" add --all
export ANSIBLE_COLLECTIONS_PATH=$root PYTHONPATH=

# ansible-test would fetch pip from a host of its own; ours comes with Python.
offer_pip() {
    mkdir -p "$HOME/.ansible/test/cache"
    local version
    for version in 24_2 25_2; do
        cp "$here/tests/tools/get_pip.py" "$HOME/.ansible/test/cache/get_pip_$version.py"
    done
}

cd "$copy"
python=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
case $command in
    sanity) offer_pip; ansible-test sanity --color no --python "$python" "$@" ;;
    units) offer_pip; ansible-test units --color no --venv --python "$python" "$@" ;;
    # With a home of its own, so that what other runs of Ansible leave there is not taken for the tests'.
    integration) mkdir "$root/home"; HOME=$root/home ansible-test integration --color no --python "$python" --allow-destructive "$@" ;;
    *) echo "error: $command: not a command of ansible-test that is used here" >&2; exit 2 ;;
esac
