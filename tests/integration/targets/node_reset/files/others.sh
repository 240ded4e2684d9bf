#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Puts on a host what is somebody else's, directories that the roles make, and a double of systemctl.
set -euo pipefail
[ "$(hostname)" = test-host ] || { echo "this is for a host of namespaces alone" >&2; exit 1; }

# k3s runs as long as there is a file for it, and cannot be stopped while there is another.
cat >/usr/local/bin/systemctl <<'END'
#!/bin/sh
case $* in
    "is-active --quiet k3s.service") test -e /run/k3s.runs ;;
    "stop k3s.service") test -e /run/k3s.stays || rm -f /run/k3s.runs ;;
    *) exit 4 ;;
esac
END
chmod 755 /usr/local/bin/systemctl

ip link add foreign0 type bridge
ip address add 192.0.2.1/24 dev foreign0
sysctl --quiet --write net.ipv4.conf.all.forwarding=0
iptables --append INPUT --protocol tcp --dport 9 --jump ACCEPT
nft add table inet foreign
mkdir -p /etc/cni/net.d /etc/rancher /var/lib/rancher /var/lib/sealer
echo '{"cniVersion": "1.0.0", "name": "foreign", "type": "loopback"}' >/etc/cni/net.d/99-foreign.conf
