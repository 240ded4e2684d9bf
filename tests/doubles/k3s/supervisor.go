// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// What a server answers to nodes, on the same port as the API server (https://docs.k3s.io/installation/requirements#networking: "K3s
// supervisor and Kubernetes API Server" on 6443). What is not the supervisor's goes on to the API server, which listens on loopback.

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

type caller int

const (
	nobody caller = iota
	agentCaller
	serverCaller
)

func (s *server) serve() error {
	pair, err := tls.LoadX509KeyPair(s.path("tls", "serving-kube-apiserver.crt"), s.path("tls", "serving-kube-apiserver.key"))
	if err != nil {
		return err
	}
	proxy, err := s.proxy()
	if err != nil {
		return err
	}
	config := &tls.Config{
		Certificates: []tls.Certificate{pair}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: shared.PoolOf(s.clientCA.PEM), NextProtos: []string{"h2", "http/1.1"},
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(s.address, s.get("https-listen-port")), config)
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.Handle("/", proxy)
	routes.HandleFunc("GET /cacerts", func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, s.serverCA.PEM) })
	routes.HandleFunc("GET /ping", func(out http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(out, "pong") })
	routes.HandleFunc("GET /v1-k3s/config", s.only(agentCaller, s.answerConfig))
	routes.HandleFunc("GET /v1-k3s/apiservers", s.only(agentCaller, func(*http.Request) (any, error) { return s.kube.Addresses() }))
	routes.HandleFunc("GET /v1-k3s/client-ca.crt", s.only(agentCaller, func(*http.Request) (any, error) { return s.clientCA.PEM, nil }))
	routes.HandleFunc("POST /v1-k3s/{certificate}", s.only(agentCaller, s.answerCertificate))
	routes.HandleFunc("GET /v1-k3s/server-bootstrap", s.only(serverCaller, s.answerBootstrap))
	routes.HandleFunc("GET /db/info", s.only(serverCaller, func(*http.Request) (any, error) {
		if !s.embedded() {
			return nil, errors.New("embedded etcd is not enabled")
		}
		return []string{"https://" + s.address + ":2379"}, nil
	}))
	quiet := log.New(io.Discard, "", 0)
	server := &http.Server{Handler: routes, ErrorLog: quiet, ReadHeaderTimeout: 30 * time.Second, TLSConfig: config}
	go func() { s.children.Failed(server.Serve(listener)) }()
	return nil
}

func (s *server) proxy() (http.Handler, error) {
	target, err := url.Parse(s.local())
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(s.path("tls", "client-auth-proxy.crt"), s.path("tls", "client-auth-proxy.key"))
	if err != nil {
		return nil, err
	}
	transport := func(certificates ...tls.Certificate) *http.Transport {
		return &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: shared.PoolOf(s.serverCA.PEM), Certificates: certificates}, MaxIdleConnsPerHost: 64, ForceAttemptHTTP2: false,
		}
	}
	known, unknown := transport(pair), transport()
	return &httputil.ReverseProxy{
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Transport: roundTripper(func(request *http.Request) (*http.Response, error) {
			if request.Header.Get("X-Remote-User") != "" {
				return known.RoundTrip(request)
			}
			return unknown.RoundTrip(request)
		}),
		Rewrite: func(request *httputil.ProxyRequest) {
			request.SetURL(target)
			for name := range request.Out.Header {
				if strings.HasPrefix(name, "X-Remote-") {
					request.Out.Header.Del(name)
				}
			}
			if peers := request.In.TLS.PeerCertificates; len(peers) > 0 {
				request.Out.Header.Set("X-Remote-User", peers[0].Subject.CommonName)
				for _, group := range peers[0].Subject.Organization {
					request.Out.Header.Add("X-Remote-Group", group)
				}
			}
		},
	}, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

type refusal struct {
	status int
	why    string
}

func (r refusal) Error() string { return r.why }

func (s *server) only(least caller, answer func(*http.Request) (any, error)) http.HandlerFunc {
	return func(out http.ResponseWriter, request *http.Request) {
		if s.callerOf(request) < least {
			http.Error(out, "not authorized", http.StatusUnauthorized)
			return
		}
		found, err := answer(request)
		var refused refusal
		switch {
		case errors.As(err, &refused):
			http.Error(out, refused.why, refused.status)
		case err != nil:
			http.Error(out, err.Error(), http.StatusServiceUnavailable)
		default:
			if plain, ok := found.(string); ok {
				_, _ = io.WriteString(out, plain)
				return
			}
			_ = json.NewEncoder(out).Encode(found)
		}
	}
}

func (s *server) callerOf(request *http.Request) caller {
	if user, password, ok := request.BasicAuth(); ok {
		switch {
		case user == "server" && shared.Same(password, s.password):
			return serverCaller
		case (user == "node" || user == "server") && shared.Same(password, s.agentToken):
			return agentCaller
		}
	}
	if bearer, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer "); ok && shared.KnowsBootstrapToken(s.kube, bearer, "authentication") {
		return agentCaller
	}
	for _, peer := range request.TLS.PeerCertificates {
		for _, group := range peer.Subject.Organization {
			if group == "system:nodes" {
				return agentCaller
			}
		}
	}
	return nobody
}

func (s *server) answerConfig(*http.Request) (any, error) {
	found := s.critical()
	dns, err := s.dns()
	found["dns"] = dns
	return found, err
}

func (s *server) answerBootstrap(*http.Request) (any, error) {
	found := map[string]string{}
	for _, name := range sharedFiles {
		content, err := os.ReadFile(s.path(name))
		if err != nil {
			return nil, err
		}
		found[name] = string(content)
	}
	return found, nil
}

// answerCertificate signs a node's request: serving-kubelet, client-kubelet, client-kube-proxy, client-k3s-controller.
func (s *server) answerCertificate(request *http.Request) (any, error) {
	content, err := io.ReadAll(io.LimitReader(request.Body, 1<<16))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, refusal{http.StatusBadRequest, "no certificate request"}
	}
	asked, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || asked.CheckSignature() != nil {
		return nil, refusal{http.StatusBadRequest, "bad certificate request"}
	}
	name := request.Header.Get("k3s-Node-Name")
	if err := s.checkNode(name, request.Header.Get("k3s-Node-Password")); err != nil {
		return nil, err
	}
	switch request.PathValue("certificate") {
	case "serving-kubelet.crt":
		hosts := append([]string{name, "localhost", "127.0.0.1"}, strings.Split(request.Header.Get("k3s-Node-Ip"), ",")...)
		return s.serverCA.Sign(shared.Leaf{Name: name, Hosts: hosts}, asked.PublicKey)
	case "client-kubelet.crt":
		return s.clientCA.Sign(shared.Leaf{Name: "system:node:" + name, Group: "system:nodes"}, asked.PublicKey)
	case "client-kube-proxy.crt":
		return s.clientCA.Sign(shared.Leaf{Name: "system:kube-proxy"}, asked.PublicKey)
	case "client-k3s-controller.crt":
		return s.clientCA.Sign(shared.Leaf{Name: "system:k3s-controller"}, asked.PublicKey)
	}
	return nil, refusal{http.StatusNotFound, "no such certificate"}
}

// checkNode keeps a name for the node that had it first: Secret <node>.node-password.k3s (docs/architecture.md).
func (s *server) checkNode(name, password string) error {
	if name == "" || password == "" {
		return refusal{http.StatusBadRequest, "node name or node password not set"}
	}
	secret, path := name+".node-password.k3s", "/api/v1/namespaces/kube-system/secrets"
	sum := sha256.Sum256([]byte(password))
	hash := hex.EncodeToString(sum[:])
	found, err := s.kube.Do(http.MethodGet, path+"/"+secret, nil)
	var status shared.StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		_, err = s.kube.Do(http.MethodPost, path, shared.Object{
			"apiVersion": "v1", "kind": "Secret", "metadata": shared.Object{"name": secret}, "immutable": true, "stringData": shared.Object{"hash": hash},
		})
		return err
	}
	if err != nil {
		return err
	}
	if !shared.Same(shared.SecretData(found)["hash"], hash) {
		return refusal{http.StatusForbidden, "node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry"}
	}
	return nil
}

// reconcile keeps labels of the control planes, packaged components and the password Secrets of nodes that are gone.
func (s *server) reconcile(ctx context.Context) {
	deployed, seen := map[string]string{}, map[string]bool{}
	for ctx.Err() == nil {
		labels := shared.Object{"node-role.kubernetes.io/control-plane": "true"}
		if s.embedded() {
			labels["node-role.kubernetes.io/etcd"] = "true"
		}
		_, _ = s.kube.Do(http.MethodPatch, "/api/v1/nodes/"+s.name, shared.Object{"metadata": shared.Object{"labels": labels}})
		if err := s.deploy(ctx, deployed); err != nil {
			shared.Say("error", "Failed to process config: %v", err)
		}
		if err := s.forgetNodes(seen); err != nil {
			shared.Say("warning", "node passwords: %v", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(3 * time.Second):
		}
	}
}

// forgetNodes drops the passwords of nodes that were deleted (docs/architecture.md: "This will clean up both").
func (s *server) forgetNodes(seen map[string]bool) error {
	nodes, err := s.kube.Do(http.MethodGet, "/api/v1/nodes", nil)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, node := range shared.ItemsOf(nodes) {
		known[shared.NameOf(node)] = true
		seen[shared.NameOf(node)] = true
	}
	for name := range seen {
		if known[name] {
			continue
		}
		_, err := s.kube.Do(http.MethodDelete, "/api/v1/namespaces/kube-system/secrets/"+name+".node-password.k3s", nil)
		var status shared.StatusError
		if err != nil && (!errors.As(err, &status) || status.Code != http.StatusNotFound) {
			return err
		}
		delete(seen, name)
	}
	return nil
}
