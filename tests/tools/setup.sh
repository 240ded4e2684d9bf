#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Gives this machine what the demo and the tests need: Debian packages, a virtual environment, and the collection where
# Ansible looks for it. Says nothing when it is all there. Prints the environment to use as shell assignments with --print.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
cache=${SEALER_CACHE:-$HOME/.cache/sealer-cluster}
venv=$cache/venv-$(sha256sum "$here/tests/requirements.txt" | cut -c1-12)
tree=$cache/trees/$(echo "$here" | sha256sum | cut -c1-12)
packages=(buildah ca-certificates conntrack crun curl debootstrap dnsmasq-base docker-registry gcc iproute2 iptables kmod libc6-dev netavark
    nftables openssh-client openssl podman procps python3-venv rsync runc skopeo socat zstd)

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

check_machine() {
    [ "$(id -u)" = 0 ] || fail "this needs root: it makes hosts with podman and installs Debian packages. Run it as root, for instance with sudo make ${MAKECMDGOALS:-demo}."
    command -v apt-get >/dev/null || fail "this needs Debian 12: apt-get was not found. The collection itself runs elsewhere; only its lab needs Debian's packages."
    local free
    free=$(df --output=avail -BG "$(dirname "$cache")" 2>/dev/null | tail -1 | tr -dc 0-9 || true)
    mkdir -p "$cache" || fail "$cache: cannot be made. Set SEALER_CACHE to a directory that can be written."
    free=${free:-$(df --output=avail -BG "$cache" | tail -1 | tr -dc 0-9)}
    [ "$free" -ge "${SEALER_NEEDED_GIB:-15}" ] || fail "$cache: $free GiB are free, the demo and the tests need ${SEALER_NEEDED_GIB:-15} (Go's caches alone take 12). Free some, or set SEALER_CACHE."
}

install_packages() {
    local missing=()
    for name in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q '^install ok installed' || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing Debian packages (about a minute): ${missing[*]}"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } >"$cache/apt.log" 2>&1 ||
        { tail -n 20 "$cache/apt.log" >&2; fail "Debian packages could not be installed (whole log: $cache/apt.log). Check the package sources, then run this again."; }
}

# A version manager's shim is not an interpreter; ask it which one it stands for.
find_python() {
    local name
    for name in python3.11 python3.12 python3.13 python3 /usr/bin/python3; do
        "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11) or print(sys.executable))' 2>/dev/null && return
    done
    fail "no Python of version 3.11 or later was found. Install Debian's python3 and python3-venv."
}

without_shims() {
    echo "$PATH:/usr/local/go/bin" | tr : '\n' | grep -v /shims | paste -sd :
}

make_environment() {
    [ -e "$venv/.complete" ] || {
        local python
        python=$(find_python)
        say "making the virtual environment (about a minute)"
        rm -rf "$venv"
        "$python" -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/tests/requirements.txt" >"$cache/pip.log" 2>&1 ||
            { tail -n 20 "$cache/pip.log" >&2; fail "Python packages could not be installed (whole log: $cache/pip.log). Check pip's settings, then run this again."; }
        touch "$venv/.complete"
    }
    "$here/tests/tools/wheels.sh" "$venv/bin/python" || exit
    mkdir -p "$tree/ansible_collections/sealer"
    ln -sfn "$here" "$tree/ansible_collections/sealer/cluster"
}

check_machine
install_packages
make_environment
if [ "${1:-}" = --print ]; then
    printf 'export SEALER_CACHE=%q SEALER_TREE=%q PATH=%q ANSIBLE_COLLECTIONS_PATH=%q PYTHONPATH=%q ANSIBLE_FORCE_COLOR=%q ANSIBLE_LOCALHOST_WARNING=False ANSIBLE_INVENTORY_UNPARSED_WARNING=False\n' \
        "$cache" "$tree" "$venv/bin:$(without_shims)" "$tree" "$tree" "${ANSIBLE_FORCE_COLOR:-$([ -t 1 ] && echo 1 || echo 0)}"
fi
