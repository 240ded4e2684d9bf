#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Builds the base image for kubeadm and the demo's image on top of it, both into the store of the lab and the demo.
set -euo pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
build() {
    ansible-playbook sealer.cluster.build -e "sealer_store=$SEALER_CACHE/store" -e "sealer_build_cache=$SEALER_CACHE/parts" \
        -e "sealer_build_path=$here/images/$1" -e "sealer_build_directory=$SEALER_CACHE/contexts/$1" -e "sealer_build_name=$2"
}

build kubernetes kubernetes:v1.35.4
build demo demo:1
