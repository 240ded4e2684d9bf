#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Brings the image of a layout into a registry: push.sh LAYOUT HOST:PORT CRANE "NAME …"
# The first name by skopeo, the others, which are too long for it, as copies by crane.
set -euo pipefail
layout=$1 registry=$2 crane=$3
read -ra names <<<"$4"
export DOCKER_CONFIG=$layout.login
mkdir -p "$DOCKER_CONFIG"
printf '{"auths": {"%s": {"auth": "%s"}}}' "$registry" "$(printf %s "$LOGIN" | base64)" >"$DOCKER_CONFIG/config.json"
skopeo copy --quiet --all --preserve-digests --authfile "$DOCKER_CONFIG/config.json" "oci:$layout:docker.io/library/image:1" "docker://$registry/${names[0]}"
for name in "${names[@]:1}"; do
    "$crane" copy "$registry/${names[0]}" "$registry/$name"
done
