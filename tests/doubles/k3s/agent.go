// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// `k3s agent`, and the agent in every server. Contract: https://docs.k3s.io/cli/agent, https://docs.k3s.io/architecture (the node's
// password, the load balancer on the agent's loopback that keeps to the servers it was told of), https://docs.k3s.io/installation/airgap
// (agent/images), https://docs.k3s.io/installation/configuration#kubelet-configuration (kubelet.conf.d),
// https://docs.k3s.io/advanced#configuring-containerd (config.toml and its template).

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"sealer.invalid/doubles/shared"
)

type agent struct {
	settings
	directory string
	name      string
	address   string
	api       string
	facts     map[string]string
	children  *shared.Children
}

// identity is the node's name and address.
func identity(given settings) (string, string, error) {
	name := given.get("node-name")
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", "", err
		}
		name = strings.ToLower(host)
	}
	if addresses := given.split("node-ip"); len(addresses) > 0 {
		return name, addresses[0], nil
	}
	// The address of the default route's interface; nothing is sent.
	connection, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return "", "", fmt.Errorf("unable to select an IP from default routes: %w", err)
	}
	defer connection.Close()
	return name, connection.LocalAddr().(*net.UDPAddr).IP.String(), nil
}

// runAgent runs a node; `own` is the server it is part of, if any.
func runAgent(ctx context.Context, given settings, own *server) error {
	name, address, err := identity(given)
	if err != nil {
		return err
	}
	a := &agent{settings: given, directory: filepath.Join(given.get("data-dir"), "agent"), name: name, address: address}
	if own != nil {
		a.children, a.api = own.children, own.local()
		err = a.register(ctx, "https://"+net.JoinHostPort(own.address, own.get("https-listen-port")), token{user: "server", password: own.password})
	} else {
		bin, failure := linkPrograms(given.get("data-dir"))
		if failure != nil {
			return failure
		}
		ctx, a.children = shared.NewChildren(ctx, bin, nil)
		defer a.children.Stop()
		err = a.join(ctx)
	}
	if err != nil {
		return err
	}
	if err := a.node(ctx); err != nil {
		return err
	}
	notify()
	shared.Say("info", "k3s is up and running")
	<-ctx.Done()
	return context.Cause(ctx)
}

func (a *agent) path(parts ...string) string {
	return filepath.Join(append([]string{a.directory}, parts...)...)
}

func (a *agent) join(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("agent must be run as root, or with --rootless")
	}
	if a.get("server") == "" {
		return errors.New("--server is required")
	}
	text, err := a.requiredToken()
	if err != nil {
		return err
	}
	parsed, err := parseToken(text, "node")
	if err != nil {
		return err
	}
	server, err := url.Parse(a.get("server"))
	if err != nil || server.Scheme != "https" || server.Host == "" {
		return fmt.Errorf("only https:// URLs are supported, invalid --server %q", a.get("server"))
	}
	if server.Port() == "" {
		server.Host += ":443"
	}
	balancer := &balancer{state: a.path("etc", "k3s-agent-load-balancer.json"), Default: server.Host}
	if err := balancer.start("127.0.0.1:" + a.get("lb-server-port")); err != nil {
		return err
	}
	a.api = "https://127.0.0.1:" + a.get("lb-server-port")
	if err := a.register(ctx, a.api, parsed); err != nil {
		return err
	}
	if a.on("disable-apiserver-lb") {
		return nil
	}
	api, err := shared.NewKube(a.api, a.path("server-ca.crt"), a.path("client-kubelet"))
	if err != nil {
		return err
	}
	go balancer.follow(ctx, api)
	return nil
}

func (a *agent) requiredToken() (string, error) {
	text, err := a.givenToken("token")
	if err == nil && text == "" {
		err = errors.New("--token is required")
	}
	return text, err
}

// register gets the node's certificates with the token, or, once there are some, with the one it has.
func (a *agent) register(ctx context.Context, url string, with token) error {
	password, err := shared.FirstLine("/etc/rancher/node/password")
	if err != nil {
		return err
	}
	if password == "" {
		password = shared.RandomHex(16)
		if err := shared.WriteFile("/etc/rancher/node/password", password+"\n", 0o600); err != nil {
			return err
		}
	}
	server, err := connect(ctx, url, with, a.path("client-kubelet"))
	if err != nil {
		return err
	}
	err = shared.WaitFor(ctx, "the server's configuration", 2*time.Minute, func() error { return server.fetch("/v1-k3s/config", &a.facts) })
	if err != nil {
		return err
	}
	clientCA, err := server.ask(http.MethodGet, "/v1-k3s/client-ca.crt", nil, "")
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"server-ca.crt": server.ca, "client-ca.crt": clientCA} {
		if err := shared.WriteFile(a.path(name), content, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"serving-kubelet", "client-kubelet", "client-kube-proxy", "client-k3s-controller"} {
		if err := a.certificate(server, name, password); err != nil {
			return err
		}
	}
	for file, certificate := range map[string]string{"kubelet": "client-kubelet", "kubeproxy": "client-kube-proxy", "k3scontroller": "client-k3s-controller"} {
		if err := shared.Kubeconfig(a.path(file+".kubeconfig"), a.api, a.path("server-ca.crt"), a.path(certificate), false, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (a *agent) certificate(from *supervisor, name, password string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	if err != nil {
		return err
	}
	encoded := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}))
	headers := map[string]string{"k3s-Node-Name": a.name, "k3s-Node-Password": password, "k3s-Node-Ip": a.address}
	signed, err := from.ask(http.MethodPost, "/v1-k3s/"+name+".crt", headers, encoded)
	if err != nil {
		return err
	}
	key, err := shared.KeyPEM(private)
	if err != nil {
		return err
	}
	if err := shared.WriteFile(a.path(name+".key"), key, 0o600); err != nil {
		return err
	}
	return shared.WriteFile(a.path(name+".crt"), signed, 0o644)
}

// balancer hands connections on to a server that answers; it keeps what it was told of.
type balancer struct {
	state   string
	mutex   sync.Mutex
	Default string   `json:"ServerURL"`
	Servers []string `json:"ServerAddresses"`
}

func (b *balancer) start(address string) error {
	if content, err := os.ReadFile(b.state); err == nil {
		kept := balancer{}
		if err := json.Unmarshal(content, &kept); err != nil {
			return err
		}
		b.Servers = kept.Servers
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go b.carry(connection)
		}
	}()
	return nil
}

func (b *balancer) carry(from net.Conn) {
	defer from.Close()
	b.mutex.Lock()
	servers := append(append([]string{}, b.Servers...), b.Default)
	b.mutex.Unlock()
	for _, server := range servers {
		// As long as k3s's own balancer has, so that a name's next address is tried when the first one is dead.
		to, err := net.DialTimeout("tcp", server, 10*time.Second)
		if err != nil {
			continue
		}
		defer to.Close()
		go func() {
			_, _ = io.Copy(to, from)
			to.Close()
		}()
		_, _ = io.Copy(from, to)
		return
	}
}

func (b *balancer) follow(ctx context.Context, api *shared.Kube) {
	for ctx.Err() == nil {
		if found, err := api.Addresses(); err == nil && len(found) > 0 {
			b.mutex.Lock()
			changed := strings.Join(found, ",") != strings.Join(b.Servers, ",")
			b.Servers = found
			encoded, err := json.Marshal(b)
			b.mutex.Unlock()
			if err == nil && changed {
				err = shared.WriteFile(b.state, string(encoded)+"\n", 0o600)
			}
			if err != nil {
				shared.Say("warning", "load balancer: %v", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(3 * time.Second):
		}
	}
}
