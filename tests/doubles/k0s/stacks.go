// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Stacks and what is in k0s' own. Contract: k0s docs, Manifest deployer (stacks are directories of /var/lib/k0s/manifests, applied
// when they change by the controller that leads), Networking (kube-proxy, CoreDNS and konnectivity-agent in kube-system).

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"sealer.invalid/doubles/shared"
)

//go:embed manifests/*.manifest
var templates embed.FS

// components tells which stack can be left out by which name.
var components = map[string]string{
	"coredns": "coredns", "konnectivity": "konnectivity-server", "kubeproxy": "kube-proxy", "metricserver": "metrics-server",
}

// stacks gives the documents of k0s' own components by the names of their stacks.
func (c *controller) stacks(dns string) (map[string]string, error) {
	entries, err := templates.ReadDir("manifests")
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer(c.values(dns)...)
	found := map[string]string{}
	for _, entry := range entries {
		stack := strings.TrimSuffix(entry.Name(), ".manifest")
		if c.without(components[stack]) || stack == "kubeproxy" && c.config.Spec.Network.KubeProxy.Disabled {
			continue
		}
		content, err := templates.ReadFile("manifests/" + entry.Name())
		if err != nil {
			return nil, err
		}
		found[stack] = fill.Replace(string(content))
	}
	// Workers wait for a profile that has the API servers in it.
	if len(c.servers) > 0 {
		found["worker-config"], err = c.workerConfig(dns)
	}
	return found, err
}

// values are what is filled in, each after its place.
func (c *controller) values(dns string) []string {
	spec := c.config.Spec
	api, host, agents, balancer := spec.API.url(), spec.API.Address, spec.Konnectivity.AgentPort, spec.Network.NodeLocalLoadBalancing
	if other := spec.API.externalHost(); other != "" {
		host = other
	}
	balanced := balancer.Enabled && spec.Konnectivity.ExternalAddress == ""
	if balancer.Enabled {
		api = fmt.Sprintf("https://localhost:%d", balancer.EnvoyProxy.APIServerPort)
	}
	if balanced {
		host, agents = "localhost", balancer.EnvoyProxy.KonnectivityPort
	} else if other := spec.Konnectivity.ExternalAddress; other != "" {
		host = other
	}
	var profiles, found []string
	for _, profile := range c.profiles() {
		profiles = append(profiles, profileName(profile.Name))
	}
	for name, value := range map[string]string{
		"DNS": dns, "Domain": spec.Network.ClusterDomain, "PullPolicy": spec.Images.DefaultPullPolicy, "API": api, "Pods": spec.Network.PodCIDR,
		"Mode": spec.Network.KubeProxy.Mode, "KonnectivityHost": host, "KonnectivityPort": fmt.Sprint(agents), "KonnectivityHostNetwork": fmt.Sprint(balanced),
		"Controllers": fmt.Sprint(c.count), "KubeProxyImage": spec.Images.name(spec.Images.KubeProxy),
		"CoreDNSImage": spec.Images.name(spec.Images.CoreDNS), "KonnectivityImage": spec.Images.name(spec.Images.Konnectivity),
		"Profiles": strings.Join(profiles, `", "`),
	} {
		found = append(found, "%{"+name+"}%", value)
	}
	return found
}

// profiles are the configuration's, and the one that is always there.
func (c *controller) profiles() []workerProfile {
	return append([]workerProfile{{Name: "default"}}, c.config.Spec.WorkerProfiles...)
}

// profileName is that of the ConfigMap of a profile, which has the minor version in it.
func profileName(profile string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	return fmt.Sprintf("worker-config-%s-%s.%s", profile, parts[0], parts[1])
}

// workerConfig has a ConfigMap for each worker profile (k0s docs, Configuration options, spec.workerProfiles; k0s source,
// pkg/component/controller/workerconfig): a kubelet's configuration and what else a worker needs.
func (c *controller) workerConfig(dns string) (string, error) {
	spec := c.config.Spec
	var items []any
	for _, profile := range c.profiles() {
		configuration := shared.Object{
			"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "clusterDNS": []string{dns}, "clusterDomain": spec.Network.ClusterDomain,
			"kubeReservedCgroup": "system.slice", "kubeletCgroups": "/system.slice/containerd.service", "tlsMinVersion": "VersionTLS12", "failSwapOn": false,
			"rotateCertificates": true, "serverTLSBootstrap": true, "eventRecordQPS": 0, "volumePluginDir": "/usr/libexec/k0s/kubelet-plugins/volume/exec",
		}
		maps.Copy(configuration, profile.Values)
		profiled := workerProfileData{
			Kubelet: configuration, Pause: spec.Images.from(spec.Images.Pause), Servers: c.servers, Balancer: spec.Network.NodeLocalLoadBalancing,
		}
		profiled.Konnectivity.Enabled, profiled.Konnectivity.AgentPort = !c.without("konnectivity-server"), spec.Konnectivity.AgentPort
		envoy := &profiled.Balancer.EnvoyProxy
		envoy.Image = spec.Images.from(envoy.Image)
		if envoy.ImagePullPolicy == "" {
			envoy.ImagePullPolicy = spec.Images.DefaultPullPolicy
		}
		data, err := profiled.configMap()
		if err != nil {
			return "", err
		}
		items = append(items, shared.Object{
			"apiVersion": "v1", "kind": "ConfigMap", "data": data, "metadata": shared.Object{
				"name": profileName(profile.Name), "namespace": "kube-system", "labels": shared.Object{"k0s.k0sproject.io/worker-profile": profile.Name},
			},
		})
	}
	encoded, err := json.MarshalIndent(shared.Object{"apiVersion": "v1", "kind": "List", "items": items}, "", "  ")
	return string(encoded) + "\n", err
}

func (c *controller) writeStacks() error {
	dns, err := serviceAddress(c.config.Spec.Network.ServiceCIDR, 10)
	if err != nil {
		return err
	}
	documents, err := c.stacks(dns)
	if err != nil {
		return err
	}
	for stack, content := range documents {
		if err := shared.WriteFile(filepath.Join(dataDir, "manifests", stack, stack+".yaml"), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (c *controller) apply(ctx context.Context, applied map[string]string) error {
	return shared.ApplyChanged(dataDir+"/manifests", applied, func(string) bool { return false }, func(path string) error {
		environment := []string{"KUBECONFIG=" + adminConf, "KUBECACHEDIR=" + runDir + "/kubectl"}
		_, err := c.children.Run(ctx, environment, "kubectl", "apply", "--server-side", "--force-conflicts", "--field-manager=k0s", "-f", path)
		return err
	})
}
