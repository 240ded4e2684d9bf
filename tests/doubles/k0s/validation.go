// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// What of k0s.yaml is wrong. Contract: k0s docs, Configuration options and Configuration validation, and k0s source,
// pkg/apis/k0s/v1beta1, where the allowed values are. What only the double does not have, it refuses apart from that.
// k0s itself passes over unknown keys inside of spec.api, storage, network and images; the double refuses them there, too.

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"sealer.invalid/doubles/shared"
)

var (
	hostName = regexp.MustCompile(`^[A-Za-z0-9_]([-_A-Za-z0-9]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-_A-Za-z0-9]*[A-Za-z0-9_])?)*$`)
	label    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

func oneOf(path, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s: Unsupported value: %q: supported values: \"%s\"", path, value, strings.Join(allowed, `", "`))
}

func cidr(path, value string) error {
	if _, _, err := net.ParseCIDR(value); err != nil {
		return fmt.Errorf("%s: Invalid value: %q: invalid CIDR address", path, value)
	}
	return nil
}

func port(path string, value int) error {
	if value < 1 || value > 65535 {
		return fmt.Errorf("%s: Invalid value: %d: must be between 1 and 65535, inclusive", path, value)
	}
	return nil
}

func (c clusterConfig) validate() error {
	spec := c.Spec
	found := []error{
		spec.API.validate(),
		oneOf("spec: storage: type", spec.Storage.Type, "etcd", "kine"),
		oneOf("spec: network: provider", spec.Network.Provider, "kuberouter", "calico", "custom"),
		spec.Network.NodeLocalLoadBalancing.validate(),
		oneOf("spec: default_pull_policy", spec.Images.DefaultPullPolicy, "Always", "IfNotPresent", "Never"),
		cidr("spec: network: podCIDR", spec.Network.PodCIDR),
		cidr("spec: network: serviceCIDR", spec.Network.ServiceCIDR),
		port("spec: konnectivity: agentPort", spec.Konnectivity.AgentPort),
		port("spec: konnectivity: adminPort", spec.Konnectivity.AdminPort),
	}
	if mode := spec.Network.KubeProxy.Mode; !slices.Contains([]string{"iptables", "ipvs", "nftables", "userspace"}, mode) {
		found = append(found, fmt.Errorf("spec: network: unsupported mode %s for kubeProxy config", mode))
	}
	if !hostName.MatchString(spec.Network.ClusterDomain) {
		found = append(found, fmt.Errorf("spec: network: clusterDomain: Invalid value: %q: invalid DNS name", spec.Network.ClusterDomain))
	}
	if spec.Network.NodeLocalLoadBalancing.Enabled && spec.API.ExternalAddress != "" {
		found = append(found, errors.New("spec: network.nodeLocalLoadBalancing.enabled: Forbidden: node-local load balancing cannot be used in conjunction with an external Kubernetes API server address"))
	}
	for index, profile := range spec.WorkerProfiles {
		found = append(found, profile.validate(fmt.Sprintf("spec: workerProfiles[%d]", index)))
	}
	return errors.Join(found...)
}

func (s apiSpec) validate() error {
	found := []error{port("spec: api: k0sApiPort", s.K0sAPIPort), port("spec: api: port", s.Port)}
	if ip := net.ParseIP(s.Address); ip == nil || ip.IsUnspecified() {
		found = append(found, fmt.Errorf("spec: api: address: Invalid value: %q: invalid IP address", s.Address))
	}
	for index, name := range s.SANs {
		if net.ParseIP(name) == nil && !hostName.MatchString(strings.TrimPrefix(name, "*.")) {
			found = append(found, fmt.Errorf("spec: api: sans[%d]: Invalid value: %q: invalid IP address / DNS name", index, name))
		}
	}
	return errors.Join(found...)
}

// Keys that a profile may not have (k0s docs, Configuration options, spec.workerProfiles).
var reserved = []string{"clusterDNS", "clusterDomain", "staticPodURL"}

func (p workerProfile) validate(path string) error {
	var found []error
	if !label.MatchString(p.Name) {
		found = append(found, fmt.Errorf("%s.name: Invalid value: %q", path, p.Name))
	}
	for _, key := range reserved {
		if _, ok := p.Values[key]; ok {
			found = append(found, fmt.Errorf("%s.values.%s: Forbidden: may not be used in k0s worker profiles", path, key))
		}
	}
	if p.Values != nil && cgroupV1() && p.Values["failCgroupV1"] != false {
		found = append(found, fmt.Errorf("%s.values: Invalid value: kubelet is configured to not run on a host using cgroup v1", path))
	}
	return errors.Join(found...)
}

// cgroupV1 tells what this host has; workers refuse it (k0s docs, System requirements).
func cgroupV1() bool { return !shared.Exists("/sys/fs/cgroup/cgroup.controllers") }

// supported refuses what k0s has and the double has not.
func (c clusterConfig) supported() error {
	spec := c.Spec
	var found []error
	for what, asked := range map[string]bool{
		"kine": spec.Storage.Type == "kine", "an external etcd": spec.Storage.Etcd.ExternalCluster != nil,
		"another network than custom": spec.Network.Provider != "custom", "dual stack": spec.Network.DualStack.Enabled,
		"control plane load balancing": spec.Network.ControlPlaneLoadBalancing != nil && spec.Network.ControlPlaneLoadBalancing.Enabled,
		"Helm charts":                  spec.Extensions.Helm != nil && len(spec.Extensions.Helm.Charts) > 0,
		"users with other names":       spec.InstallConfig.Users != usersSpec{}, "feature gates": len(spec.FeatureGates) > 0,
	} {
		if asked {
			found = append(found, fmt.Errorf("the double of k0s has no %s", what))
		}
	}
	return errors.Join(found...)
}
