#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Prints what a reset may touch, without what changes by itself.
set -euo pipefail
ip -oneline link show | sed -E 's/^[0-9]+: ([^:@]+).*/\1/' | sort
ip -oneline address show | awk '$3 == "inet" {print $2, $4}'
iptables-save | sed '/^#/d; s/ \[.*//'
nft list tables
sysctl net.ipv4.conf.all.forwarding
findmnt --list --noheadings --output TARGET | sort
for place in /etc/cni /etc/rancher /etc/sealer /run /sys/fs/cgroup /usr/libexec /var/lib /var/log; do
    [ ! -e "$place" ] || find "$place" | sort
done
