// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// `k0s worker`, and the worker in a controller. Contract: k0s docs, Commands, Worker node configuration (labels, taints, profiles,
// kubelet-extra-args), Control plane nodes (--enable-worker, --no-taints), Airgap install (/var/lib/k0s/images); k0s source,
// cmd/worker and pkg/component/worker: a worker that has /var/lib/k0s/kubelet.conf needs no token.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

const kubeletConf = dataDir + "/kubelet.conf"

// node is what runs workloads, on workers and controllers.
type node struct {
	options
	name     string
	children *shared.Children
	kubelet  shared.Object
	pause    string
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
	n := &node{options: c.options, name: c.node, children: c.children}
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
	known := bootstrap
	if shared.Exists(kubeletConf) {
		known = kubeletConf
	}
	if err := n.loadProfile(ctx, known); err != nil {
		return err
	}
	kernelSetup()
	for _, step := range []func(context.Context) error{n.containerd, n.importImages} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := n.startKubelet(bootstrap); err != nil {
		return err
	}
	err := shared.WaitFor(ctx, kubeletConf, 5*time.Minute, func() error {
		_, err := os.Stat(kubeletConf)
		return err
	})
	if err != nil {
		return err
	}
	if bootstrap != adminConf {
		_ = os.Remove(bootstrap)
	}
	if err := up(); err != nil {
		return err
	}
	go n.watchImages(ctx)
	<-ctx.Done()
	return context.Cause(ctx)
}

// loadProfile reads what the cluster wants of workers with this profile.
func (n *node) loadProfile(ctx context.Context, config string) error {
	api, err := kubeOf(config)
	if err != nil {
		return err
	}
	var found shared.Object
	err = shared.WaitFor(ctx, "the worker profile "+n.profile, time.Minute, func() error {
		found, err = api.Do(http.MethodGet, "/api/v1/namespaces/kube-system/configmaps/"+profileName(n.profile), nil)
		return err
	})
	var status shared.StatusError
	if errors.As(err, &status) && status.Code == http.StatusUnauthorized {
		return fmt.Errorf("the k0s worker node credentials are invalid, the node needs to be rejoined into the cluster with a fresh bootstrap token: %w", err)
	}
	if err != nil {
		return err
	}
	data, _ := found["data"].(shared.Object)
	text, _ := data["kubeletConfiguration"].(string)
	if err := json.Unmarshal([]byte(text), &n.kubelet); err != nil {
		return err
	}
	var pause imageSpec
	text, _ = data["pauseImage"].(string)
	if err := json.Unmarshal([]byte(text), &pause); err != nil {
		return err
	}
	n.pause = pause.Image + ":" + pause.Version
	return nil
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

func (n *node) startKubelet(bootstrap string) error {
	content, err := n.trusted(bootstrap)
	if err != nil {
		return err
	}
	directory := filepath.Join(runDir, "kubelet")
	if err := shared.WriteFile(directory+"/ca.crt", content, 0o644); err != nil {
		return err
	}
	n.kubelet["authentication"] = shared.Object{"x509": shared.Object{"clientCAFile": directory + "/ca.crt"}}
	n.kubelet["containerRuntimeEndpoint"] = "unix://" + containerdSocket
	if n.kubelet["resolvConf"] == nil {
		n.kubelet["resolvConf"] = "/etc/resolv.conf"
	}
	if taints, err := taintsOf(n.taints); err != nil {
		return err
	} else if len(taints) > 0 {
		n.kubelet["registerWithTaints"] = taints
	}
	encoded, err := json.MarshalIndent(n.kubelet, "", "  ")
	if err != nil {
		return err
	}
	if err := shared.WriteFile(directory+"/config.yaml", string(encoded)+"\n", 0o600); err != nil {
		return err
	}
	given := []string{
		"--root-dir=" + kubelet, "--config=" + directory + "/config.yaml", "--kubeconfig=" + kubeletConf, "--cert-dir=" + kubelet + "/pki",
		"--runtime-cgroups=/system.slice/containerd.service", "--containerd=" + containerdSocket,
	}
	if bootstrap != "" {
		given = append(given, "--bootstrap-kubeconfig="+bootstrap)
	}
	if n.labels != "" {
		given = append(given, "--node-labels="+n.labels)
	}
	given = append(append(given, strings.Fields(n.kubeletArgs)...), "--hostname-override="+n.name)
	return n.children.Start("kubelet", "", given...)
}

// trusted is the authority of the kubeconfig that the kubelet goes by.
func (n *node) trusted(bootstrap string) (string, error) {
	path := bootstrap
	if shared.Exists(kubeletConf) {
		path = kubeletConf
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	found, err := readKubeconfig(content)
	return string(found.ca), err
}
