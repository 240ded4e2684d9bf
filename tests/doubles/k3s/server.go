// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// `k3s server`. Contract: https://docs.k3s.io/cli/server, https://docs.k3s.io/architecture, https://docs.k3s.io/datastore/ha-embedded
// (the first server with --cluster-init, further ones with --server; on a host with etcd's data both are passed over; flags that
// have to be the same on all servers), https://docs.k3s.io/datastore (without any of these: SQLite, for one server alone).

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

// "The following options must be set to the same value on all servers" (docs/cli/server.md).
var criticalFlags = []string{
	"cluster-cidr", "cluster-dns", "cluster-domain", "disable-cloud-controller", "disable-helm-controller", "disable-network-policy",
	"egress-selector-mode", "embedded-registry", "flannel-backend", "flannel-external-ip", "flannel-ipv6-masq", "secrets-encryption",
	"secrets-encryption-provider", "service-cidr",
}

var components = map[string]bool{"coredns": true, "servicelb": true, "traefik": true, "local-storage": true, "metrics-server": true, "runtimes": true}

// What all servers have in common: files of server/tls and of server/cred.
var sharedFiles = []string{
	"tls/server-ca.crt", "tls/server-ca.key", "tls/client-ca.crt", "tls/client-ca.key", "tls/request-header-ca.crt",
	"tls/request-header-ca.key", "tls/service.key", "tls/etcd/server-ca.crt", "tls/etcd/server-ca.key", "tls/etcd/peer-ca.crt",
	"tls/etcd/peer-ca.key", "cred/passwd",
}

type server struct {
	settings
	directory  string
	name       string
	address    string
	serverCA   shared.Authority
	clientCA   shared.Authority
	headerCA   shared.Authority
	etcdServer shared.Authority
	etcdPeer   shared.Authority
	password   string
	agentToken string
	children   *shared.Children
	kube       *shared.Kube
	joining    *supervisor
}

func runServer(ctx context.Context, given settings) error {
	if os.Geteuid() != 0 {
		return errors.New("must run as root unless --rootless is specified")
	}
	for _, name := range given.split("disable") {
		if !components[name] {
			return fmt.Errorf("invalid value %q for --disable", name)
		}
	}
	name, address, err := identity(given)
	if err != nil {
		return err
	}
	bin, err := linkPrograms(given.get("data-dir"))
	if err != nil {
		return err
	}
	s := &server{settings: given, directory: filepath.Join(given.get("data-dir"), "server"), name: name, address: address}
	ctx, s.children = shared.NewChildren(ctx, bin, nil)
	defer s.children.Stop()
	if err := s.bootstrap(ctx); err != nil {
		return err
	}
	if err := s.certificates(); err != nil {
		return err
	}
	if err := s.controlPlane(ctx); err != nil {
		return err
	}
	go s.reconcile(ctx)
	return runAgent(ctx, given, s)
}

func (s *server) path(parts ...string) string {
	return filepath.Join(append([]string{s.directory}, parts...)...)
}

func (s *server) embedded() bool { return shared.Exists(s.path("db", "etcd")) }

// bootstrap brings what all servers share: from a server that is there, or new.
func (s *server) bootstrap(ctx context.Context) error {
	given, err := s.givenToken("token")
	if err != nil {
		return err
	}
	if s.agentToken, err = s.givenToken("agent-token"); err != nil {
		return err
	}
	join := s.get("server") != "" && !s.embedded() && s.get("datastore-endpoint") == ""
	if join {
		if given == "" {
			return errors.New("--token is required when joining a cluster")
		}
		if err := s.fetchBootstrap(ctx, given); err != nil {
			return err
		}
	} else if strings.HasPrefix(given, "K10") && !shared.Exists(s.path("tls", "server-ca.crt")) {
		return errors.New("starting a new cluster with a full token is not possible: the cluster CA is not known yet")
	} else if s.on("cluster-init") {
		if shared.Exists(s.path("db", "state.db")) && !s.embedded() {
			return errors.New("the double cannot take SQLite's data into etcd")
		}
		if err := os.MkdirAll(s.path("db", "etcd"), 0o700); err != nil {
			return err
		}
	}
	for name, into := range map[string]*shared.Authority{
		"server-ca": &s.serverCA, "client-ca": &s.clientCA, "request-header-ca": &s.headerCA, "etcd/server-ca": &s.etcdServer, "etcd/peer-ca": &s.etcdPeer,
	} {
		if *into, err = shared.EnsureAuthority(s.path("tls"), name, fmt.Sprintf("k3s-%s@%d", name, time.Now().Unix())); err != nil {
			return err
		}
	}
	if err := shared.ServiceKey(s.path("tls", "service.key")); err != nil {
		return err
	}
	return s.tokens(given)
}

func (s *server) fetchBootstrap(ctx context.Context, given string) error {
	parsed, err := parseToken(given, "server")
	if err != nil {
		return err
	}
	if s.joining, err = connect(ctx, s.get("server"), parsed, ""); err != nil {
		return err
	}
	theirs := map[string]string{}
	if err := s.joining.fetch("/v1-k3s/config", &theirs); err != nil {
		return err
	}
	for name, value := range s.critical() {
		if theirs[name] != value {
			return fmt.Errorf("failed to validate server configuration: critical configuration value mismatch between servers: %s is %q there and %q here", name, theirs[name], value)
		}
	}
	files := map[string]string{}
	if err := s.joining.fetch("/v1-k3s/server-bootstrap", &files); err != nil {
		return err
	}
	for name, content := range files {
		if err := shared.WriteFile(s.path(name), content, 0o600); err != nil {
			return err
		}
	}
	return os.MkdirAll(s.path("db", "etcd"), 0o700)
}

func (s *server) critical() map[string]string {
	found := map[string]string{}
	for _, name := range criticalFlags {
		found[name] = strings.Join(s.all(name), ",")
	}
	for _, name := range s.split("disable") {
		if name == "servicelb" {
			found["disable-servicelb"] = "true"
		}
	}
	// What was given, and not the servers' token, which stands for it where nothing was.
	given := s.agentToken
	if given == s.password {
		given = ""
	}
	found["agent-token"] = caHash(given)
	return found
}

// tokens are written in the secure form: server/token, node-token and agent-token (docs/cli/token.md).
func (s *server) tokens(given string) error {
	recorded, err := shared.FirstLine(s.path("cred", "passwd"))
	if err != nil {
		return err
	}
	parsed := token{}
	if given != "" {
		if parsed, err = parseToken(given, "server"); err != nil {
			return err
		}
		if parsed.hash != "" && parsed.hash != caHash(s.serverCA.PEM) {
			return errors.New("token CA hash does not match the Cluster CA certificate hash")
		}
		if recorded != "" && recorded != parsed.password {
			return errors.New("bootstrap data already found and encrypted with different token")
		}
		recorded = parsed.password
	}
	if recorded == "" {
		recorded = shared.RandomHex(16)
	}
	s.password = recorded
	if s.agentToken == "" {
		s.agentToken = recorded
	}
	files := map[string]string{"cred/passwd": recorded, "token": fullToken(s.serverCA.PEM, "server:"+recorded)}
	if s.agentToken != recorded {
		files["agent-token"] = fullToken(s.serverCA.PEM, "node:"+s.agentToken)
	}
	for name, content := range files {
		if err := shared.WriteFile(s.path(name), content+"\n", 0o600); err != nil {
			return err
		}
	}
	links := []string{"node-token"}
	if s.agentToken == recorded {
		links = append(links, "agent-token")
	}
	for _, name := range links {
		if err := os.RemoveAll(s.path(name)); err != nil {
			return err
		}
		if err := os.Symlink(s.path("token"), s.path(name)); err != nil {
			return err
		}
	}
	return nil
}

func firstAddress(cidr string, offset byte) (string, error) {
	_, network, err := net.ParseCIDR(strings.Split(cidr, ",")[0])
	if err != nil {
		return "", err
	}
	made := append(net.IP{}, network.IP...)
	made[len(made)-1] += offset
	return made.String(), nil
}

func (s *server) dns() (string, error) {
	if given := s.split("cluster-dns"); len(given) > 0 {
		return given[0], nil
	}
	return firstAddress(s.split("service-cidr")[0], 10)
}

func (s *server) certificates() error {
	service, err := firstAddress(s.split("service-cidr")[0], 1)
	if err != nil {
		return err
	}
	domain := s.get("cluster-domain")
	hosts := append([]string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + domain, "localhost", "127.0.0.1", service, s.name, s.address,
	}, s.split("tls-san")...)
	for _, one := range []struct {
		by   shared.Authority
		path string
		of   shared.Leaf
	}{
		{s.serverCA, "serving-kube-apiserver", shared.Leaf{Name: "kube-apiserver", Hosts: hosts}},
		{s.clientCA, "client-admin", shared.Leaf{Name: "system:admin", Group: "system:masters"}},
		{s.clientCA, "client-controller", shared.Leaf{Name: "system:kube-controller-manager"}},
		{s.clientCA, "client-scheduler", shared.Leaf{Name: "system:kube-scheduler"}},
		{s.clientCA, "client-kube-apiserver", shared.Leaf{Name: "system:apiserver", Group: "system:masters"}},
		{s.headerCA, "client-auth-proxy", shared.Leaf{Name: "system:auth-proxy"}},
		{s.etcdServer, "etcd/server-client", shared.Leaf{Name: "etcd-server", Hosts: []string{"localhost", "127.0.0.1", s.address}}},
		{s.etcdServer, "etcd/client", shared.Leaf{Name: "etcd-client"}},
		{s.etcdPeer, "etcd/peer-server-client", shared.Leaf{Name: "etcd-peer", Hosts: []string{"localhost", "127.0.0.1", s.address}}},
	} {
		if err := one.by.Issue(s.path("tls", one.path), one.of); err != nil {
			return err
		}
	}
	for _, name := range []string{"admin", "controller", "scheduler"} {
		if err := shared.Kubeconfig(s.path("cred", name+".kubeconfig"), s.local(), s.path("tls", "server-ca.crt"), s.path("tls", "client-"+name), false, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) local() string { return "https://127.0.0.1:" + s.get("https-listen-port") }

func (s *server) controlPlane(ctx context.Context) error {
	flags, err := s.datastore(ctx)
	if err != nil {
		return err
	}
	if err := s.children.Start("kube-apiserver", "", append(s.apiFlags(), append(flags, extra(s.all("kube-apiserver-arg"))...)...)...); err != nil {
		return err
	}
	if s.kube, err = shared.NewKube(s.local(), s.path("tls", "server-ca.crt"), s.path("tls", "client-admin")); err != nil {
		return err
	}
	if err := s.serve(); err != nil {
		return err
	}
	err = shared.WaitFor(ctx, "the API server", 3*time.Minute, func() error {
		_, err := s.kube.Do(http.MethodGet, "/readyz", nil)
		return err
	})
	if err != nil {
		return err
	}
	tls := s.path("tls")
	err = s.children.Start("kube-controller-manager", "", append([]string{
		"--kubeconfig=" + s.path("cred", "controller.kubeconfig"), "--authentication-kubeconfig=" + s.path("cred", "controller.kubeconfig"),
		"--authorization-kubeconfig=" + s.path("cred", "controller.kubeconfig"), "--bind-address=127.0.0.1", "--allocate-node-cidrs",
		"--cluster-cidr=" + strings.Join(s.split("cluster-cidr"), ","), "--service-cluster-ip-range=" + strings.Join(s.split("service-cidr"), ","),
		"--root-ca-file=" + tls + "/server-ca.crt", "--service-account-private-key-file=" + tls + "/service.key", "--use-service-account-credentials",
		"--cluster-signing-cert-file=" + tls + "/client-ca.crt", "--cluster-signing-key-file=" + tls + "/client-ca.key", "--controllers=*,tokencleaner",
	}, extra(s.all("kube-controller-manager-arg"))...)...)
	if err == nil && !s.on("disable-scheduler") {
		err = s.children.Start("kube-scheduler", "", append([]string{
			"--kubeconfig=" + s.path("cred", "scheduler.kubeconfig"), "--authentication-kubeconfig=" + s.path("cred", "scheduler.kubeconfig"),
			"--authorization-kubeconfig=" + s.path("cred", "scheduler.kubeconfig"), "--bind-address=127.0.0.1",
		}, extra(s.all("kube-scheduler-arg"))...)...)
	}
	if err != nil {
		return err
	}
	return s.adminKubeconfig()
}

func (s *server) apiFlags() []string {
	tls := s.path("tls")
	return []string{
		"--bind-address=127.0.0.1", "--secure-port=" + s.get("https-listen-port"), "--advertise-address=" + s.address, "--allow-privileged=true",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--enable-bootstrap-token-auth=true", "--anonymous-auth=false",
		"--client-ca-file=" + tls + "/client-ca.crt", "--tls-cert-file=" + tls + "/serving-kube-apiserver.crt",
		"--tls-private-key-file=" + tls + "/serving-kube-apiserver.key", "--kubelet-certificate-authority=" + tls + "/server-ca.crt",
		"--kubelet-client-certificate=" + tls + "/client-kube-apiserver.crt", "--kubelet-client-key=" + tls + "/client-kube-apiserver.key",
		"--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname", "--requestheader-client-ca-file=" + tls + "/request-header-ca.crt",
		"--requestheader-allowed-names=system:auth-proxy", "--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + tls + "/client-auth-proxy.crt", "--proxy-client-key-file=" + tls + "/client-auth-proxy.key",
		"--service-account-issuer=https://kubernetes.default.svc." + s.get("cluster-domain"), "--api-audiences=https://kubernetes.default.svc." + s.get("cluster-domain") + ",k3s",
		"--service-account-key-file=" + tls + "/service.key", "--service-account-signing-key-file=" + tls + "/service.key",
		"--service-cluster-ip-range=" + strings.Join(s.split("service-cidr"), ","), "--service-node-port-range=" + s.get("service-node-port-range"),
	}
}

// adminKubeconfig is k3s.yaml (docs/cluster-access.md), by default for root alone.
func (s *server) adminKubeconfig() error {
	path := "/etc/rancher/k3s/k3s.yaml"
	if given := s.get("write-kubeconfig"); given != "" {
		path = given
	}
	mode := os.FileMode(0o600)
	if given := s.get("write-kubeconfig-mode"); given != "" {
		if _, err := fmt.Sscanf(given, "%o", &mode); err != nil {
			return fmt.Errorf("write-kubeconfig-mode: %w", err)
		}
	}
	return shared.Kubeconfig(path, s.local(), s.path("tls", "server-ca.crt"), s.path("tls", "client-admin"), true, mode)
}
