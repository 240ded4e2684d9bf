// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// `k0s controller`. Contract: k0s docs, Architecture (the control plane's programs are processes of the host, each as a user of its
// own), Commands, High availability (ports), Networking (Required ports and protocols), Configuration options (extraArgs, rawArgs).

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"sealer.invalid/doubles/shared"
)

const konnectivityDir = runDir + "/konnectivity-server"

type controller struct {
	options
	config   clusterConfig
	host     string
	node     string
	identity string
	children *shared.Children
	kube     *shared.Kube
	leases   sync.WaitGroup
	count    int
	servers  []string
}

func controllerCommand(ctx context.Context, given []string) error {
	options, err := readOptions(given, true)
	if err != nil {
		return err
	}
	config, err := readConfig(options.config)
	if err != nil {
		return fmt.Errorf("failed to load node config: %w", err)
	}
	if err := errors.Join(config.validate(), config.supported()); err != nil {
		return fmt.Errorf("invalid node config: %w", err)
	}
	if err := options.preflight(); err != nil && options.enableWorker {
		return err
	}
	c := &controller{options: options, config: config, identity: shared.RandomHex(16), count: 1}
	if c.node, err = options.nodeName(); err != nil {
		return err
	}
	if c.host, err = os.Hostname(); err != nil {
		return err
	}
	err = c.run(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (c *controller) run(ctx context.Context) error {
	ctx, children, err := startNode(ctx)
	if err != nil {
		return err
	}
	c.children = children
	defer c.children.Stop()
	defer c.leases.Wait()
	err = makeDirectories(map[string]os.FileMode{
		pkiDir: 0o751, etcdPKI: 0o711, etcdData: 0o700, dataDir + "/manifests": 0o755, konnectivityDir: 0o755,
	})
	if err != nil {
		return err
	}
	if err := own(konnectivityDir, "konnectivity-server", 0o755); err != nil {
		return err
	}
	if err := c.controlPlane(ctx); err != nil {
		return err
	}
	if err := c.cluster(ctx); err != nil {
		return err
	}
	if c.enableWorker {
		return c.worker(ctx)
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

// controlPlane runs until the API server is ready.
func (c *controller) controlPlane(ctx context.Context) error {
	var initial []string
	if !joined() {
		token, err := c.token()
		if err != nil {
			return err
		}
		if token != "" {
			if initial, err = c.join(ctx, token); err != nil {
				return err
			}
		}
	}
	for _, step := range []func() error{
		c.certificates, func() error { return c.etcd(ctx, initial) }, c.konnectivity, c.apiServer,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	var err error
	if c.kube, err = kubeOf(adminConf); err != nil {
		return err
	}
	return shared.WaitFor(ctx, "the API server", 3*time.Minute, func() error {
		_, err := c.kube.Do(http.MethodGet, "/readyz", nil)
		return err
	})
}

// cluster starts what works through the API server.
func (c *controller) cluster(ctx context.Context) error {
	leads := c.hold(ctx, "k0s-endpoint-reconciler")
	c.hold(ctx, "k0s-ctrl-"+c.node)
	if err := c.serveJoin(ctx); err != nil {
		return err
	}
	if err := serveStatus(ctx, "controller", c.enableWorker, &c.config); err != nil {
		return err
	}
	for _, step := range []func() error{c.scheduler, c.controllerManager} {
		if err := step(); err != nil {
			return err
		}
	}
	go c.reconcile(ctx, leads)
	return nil
}

// flagsOf puts what the configuration adds over what k0s says itself.
func flagsOf(own, extra arguments, raw []string) []string {
	all := arguments{}
	for _, source := range []arguments{own, extra} {
		for name, value := range source {
			all[name] = value
		}
	}
	made := make([]string, 0, len(all)+len(raw))
	for name, value := range all {
		made = append(made, "--"+name+"="+value)
	}
	sort.Strings(made)
	return append(made, raw...)
}

func serviceAddress(network string, offset byte) (string, error) {
	_, found, err := net.ParseCIDR(network)
	if err != nil {
		return "", err
	}
	made := append(net.IP{}, found.IP...)
	made[len(made)-1] += offset
	return made.String(), nil
}

// konnectivity is the server of the tunnels to the nodes; it has to know how many of it there are.
func (c *controller) konnectivity() error {
	if c.without("konnectivity-server") {
		return nil
	}
	spec := c.config.Spec.Konnectivity
	return c.children.Start("konnectivity-server", "", flagsOf(arguments{
		"uds-name": konnectivityDir + "/konnectivity-server.sock", "cluster-cert": pkiDir + "/server.crt", "cluster-key": pkiDir + "/server.key",
		"kubeconfig": pkiDir + "/konnectivity.conf", "mode": "grpc", "server-port": "0", "agent-port": fmt.Sprint(spec.AgentPort),
		"admin-port": fmt.Sprint(spec.AdminPort), "health-bind-address": "localhost", "health-port": "8092", "agent-namespace": "kube-system",
		"agent-service-account": "konnectivity-agent", "authentication-audience": "system:konnectivity-server", "logtostderr": "true",
		"delete-existing-uds-file": "true", "server-count": fmt.Sprint(c.count), "server-id": c.identity, "proxy-strategies": "destHost,defaultRoute,default",
	}, nil, nil)...)
}

const egress = `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: GRPC
    transport:
      uds:
        udsName: ` + konnectivityDir + `/konnectivity-server.sock
`

func (c *controller) apiServer() error {
	spec := c.config.Spec
	flags := arguments{
		"advertise-address": spec.API.Address, "secure-port": fmt.Sprint(spec.API.Port), "authorization-mode": "Node,RBAC",
		"client-ca-file": pkiDir + "/ca.crt", "enable-bootstrap-token-auth": "true", "allow-privileged": "true",
		"kubelet-client-certificate": pkiDir + "/apiserver-kubelet-client.crt", "kubelet-client-key": pkiDir + "/apiserver-kubelet-client.key",
		"kubelet-certificate-authority": pkiDir + "/ca.crt", "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
		"proxy-client-cert-file": pkiDir + "/front-proxy-client.crt", "proxy-client-key-file": pkiDir + "/front-proxy-client.key",
		"requestheader-allowed-names": "front-proxy-client", "requestheader-client-ca-file": pkiDir + "/front-proxy-ca.crt",
		"requestheader-extra-headers-prefix": "X-Remote-Extra-", "requestheader-group-headers": "X-Remote-Group",
		"requestheader-username-headers": "X-Remote-User", "service-account-key-file": pkiDir + "/sa.pub",
		"service-account-signing-key-file": pkiDir + "/sa.key", "service-account-issuer": "https://kubernetes.default.svc",
		"api-audiences": "https://kubernetes.default.svc", "service-cluster-ip-range": spec.Network.ServiceCIDR,
		"tls-cert-file": pkiDir + "/server.crt", "tls-private-key-file": pkiDir + "/server.key", "tls-min-version": "VersionTLS12",
		"enable-admission-plugins": "NodeRestriction", "profiling": "false", "etcd-servers": etcdURL, "etcd-cafile": etcdPKI + "/ca.crt",
		"etcd-certfile": pkiDir + "/apiserver-etcd-client.crt", "etcd-keyfile": pkiDir + "/apiserver-etcd-client.key",
	}
	if spec.API.OnlyBindToAddress {
		flags["bind-address"] = spec.API.Address
	}
	if !c.without("konnectivity-server") {
		path := filepath.Join(dataDir, "konnectivity.conf")
		if err := shared.WriteFile(path, egress, 0o644); err != nil {
			return err
		}
		flags["egress-selector-config-file"] = path
		flags["api-audiences"] += ",system:konnectivity-server"
	}
	return c.children.Start("kube-apiserver", "", flagsOf(flags, spec.API.ExtraArgs, spec.API.RawArgs)...)
}

func (c *controller) scheduler() error {
	config := pkiDir + "/scheduler.conf"
	return c.children.Start("kube-scheduler", "", flagsOf(arguments{
		"kubeconfig": config, "authentication-kubeconfig": config, "authorization-kubeconfig": config, "bind-address": "127.0.0.1", "profiling": "false",
	}, c.config.Spec.Scheduler.ExtraArgs, c.config.Spec.Scheduler.RawArgs)...)
}

func (c *controller) controllerManager() error {
	spec, config := c.config.Spec, pkiDir+"/ccm.conf"
	return c.children.Start("kube-controller-manager", "", flagsOf(arguments{
		"kubeconfig": config, "authentication-kubeconfig": config, "authorization-kubeconfig": config, "client-ca-file": pkiDir + "/ca.crt",
		"cluster-signing-cert-file": pkiDir + "/ca.crt", "cluster-signing-key-file": pkiDir + "/ca.key", "root-ca-file": pkiDir + "/ca.crt",
		"requestheader-client-ca-file": pkiDir + "/front-proxy-ca.crt", "service-account-private-key-file": pkiDir + "/sa.key",
		"cluster-cidr": spec.Network.PodCIDR, "service-cluster-ip-range": spec.Network.ServiceCIDR, "allocate-node-cidrs": "true",
		"node-cidr-mask-size": "24", "bind-address": "127.0.0.1", "cluster-name": "k0s", "controllers": strings.Join([]string{"*", "bootstrapsigner", "tokencleaner"}, ","),
		"use-service-account-credentials": "true", "terminated-pod-gc-threshold": "12500", "profiling": "false",
	}, spec.ControllerManager.ExtraArgs, spec.ControllerManager.RawArgs)...)
}
