// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Node-local load balancing. Contract: k0s docs, Node-local load balancing (a static pod nllb in kube-system on each node, the ports
// 7443 and 7132 of loopback) and Configuration options, spec.network.nodeLocalLoadBalancing; k0s source, pkg/component/worker/nllb and
// static_pods.go: the kubelet fetches the pod from k0s, Envoy reads envoy.yaml and, whenever it is replaced, cds.yaml below
// /run/k0s/nllb/envoy. The kubelet of a worker goes to the balancer by /run/k0s/nllb/kubeconfig.yaml, and that of a controller to the
// API server of its own host.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"sealer.invalid/doubles/shared"
)

const (
	balancerDir  = runDir + "/nllb"
	balancerConf = balancerDir + "/kubeconfig.yaml"
	envoyDir     = balancerDir + "/envoy"
	loopback     = "127.0.0.1"
)

type envoySpec struct {
	Image            imageSpec `json:"image"`
	ImagePullPolicy  string    `json:"imagePullPolicy,omitempty"`
	APIServerPort    int       `json:"apiServerBindPort"`
	KonnectivityPort int       `json:"konnectivityServerBindPort"`
}

type balancerSpec struct {
	Enabled    bool      `json:"enabled"`
	Type       string    `json:"type"`
	EnvoyProxy envoySpec `json:"envoyProxy"`
}

func (s balancerSpec) validate() error {
	const path = "spec: network: nodeLocalLoadBalancing."
	found := []error{
		oneOf(path+"type", s.Type, "EnvoyProxy"), port(path+"envoyProxy.apiServerBindPort", s.EnvoyProxy.APIServerPort),
		port(path+"envoyProxy.konnectivityServerBindPort", s.EnvoyProxy.KonnectivityPort),
	}
	if s.EnvoyProxy.ImagePullPolicy != "" {
		found = append(found, oneOf(path+"envoyProxy.imagePullPolicy", s.EnvoyProxy.ImagePullPolicy, "Always", "Never", "IfNotPresent"))
	}
	return errors.Join(found...)
}

// balance gives the kubeconfig that the kubelet goes by, and where it fetches the pod; it goes on until the context ends.
func (n *node) balance(ctx context.Context) (string, string, error) {
	trusted, err := authority()
	if err != nil {
		return "", "", err
	}
	config := kubeletConf
	if n.controller {
		config = directConf
		if err := writeNodeConfig(directConf, "https://"+loopback+":6443", trusted); err != nil {
			return "", "", err
		}
	}
	if !n.wanted.Balancer.Enabled {
		return config, "", nil
	}
	if err := makeDirectories(map[string]os.FileMode{balancerDir: 0o700, envoyDir: 0o755}); err != nil {
		return "", "", err
	}
	if err := writeEnvoy(envoyDir, n.wanted); err != nil {
		return "", "", err
	}
	local := fmt.Sprintf("https://%s:%d", loopback, n.wanted.Balancer.EnvoyProxy.APIServerPort)
	if err := writeNodeConfig(balancerConf, local, trusted); err != nil {
		return "", "", err
	}
	if !n.controller {
		config = balancerConf
	}
	url, err := servePod(ctx, n.wanted)
	if err != nil {
		return "", "", err
	}
	go n.followServers(ctx)
	return config, url, nil
}

// unbalance takes away what only a running k0s looks after; the pod goes on.
func unbalance() {
	for _, path := range []string{balancerConf, envoyDir + "/envoy.yaml", envoyDir + "/cds.yaml"} {
		_ = os.Remove(path)
	}
}

// followServers has Envoy know which API servers there are, as the profile has it.
func (n *node) followServers(ctx context.Context) {
	var api *shared.Kube
	known := slices.Clone(n.wanted.Servers)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Second):
		}
		fresh, err := n.currentProfile(&api)
		if err != nil {
			shared.Say("warning", "failed to watch the worker profile: %v", err)
			continue
		}
		if len(fresh.Servers) == 0 || slices.Equal(fresh.Servers, known) {
			continue
		}
		// Ports stay those that Envoy and the kubelet began with.
		changed := n.wanted
		changed.Servers = fresh.Servers
		if err := errors.Join(writeEnvoy(envoyDir, changed), n.keep(fresh)); err != nil {
			shared.Say("error", "Failed to update API server addresses: %v", err)
			continue
		}
		known = fresh.Servers
		shared.Say("info", "Updated API server addresses: %v", known)
	}
}

// currentProfile is asked through the balancer, anew from scratch after a failure.
func (n *node) currentProfile(api **shared.Kube) (workerProfileData, error) {
	var err error
	if *api == nil {
		if *api, err = kubeOf(balancerConf); err != nil {
			return workerProfileData{}, err
		}
	}
	found, err := n.readProfile(*api)
	if err != nil {
		*api = nil
	}
	return found, err
}

type document = map[string]any

// listener takes connections on loopback for a cluster of the same name.
func listener(name string, bind int) document {
	return document{
		"name": name, "address": document{"socket_address": document{"address": loopback, "port_value": bind}},
		"filter_chains": []document{{"filters": []document{{
			"name": "envoy.filters.network.tcp_proxy",
			"typed_config": document{
				"@type":       "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
				"stat_prefix": name, "cluster": name,
			},
		}}}},
	}
}

// upstreams are the controllers; each is asked every five seconds whether it takes connections.
func upstreams(name, policy string, addresses []string, overridden int) (document, error) {
	var endpoints []document
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		if overridden != 0 {
			port = fmt.Sprint(overridden)
		}
		endpoints = append(endpoints, document{"endpoint": document{"address": document{
			"socket_address": document{"address": host, "port_value": json.Number(port)},
		}}})
	}
	return document{
		"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": name, "connect_timeout": "0.25s", "type": "STATIC", "lb_policy": policy,
		"load_assignment": document{"cluster_name": name, "endpoints": []document{{"lb_endpoints": endpoints}}},
		"health_checks": []document{{
			"tcp_health_check": document{}, "timeout": "1s", "interval": "5s", "healthy_threshold": 3, "unhealthy_threshold": 5,
		}},
	}, nil
}

// writeEnvoy writes Envoy's configuration; the names of the files say YAML, which JSON is, too.
func writeEnvoy(directory string, of workerProfileData) error {
	spec := of.Balancer.EnvoyProxy
	api, err := upstreams("apiserver", "RANDOM", of.Servers, 0)
	if err != nil {
		return err
	}
	konnectivity, err := upstreams("konnectivity", "ROUND_ROBIN", of.Servers, of.Konnectivity.AgentPort)
	if err != nil {
		return err
	}
	for name, content := range map[string]document{
		"envoy.yaml": {
			"node":              document{"cluster": "nllb-cluster", "id": "nllb-id"},
			"dynamic_resources": document{"cds_config": document{"path": "/etc/envoy/cds.yaml"}},
			"static_resources": document{"listeners": []document{
				listener("apiserver", spec.APIServerPort), listener("konnectivity", spec.KonnectivityPort),
			}},
		},
		"cds.yaml": {"resources": []document{api, konnectivity}},
	} {
		encoded, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return err
		}
		if err := shared.WriteFile(filepath.Join(directory, name), string(encoded)+"\n", 0o444); err != nil {
			return err
		}
	}
	return nil
}

// balancerPod has Envoy in the network of the host, without any privilege.
func balancerPod(spec envoySpec) document {
	return document{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": document{"name": "nllb", "namespace": "kube-system", "labels": document{
			"app.kubernetes.io/name": "k0s", "app.kubernetes.io/component": "nllb", "app.kubernetes.io/managed-by": "k0s",
		}},
		"spec": document{
			"hostNetwork": true, "securityContext": document{"runAsNonRoot": true}, "tolerations": []document{{"operator": "Exists"}},
			"containers": []document{{
				"name": "nllb", "image": spec.Image.Image + ":" + spec.Image.Version, "imagePullPolicy": spec.ImagePullPolicy,
				"args": []string{"-c", "/etc/envoy/envoy.yaml", "--use-dynamic-base-id"},
				"ports": []document{
					{"name": "api-server", "containerPort": spec.APIServerPort}, {"name": "konnectivity", "containerPort": spec.KonnectivityPort},
				},
				"securityContext": document{
					"readOnlyRootFilesystem": true, "privileged": false, "allowPrivilegeEscalation": false, "capabilities": document{"drop": []string{"ALL"}},
				},
				"volumeMounts": []document{{"name": "envoy-config", "mountPath": "/etc/envoy", "readOnly": true}},
				"livenessProbe": document{
					"tcpSocket": document{"host": loopback, "port": spec.APIServerPort}, "periodSeconds": 10, "failureThreshold": 3, "timeoutSeconds": 3,
				},
			}},
			"volumes": []document{{"name": "envoy-config", "hostPath": document{"path": envoyDir, "type": "Directory"}}},
		},
	}
}

// servePod is where the kubelet fetches its static pods.
func servePod(ctx context.Context, of workerProfileData) (string, error) {
	list, err := json.Marshal(document{"apiVersion": "v1", "kind": "PodList", "items": []document{balancerPod(of.Balancer.EnvoyProxy)}})
	if err != nil {
		return "", err
	}
	opened, err := net.Listen("tcp", loopback+":")
	if err != nil {
		return "", err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /manifests", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "application/json")
		_, _ = out.Write(list)
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(opened) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + opened.Addr().String() + "/manifests", nil
}
