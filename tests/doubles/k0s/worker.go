// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// `k0s worker`, and the worker in a controller. Contract: k0s docs, Commands, Worker node configuration (labels, taints, profiles,
// kubelet-extra-args), Control plane nodes (--enable-worker, --no-taints), Airgap install (/var/lib/k0s/images); k0s source,
// cmd/worker and pkg/component/worker.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sealer.invalid/doubles/shared"
)

const kubeletConf = dataDir + "/kubelet.conf"

// node is what runs workloads, on workers and controllers.
type node struct {
	options
	name       string
	controller bool
	children   *shared.Children
	wanted     workerProfileData
	pause      string
}

func workerCommand(ctx context.Context, given []string) error {
	options, err := readOptions(given, false)
	if err != nil {
		return err
	}
	if err := options.preflight(); err != nil {
		return err
	}
	err = runWorker(ctx, options)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func runWorker(ctx context.Context, options options) error {
	n := &node{options: options}
	var err error
	if n.name, err = options.nodeName(); err != nil {
		return err
	}
	bootstrap := ""
	if !shared.Exists(kubeletConf) {
		if bootstrap, err = bootstrapFile(options); err != nil {
			return err
		}
		defer os.Remove(bootstrap)
	}
	ctx, children, err := startNode(ctx)
	if err != nil {
		return err
	}
	n.children = children
	defer children.Stop()
	return n.run(ctx, bootstrap, func() error { return serveStatus(ctx, "worker", true, nil) })
}

// worker runs the node of a controller; it is known to the API server by the administrator's credentials first.
func (c *controller) worker(ctx context.Context) error {
	n := &node{options: c.options, name: c.node, controller: true, children: c.children}
	n.labels = strings.Trim(n.labels+","+roleLabel+"=control-plane", ",")
	if !c.noTaints {
		n.taints = strings.Trim(n.taints+",node-role.kubernetes.io/control-plane:NoSchedule", ",")
	}
	return n.run(ctx, adminConf, func() error { return nil })
}

// bootstrapFile keeps the token's kubeconfig until the kubelet has its own.
func bootstrapFile(options options) (string, error) {
	token, err := options.token()
	if err != nil {
		return "", err
	}
	if token == "" {
		return "", errors.New("failed to bootstrap kubelet client configuration: neither regular nor bootstrap kubeconfig files exist and no join token given")
	}
	content, _, err := decodeToken(token, workerUser)
	if err != nil {
		return "", fmt.Errorf("failed to bootstrap kubelet client configuration: %w", err)
	}
	path := fmt.Sprintf("/run/k0s-%s-kubelet-bootstrap-kubeconfig", shared.RandomHex(4))
	return path, shared.WriteFile(path, string(content), 0o600)
}

func (n *node) run(ctx context.Context, bootstrap string, up func() error) error {
	if err := n.credentials(ctx, bootstrap); err != nil {
		return fmt.Errorf("failed to bootstrap kubelet client configuration: %w", err)
	}
	if !n.controller {
		_ = os.Remove(bootstrap)
	}
	if err := n.loadProfile(ctx); err != nil {
		return err
	}
	kernelSetup()
	defer unbalance()
	config, pods, err := n.balance(ctx)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{n.containerd, n.importImages} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := n.startKubelet(config, pods); err != nil {
		return err
	}
	if err := up(); err != nil {
		return err
	}
	go n.watchImages(ctx)
	<-ctx.Done()
	return context.Cause(ctx)
}

// kernelSetup turns on what the network of pods needs; a kernel that lacks it is passed over.
func kernelSetup() {
	for _, name := range []string{
		"ipv4/conf/all/forwarding", "ipv4/conf/default/forwarding", "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding",
		"bridge/bridge-nf-call-iptables", "bridge/bridge-nf-call-ip6tables",
	} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte("1\n"), 0o644); err != nil {
			shared.Say("warning", "%v", err)
		}
	}
}

// taintsOf reads key=value:effect and key:effect.
func taintsOf(list string) ([]shared.Object, error) {
	var found []shared.Object
	for _, text := range split(list) {
		whole, effect, ok := strings.Cut(text, ":")
		if !ok {
			return nil, fmt.Errorf("invalid taint spec: %s", text)
		}
		key, value, _ := strings.Cut(whole, "=")
		found = append(found, shared.Object{"key": key, "value": value, "effect": effect})
	}
	return found, nil
}

func (n *node) startKubelet(config, pods string) error {
	trusted, err := authority()
	if err != nil {
		return err
	}
	directory, settings := filepath.Join(runDir, "kubelet"), n.wanted.Kubelet
	if err := shared.WriteFile(directory+"/ca.crt", string(trusted), 0o644); err != nil {
		return err
	}
	settings["authentication"] = shared.Object{"x509": shared.Object{"clientCAFile": directory + "/ca.crt"}}
	settings["containerRuntimeEndpoint"] = "unix://" + containerdSocket
	if settings["resolvConf"] == nil {
		settings["resolvConf"] = "/etc/resolv.conf"
	}
	if pods != "" {
		settings["staticPodURL"] = pods
	}
	if taints, err := taintsOf(n.taints); err != nil {
		return err
	} else if len(taints) > 0 {
		settings["registerWithTaints"] = taints
	}
	encoded, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return err
	}
	if err := shared.WriteFile(directory+"/config.yaml", string(encoded)+"\n", 0o600); err != nil {
		return err
	}
	given := []string{
		"--root-dir=" + kubelet, "--config=" + directory + "/config.yaml", "--kubeconfig=" + config, "--cert-dir=" + kubelet + "/pki",
		"--runtime-cgroups=/system.slice/containerd.service", "--containerd=" + containerdSocket,
	}
	if n.labels != "" {
		given = append(given, "--node-labels="+n.labels)
	}
	given = append(append(given, strings.Fields(n.kubeletArgs)...), "--hostname-override="+n.name)
	return n.children.Start("kubelet", "", given...)
}
