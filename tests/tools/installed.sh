#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Installs the collection as a user does: from its archive, beside the newest versions that its requirements allow. Prints the
# environment to use as shell assignments. Says nothing else when the checkout has not changed.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
cache=${SEALER_CACHE:-$HOME/.cache/sealer-cluster}
environment=$cache/user-$(cat "$here/meta/ee-requirements.txt" "$here/meta/runtime.yml" "$0" | sha256sum | cut -c1-12)

fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

make_environment() {
    [ ! -e "$environment/.complete" ] || return 0
    local ansible
    ansible=$(sed -nE "s/^requires_ansible: *[\"']?([^\"']+)[\"']?$/ansible-core\1/p" "$here/meta/runtime.yml")
    [ -n "$ansible" ] || fail "meta/runtime.yml does not say which Ansible the collection requires."
    echo "==> making the environment of a user (about 20 s)" >&2
    rm -rf "$environment"
    python -m venv "$environment"
    # The wheels stay, for tests that install them where no package registry is in reach.
    "$environment/bin/pip" wheel --quiet --disable-pip-version-check --wheel-dir "$environment/wheels" "$ansible" -r "$here/meta/ee-requirements.txt" >&2
    "$environment/bin/pip" install --quiet --disable-pip-version-check --no-index "$environment"/wheels/*.whl >&2
    touch "$environment/.complete"
}

# What the archive is made of, by content; a directory that carries its name is never changed.
state() {
    (cd "$here" && git ls-files -z --cached --others --exclude-standard --deduplicate -- . ':!tests' | xargs -0 sha256sum 2>/dev/null | sha256sum | cut -c1-16)
}

install() {
    [ ! -e "$1" ] || return 0
    local made
    mkdir -p "$cache/installed"
    made=$(mktemp -d "$cache/installed/making.XXXXXX")
    trap 'rm -rf "$made"' RETURN
    PATH=$environment/bin:$PATH "$here/tests/tools/collection.sh" "$made/dist" >&2
    ANSIBLE_COLLECTIONS_PATH=$made PYTHONPATH="" "$environment/bin/ansible-galaxy" collection install "$made"/dist/*.tar.gz --offline --collections-path "$made" >&2
    mv --no-target-directory "$made" "$1" 2>/dev/null || [ -e "$1" ]
}

mkdir -p "$cache"
exec 9>"$cache/installed.lock"
flock 9
make_environment
collections=$cache/installed/$(state)
install "$collections"
touch "$collections"
find "$cache/installed" -mindepth 1 -maxdepth 1 -mtime +1 -exec rm -rf {} +
printf 'export PATH=%q ANSIBLE_COLLECTIONS_PATH=%q PYTHONPATH=\n' "$environment/bin:$PATH" "$collections"
