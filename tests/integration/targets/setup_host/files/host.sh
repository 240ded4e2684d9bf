#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The first process of a host, which says when it is ready: host.sh DIRECTORY. What is written to these places is kept in
# memory and ends with it.
set -euo pipefail
directory=$1
hostname test-host
mkdir -p "$directory/host"
mount -t tmpfs none "$directory/host"
for place in /etc /usr/local; do
    mkdir -p "$directory/host$place" "$directory/host/work$place"
    mount -t overlay overlay -o "lowerdir=$place,upperdir=$directory/host$place,workdir=$directory/host/work$place" "$place"
done
for place in /run /sys/fs/cgroup /usr/lib/systemd /usr/libexec /var/lib /var/log; do
    mount -t tmpfs none "$place"
done
rm -rf /etc/cni /etc/systemd
ip link set lo up
echo ready
exec sleep infinity >/dev/null
