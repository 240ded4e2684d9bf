#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the double, as k3s:v1.35.4 a base image with it, and as demo-k3s:1 the demo on top. The store is $1, or the lab's.
# SEALER_K3S_BINARY, a file or a URL, is the real program in the double's place.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
store=${1:-$SEALER_CACHE/store}
context=$SEALER_CACHE/contexts/k3s
build() {
    ansible-playbook sealer.cluster.build -e "sealer_store=$store" -e "sealer_build_cache=$SEALER_CACHE/parts" "$@"
}

mkdir -p "$context/bin"
cp "$here/Kubefile" "$context/Kubefile"
case ${SEALER_K3S_BINARY:-} in
"") (cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=v1.35.4+k3s1" -o "$context/bin/k3s" .) ;;
https://*) curl --fail --location --silent --show-error --output "$context/bin/k3s" "$SEALER_K3S_BINARY" ;;
*) cp "$SEALER_K3S_BINARY" "$context/bin/k3s" ;;
esac
chmod 755 "$context/bin/k3s"
build -e "sealer_build_path=$here/image" -e "sealer_build_directory=$SEALER_CACHE/contexts/k3s-programs" -e sealer_build_name=k3s-programs:v1.35.4
build -e "sealer_build_path=$context" -e sealer_build_name=k3s:v1.35.4
build -e "sealer_build_path=$here/../../../images/demo" -e "sealer_build_directory=$SEALER_CACHE/contexts/demo-k3s" -e sealer_build_name=demo-k3s:1 \
    -e '{"sealer_build_args": {"BASE": "k3s:v1.35.4"}}'
