#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the base image for kubeadm and the demo's image on top of it, both into the store of the lab and the demo. With
# SEALER_K0S_BINARY, a file or a URL, those for k0s as well.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
build() {
    ansible-playbook sealer.cluster.build -e "sealer_store=${SEALER_LAB_STORE:-$SEALER_CACHE/store}" -e "sealer_build_cache=$SEALER_CACHE/parts" \
        -e "sealer_build_path=${3:-$here/images/$1}" -e "sealer_build_directory=$SEALER_CACHE/contexts/${2%%:*}" -e "sealer_build_name=$2" "${@:4}"
}

# Beside a copy of its parts list lies the program, which no module registry has.
build_k0s() {
    local source=$SEALER_CACHE/sources/k0s
    mkdir -p "$source"
    cp -RLT "$here/images/k0s" "$source"
    mkdir -p "$source/program"
    case $1 in
        http://* | https://*) curl --fail --silent --show-error --location --output "$source/program/k0s" "$1" ;;
        *) cp "$1" "$source/program/k0s" ;;
    esac
    chmod 0755 "$source/program/k0s"
    build k0s k0s:v1.35.4 "$source" -e sealer_build_source=build
    build demo demo-k0s:1 "" -e '{"sealer_build_args": {"BASE": "k0s:v1.35.4"}}'
}

build kubernetes kubernetes:v1.35.4
build demo demo:1
[ -z "${SEALER_K0S_BINARY:-}" ] || build_k0s "$SEALER_K0S_BINARY"
