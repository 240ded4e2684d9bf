#!/usr/bin/env bash
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Leaves on a host what k3s, its CNI plugins and its pods leave there: node.sh [stuck]. Then k3s cannot be stopped.
set -euo pipefail
[ "$(hostname)" = test-host ] || { echo "this is for a host of namespaces alone" >&2; exit 1; }
mkdir -p /etc/rancher/k3s /etc/rancher/node /run/flannel /var/lib/cni/networks/cbr0 /var/lib/rancher/k3s/agent /var/log/pods/web
echo 'apiVersion: v1' | tee /etc/rancher/k3s/k3s.yaml >/var/lib/rancher/k3s/agent/kubelet.kubeconfig
echo '{}' >/etc/cni/net.d/10-flannel.conflist
touch /run/k3s.runs /run/flannel/subnet.env /var/lib/cni/networks/cbr0/10.42.0.2 /var/log/pods/web/0.log
volume=/var/lib/kubelet/pods/6a1f1c3e-8f0e-4a53-9d0c-0123456789ab/volumes/kubernetes.io~secret/web
mkdir -p "$volume" /sys/fs/cgroup/kubepods/web
mount -t tmpfs none "$volume"
ip link add cni0 type bridge
ip link add vethweb type veth peer name eth0
ip link set vethweb master cni0
ip link add flannel.1 type vxlan id 1 dev foreign0 dstport 8472
ip address add 192.0.2.9/32 dev foreign0
iptables --new-chain KUBE-SERVICES
iptables --insert INPUT --jump KUBE-SERVICES
nft add table ip kube-proxy
sysctl --quiet --write net.ipv4.conf.all.forwarding=1
[ "${1:-}" != stuck ] || touch /run/k3s.stays
