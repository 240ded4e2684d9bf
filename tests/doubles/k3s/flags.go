// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// The flags of `k3s server` and `k3s agent`.
//
// Contract: https://docs.k3s.io/cli/server and https://docs.k3s.io/cli/agent. A flag that is not listed there is refused.

import "strings"

type kind int

const (
	text kind = iota
	list
	boolean
	number
)

type flag struct {
	kind    kind
	env     string
	initial string
}

// Every node has these (docs/cli/agent.md; "all flags listed on this page are also valid for use on servers").
const agentFlags = `
debug:bool:K3S_DEBUG v:int vmodule log alsologtostderr:bool config::K3S_CONFIG_FILE
token::K3S_TOKEN token-file::K3S_TOKEN_FILE server::K3S_URL data-dir::K3S_DATA_DIR bind-address
node-name::K3S_NODE_NAME with-node-id:bool node-label:list node-taint:list protect-kernel-defaults:bool selinux:bool:K3S_SELINUX
image-credential-provider-bin-dir image-credential-provider-config lb-server-port:int:K3S_LB_SERVER_PORT
container-runtime-endpoint default-runtime image-service-endpoint pause-image snapshotter private-registry
disable-default-registry-endpoint:bool nonroot-devices:bool node-ip:list node-external-ip:list node-internal-dns:list
node-external-dns:list resolv-conf::K3S_RESOLV_CONF flannel-iface flannel-conf flannel-cni-conf kubelet-arg:list
kube-proxy-arg:list rootless:bool docker:bool enable-pprof:bool prefer-bundled-bin:bool vpn-auth::K3S_VPN_AUTH
vpn-auth-file::K3S_VPN_AUTH_FILE`

// Agents alone have these.
const onlyAgentFlags = `disable-apiserver-lb:bool`

// Servers have these besides (docs/cli/server.md).
const serverFlags = `
https-listen-port:int advertise-address advertise-port:int tls-san:list tls-san-security:bool cluster-cidr:list service-cidr:list
service-node-port-range cluster-dns:list cluster-domain flannel-backend flannel-ipv6-masq:bool flannel-external-ip:bool
egress-selector-mode servicelb-namespace write-kubeconfig::K3S_KUBECONFIG_OUTPUT write-kubeconfig-mode::K3S_KUBECONFIG_MODE
write-kubeconfig-group::K3S_KUBECONFIG_GROUP helm-job-image agent-token::K3S_AGENT_TOKEN agent-token-file::K3S_AGENT_TOKEN_FILE
cluster-init:bool:K3S_CLUSTER_INIT cluster-reset:bool:K3S_CLUSTER_RESET cluster-reset-restore-path kube-apiserver-arg:list
etcd-arg:list kube-controller-manager-arg:list kube-scheduler-arg:list kube-cloud-controller-manager-arg:list
datastore-endpoint::K3S_DATASTORE_ENDPOINT datastore-cafile::K3S_DATASTORE_CAFILE datastore-certfile::K3S_DATASTORE_CERTFILE
datastore-keyfile::K3S_DATASTORE_KEYFILE etcd-expose-metrics:bool etcd-disable-snapshots:bool etcd-snapshot-name
etcd-snapshot-schedule-cron etcd-snapshot-retention:int etcd-snapshot-dir etcd-snapshot-compress:bool etcd-s3:bool etcd-s3-endpoint
etcd-s3-endpoint-ca etcd-s3-skip-ssl-verify:bool etcd-s3-access-key::AWS_ACCESS_KEY_ID etcd-s3-secret-key::AWS_SECRET_ACCESS_KEY
etcd-s3-bucket etcd-s3-region etcd-s3-folder etcd-s3-proxy etcd-s3-config-secret etcd-s3-insecure:bool etcd-s3-timeout
default-local-storage-path disable:list disable-scheduler:bool disable-cloud-controller:bool disable-kube-proxy:bool
disable-network-policy:bool disable-helm-controller:bool disable-apiserver:bool disable-controller-manager:bool disable-etcd:bool
embedded-registry:bool supervisor-metrics:bool secrets-encryption:bool secrets-encryption-provider
system-default-registry::K3S_SYSTEM_DEFAULT_REGISTRY`

// Defaults that something here depends on (the "Default" columns of the same pages).
var defaults = map[string]string{
	"cluster-cidr": "10.42.0.0/16", "service-cidr": "10.43.0.0/16", "cluster-domain": "cluster.local",
	"service-node-port-range": "30000-32767", "flannel-backend": "vxlan", "https-listen-port": "6443",
	"data-dir": "/var/lib/rancher/k3s", "config": "/etc/rancher/k3s/config.yaml", "lb-server-port": "6444",
	"pause-image": "rancher/mirrored-pause:3.6", "private-registry": "/etc/rancher/k3s/registries.yaml", "snapshotter": "overlayfs",
}

var shortNames = map[string]string{"t": "token", "s": "server", "d": "data-dir", "c": "config", "i": "node-ip", "o": "write-kubeconfig", "l": "log"}

func flagsOf(command string) map[string]flag {
	words := strings.Fields(agentFlags + " " + map[string]string{"server": serverFlags, "agent": onlyAgentFlags}[command])
	found := map[string]flag{}
	for _, word := range words {
		parts := append(strings.Split(word, ":"), "", "")
		kinds := map[string]kind{"": text, "list": list, "bool": boolean, "int": number}
		found[parts[0]] = flag{kinds[parts[1]], parts[2], defaults[parts[0]]}
	}
	return found
}
