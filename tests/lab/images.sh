#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the base image for kubeadm and the demo's image on top of it, both into the store of the lab and the demo; or, named
# as arguments, those for k3s and k0s. Where SEALER_K3S_BINARY or SEALER_K0S_BINARY, a file or a URL, names their program, they
# are built without being named, too. Without it k3s's double is in its place.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
build() {
    ansible-playbook sealer.cluster.build -e "sealer_store=${SEALER_LAB_STORE:-$SEALER_CACHE/store}" -e "sealer_build_cache=$SEALER_CACHE/parts" \
        -e "sealer_build_path=${3:-$here/images/$1}" -e "sealer_build_directory=$SEALER_CACHE/contexts/${2%%:*}" -e "sealer_build_name=$2" "${@:4}"
}

# Beside a copy of its parts list lies the program, which no module registry has: from the file or URL $2, named $3 as an image.
build_from() {
    local source=$SEALER_CACHE/sources/$1
    mkdir -p "$source/program"
    cp -RLT "$here/images/$1" "$source"
    case $2 in
        http://* | https://*) curl --fail --silent --show-error --location --output "$source/program/$1" "$2" ;;
        *) cp "$2" "$source/program/$1" ;;
    esac
    chmod 0755 "$source/program/$1"
    build "$1" "$3" "$source" -e sealer_build_source=build
}

build_demo() {
    build demo "demo-$1:1" "" -e "{\"sealer_build_args\": {\"BASE\": \"$1:v1.35.4\"}}"
}

build_k0s() {
    build_from k0s "${SEALER_K0S_BINARY:?names no k0s, and there is no double of it}" k0s:v1.35.4
    build_demo k0s
}

build_k3s() {
    if [ -n "${SEALER_K3S_BINARY:-}" ]; then
        build_from k3s "$SEALER_K3S_BINARY" k3s:v1.35.4
    else
        local double=$here/tests/doubles/k3s program=$SEALER_CACHE/doubles/k3s
        (cd "$double" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=v1.35.4+k3s1" -o "$program" .)
        build_from k3s "$program" k3s-double:v1.35.4
        build k3s k3s:v1.35.4 "$double/image" -e '{"sealer_build_args": {"BASE": "k3s-double:v1.35.4"}}'
    fi
    build_demo k3s
}

if [ $# = 0 ]; then
    build kubernetes kubernetes:v1.35.4
    build demo demo:1
    [ -z "${SEALER_K3S_BINARY:-}" ] || set -- k3s
    [ -z "${SEALER_K0S_BINARY:-}" ] || set -- "$@" k0s
fi
for runtime in "$@"; do
    "build_$runtime"
done
