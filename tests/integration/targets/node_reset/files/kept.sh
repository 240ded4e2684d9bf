#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Puts into a node what is somebody else's, and takes it away again: kept.sh put|take.
set -euo pipefail
[ "$(hostname)" = test-host ] || { echo "this is for a host of namespaces alone" >&2; exit 1; }
case $1 in
    put)
        mkdir /var/log/pods/web/nas
        mount -t tmpfs nas /var/log/pods/web/nas
        echo precious >/var/log/pods/web/nas/data
        iptables --new-chain CNI-podman
        iptables --append CNI-podman --match comment --comment 'name: "podman" id: "c0ffee"' --jump ACCEPT
        ;;
    take)
        cat /var/log/pods/web/nas/data
        umount /var/log/pods/web/nas
        rmdir /var/log/pods/web/nas /var/log/pods/web /var/log/pods
        iptables --flush CNI-podman
        iptables --delete-chain CNI-podman
        ;;
esac
