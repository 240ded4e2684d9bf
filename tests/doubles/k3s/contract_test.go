// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// The contract as far as it can be seen without hosts: configuration, tokens, registries, certificates.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sealer.invalid/doubles/shared"
)

func none(string) string { return "" }

func written(t *testing.T, files map[string]string) string {
	t.Helper()
	directory := t.TempDir()
	for name, content := range files {
		if err := shared.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func TestConfiguration(t *testing.T) {
	for name, one := range map[string]struct {
		command   string
		files     map[string]string
		arguments []string
		environ   map[string]string
		want      map[string][]string
		fails     string
	}{
		"docs/installation/configuration.md: an example of a basic server config file": {
			command: "server", files: map[string]string{"c.yaml": "write-kubeconfig-mode: \"0644\"\ntls-san:\n- foo.local\nnode-label:\n- foo=bar\n- something=amazing\ncluster-init: true\n"},
			want: map[string][]string{"write-kubeconfig-mode": {"0644"}, "tls-san": {"foo.local"}, "node-label": {"foo=bar", "something=amazing"}, "cluster-init": {"true"}},
		},
		"docs/installation/configuration.md: an example of multiple config files": {
			command: "server", files: map[string]string{
				"c.yaml":              "token: boop\nnode-label: [foo=bar, bar=baz]\n",
				"c.yaml.d/test1.yaml": "write-kubeconfig-mode: 600\nnode-taint: [\"alice=bob:NoExecute\"]\n",
				"c.yaml.d/test2.yaml": "write-kubeconfig-mode: 777\nnode-label: [other=what, foo=three]\nnode-taint+: [\"charlie=delta:NoSchedule\"]\n",
				"c.yaml.d/ignored.no": "not: read\n",
			},
			want: map[string][]string{
				"write-kubeconfig-mode": {"777"}, "token": {"boop"}, "node-label": {"other=what", "foo=three"},
				"node-taint": {"alice=bob:NoExecute", "charlie=delta:NoSchedule"},
			},
		},
		"the command line goes before the files": {
			command: "agent", files: map[string]string{"c.yaml": "server: https://a:6443\nnode-label: [a=b]\n"}, arguments: []string{"--node-label=c=d", "-s", "https://b:6443"},
			want: map[string][]string{"server": {"https://b:6443"}, "node-label": {"c=d"}},
		},
		"the files go before the environment": {
			command: "agent", files: map[string]string{"c.yaml": "token: filed\n"}, environ: map[string]string{"K3S_TOKEN": "env", "K3S_URL": "https://e:6443"},
			want: map[string][]string{"token": {"filed"}, "server": {"https://e:6443"}},
		},
		"defaults": {
			command: "server", files: map[string]string{"c.yaml": ""},
			want: map[string][]string{"cluster-cidr": {"10.42.0.0/16"}, "service-cidr": {"10.43.0.0/16"}, "data-dir": {"/var/lib/rancher/k3s"}},
		},
		"an unknown key":                   {command: "server", files: map[string]string{"c.yaml": "notaflag: true\n"}, fails: "flag provided but not defined: -notaflag"},
		"a server's key on an agent":       {command: "agent", files: map[string]string{"c.yaml": "disable: [traefik]\n"}, fails: "flag provided but not defined: -disable"},
		"an unknown flag":                  {command: "agent", files: map[string]string{"c.yaml": ""}, arguments: []string{"--flannel-backend=none"}, fails: "flag provided but not defined: -flannel-backend"},
		"a number that is none":            {command: "server", files: map[string]string{"c.yaml": "https-listen-port: high\n"}, fails: "invalid value"},
		"a mapping where a value belongs":  {command: "server", files: map[string]string{"c.yaml": "node-label: {a: b}\n"}, fails: "neither a value nor a list"},
		"no YAML":                          {command: "server", files: map[string]string{"c.yaml": "a: [\n"}, fails: "c.yaml"},
		"a later file without the +":       {command: "server", files: map[string]string{"c.yaml": "tls-san: [a]\n", "c.yaml.d/1.yaml": "tls-san+: [b]\n", "c.yaml.d/2.yaml": "tls-san: [c]\n"}, fails: "needs a +"},
		"a file that was asked for":        {command: "server", files: nil, fails: "no such file"},
		"a flag that lacks its value":      {command: "server", files: map[string]string{"c.yaml": ""}, arguments: []string{"--token"}, fails: "flag needs an argument"},
		"an argument that belongs to none": {command: "server", files: map[string]string{"c.yaml": ""}, arguments: []string{"now"}, fails: "unexpected argument"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(written(t, one.files), "c.yaml")
			got, err := readSettings(one.command, append([]string{"--config", path}, one.arguments...), func(name string) string { return one.environ[name] })
			if one.fails != "" {
				if err == nil || !strings.Contains(err.Error(), one.fails) {
					t.Fatalf("want an error with %q, got %v", one.fails, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range one.want {
				if !reflect.DeepEqual(got.all(name), want) {
					t.Errorf("%s: %v, want %v", name, got.all(name), want)
				}
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	path := filepath.Join(written(t, map[string]string{"c.yaml": "notaflag: true\n"}), "c.yaml")
	for want, arguments := range map[int][][]string{
		0: {{"--version"}, {"help"}, {}},
		1: {{"server", "--config", path}, {"agent", "--config", path}, {"token"}, {"token", "create", "--unknown"}},
		3: {{"nonsense"}},
	} {
		for _, one := range arguments {
			if got := execute(context.Background(), one); got != want {
				t.Errorf("%v: %d, want %d", one, got, want)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for text, want := range map[string]token{
		"secret":                                   {user: "node", password: "secret"},
		"K10" + hash + "::server:pass":             {hash: hash, user: "server", password: "pass"},
		"K10" + hash + "::node:pa:ss":              {hash: hash, user: "node", password: "pa:ss"},
		"K10" + hash + "::abcdef.0123456789abcdef": {hash: hash, bearer: "abcdef.0123456789abcdef"},
		"abcdef.0123456789abcdef":                  {bearer: "abcdef.0123456789abcdef"},
	} {
		if got, err := parseToken(text, "node"); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "K10abc::server:pass", "K10" + hash + "::"} {
		if got, err := parseToken(text, "node"); err == nil {
			t.Errorf("%q was taken for %+v", text, got)
		}
	}
}

// A node that has the full token tells nobody but the right server what it knows.
func TestJoiningKnowsTheServer(t *testing.T) {
	directory := t.TempDir()
	ca, err := shared.EnsureAuthority(directory, "server-ca", "k3s-server-ca")
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Issue(filepath.Join(directory, "serving"), shared.Leaf{Name: "serving", Hosts: []string{"127.0.0.1"}}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(directory, "serving.crt"), filepath.Join(directory, "serving.key"))
	if err != nil {
		t.Fatal(err)
	}
	var logins []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/cacerts" {
			_, _ = out.Write([]byte(ca.PEM))
			return
		}
		_, password, _ := request.BasicAuth()
		logins = append(logins, password)
		_, _ = out.Write([]byte(`{"dns": "10.43.0.10"}`))
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	defer server.Close()

	wrong, err := parseToken("K10"+strings.Repeat("00", 32)+"::server:secret", "server")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := connect(context.Background(), server.URL, wrong, ""); err == nil || !strings.Contains(err.Error(), "CA hash does not match") || len(logins) > 0 {
		t.Fatalf("a wrong server: %v, and it was told %v", err, logins)
	}
	right, err := parseToken(fullToken(ca.PEM, "server:secret"), "server")
	if err != nil {
		t.Fatal(err)
	}
	joined, err := connect(context.Background(), server.URL, right, "")
	if err != nil {
		t.Fatal(err)
	}
	facts := map[string]string{}
	if err := joined.fetch("/v1-k3s/config", &facts); err != nil || facts["dns"] != "10.43.0.10" || !reflect.DeepEqual(logins, []string{"secret"}) {
		t.Fatalf("%v, %v, %v", facts, err, logins)
	}
}

func TestRegistries(t *testing.T) {
	const mirror = `
mirrors:
  "*":
    endpoint: ["https://10.0.0.11:5000"]
  docker.io:
    endpoint: ["http://mirror.example.com:5000", "https://other.example.com/v2/cache"]
    rewrite: {"^rancher/(.*)": "mirrorproject/rancher-images/$1"}
configs:
  10.0.0.11:5000:
    auth: {username: nodes, password: secret}
    tls: {ca_file: /etc/sealer/pki/ca.crt}
`
	for name, one := range map[string]struct {
		content    string
		noFallback bool
		want       map[string][]string
		never      map[string][]string
		fails      string
	}{
		"mirrors of all": {
			content: mirror,
			want: map[string][]string{
				"_default": {`[host."https://10.0.0.11:5000/v2"]`, `ca = ["/etc/sealer/pki/ca.crt"]`, `Authorization = "Basic bm9kZXM6c2VjcmV0"`, "override_path = true"},
				"docker.io": {
					`server = "https://registry-1.docker.io/v2"`, `[host."http://mirror.example.com:5000/v2"]`, `[host."https://other.example.com/v2/cache"]`,
					`"^rancher/(.*)" = "mirrorproject/rancher-images/$1"`,
				},
			},
			never: map[string][]string{"_default": {"server ="}},
		},
		"nobody else is asked": {
			content: mirror, noFallback: true,
			want:  map[string][]string{"_default": {`server = "https://10.0.0.11:5000/v2"`}},
			never: map[string][]string{"docker.io": {"registry-1.docker.io"}},
		},
		"an unknown key":   {content: "mirrors: {}\nconfig: {}\n", fails: "field config not found"},
		"a wrong endpoint": {content: "mirrors: {a.example.com: {endpoint: [\"ftp://b\"]}}\n", fails: "invalid endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := readRegistries(filepath.Join(written(t, map[string]string{"r.yaml": one.content}), "r.yaml"))
			var files map[string]string
			if err == nil {
				files, err = found.hostsFiles(one.noFallback)
			}
			if one.fails != "" {
				if err == nil || !strings.Contains(err.Error(), one.fails) {
					t.Fatalf("want an error with %q, got %v", one.fails, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, texts := range one.want {
				for _, text := range texts {
					if !strings.Contains(files[name], text) {
						t.Errorf("%s lacks %s:\n%s", name, text, files[name])
					}
				}
			}
			for name, texts := range one.never {
				for _, text := range texts {
					if strings.Contains(files[name], text) {
						t.Errorf("%s has %s:\n%s", name, text, files[name])
					}
				}
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	directory := t.TempDir()
	first, err := shared.EnsureAuthority(directory, "client-ca", "k3s-client-ca")
	if err != nil {
		t.Fatal(err)
	}
	again, err := shared.EnsureAuthority(directory, "client-ca", "k3s-client-ca")
	if err != nil || again.PEM != first.PEM {
		t.Fatalf("the authority was made twice: %v", err)
	}
	if err := again.Issue(filepath.Join(directory, "client"), shared.Leaf{Name: "system:node:w1", Group: "system:nodes", Hosts: []string{"w1", "10.0.0.12"}}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(directory, "client.crt"), filepath.Join(directory, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	found := pair.Leaf
	if found.Subject.CommonName != "system:node:w1" || found.Subject.Organization[0] != "system:nodes" || found.DNSNames[0] != "w1" || found.IPAddresses[0].String() != "10.0.0.12" {
		t.Errorf("%+v", found.Subject)
	}
	if _, err := found.Verify(x509.VerifyOptions{Roots: shared.PoolOf(first.PEM), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if mode, err := os.Stat(filepath.Join(directory, "client.key")); err != nil || mode.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", mode, err)
	}
}

func TestManifests(t *testing.T) {
	given, err := readSettings("server", []string{"--config", filepath.Join(written(t, map[string]string{"c.yaml": "disable: [traefik, \"metrics-server,servicelb\"]\nservice-cidr: 10.96.0.0/12\n"}), "c.yaml")}, none)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{settings: given}
	if want := map[string]bool{"traefik.yaml": true, "metrics-server.yaml": true, "servicelb.yaml": true}; !reflect.DeepEqual(s.disabled(), want) {
		t.Errorf("%v", s.disabled())
	}
	manifests, err := s.packagedManifests()
	if err != nil || !strings.Contains(manifests["coredns.yaml"], `clusterIP: "10.96.0.10"`) || strings.Contains(manifests["coredns.yaml"], "%{") {
		t.Errorf("%v: %s", err, manifests["coredns.yaml"])
	}
}

// docs/cli/server.md, critical configuration values: the agents' token is one where it was given; the servers' own token may stand for it.
func TestCriticalAgentToken(t *testing.T) {
	given, err := readSettings("server", []string{"--config", filepath.Join(written(t, map[string]string{"c.yaml": ""}), "c.yaml")}, none)
	if err != nil {
		t.Fatal(err)
	}
	first, joining := &server{settings: given, password: "p", agentToken: "p"}, &server{settings: given}
	if !reflect.DeepEqual(first.critical(), joining.critical()) {
		t.Errorf("%v and %v", first.critical(), joining.critical())
	}
	joining.agentToken = "other"
	if reflect.DeepEqual(first.critical(), joining.critical()) {
		t.Error("another agents' token is no difference")
	}
}

// docs/cli/token.md: "--ttl: The duration before the token is automatically deleted". An agent's token that expired or was deleted is nobody's.
func TestAgentsTokensEnd(t *testing.T) {
	expires := map[string]time.Time{"abcdef": time.Now().Add(time.Hour), "fedcba": time.Now().Add(-time.Hour)}
	api := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		until, found := expires[strings.TrimPrefix(request.URL.Path, shared.SecretsPath+"/bootstrap-token-")]
		if !found {
			http.NotFound(out, request)
			return
		}
		data := map[string]string{
			"token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true", "expiration": until.UTC().Format(time.RFC3339),
		}
		for name, value := range data {
			data[name] = base64.StdEncoding.EncodeToString([]byte(value))
		}
		_ = json.NewEncoder(out).Encode(map[string]any{"data": data})
	}))
	defer api.Close()
	s := &server{kube: &shared.Kube{URL: api.URL, Client: api.Client()}}
	for token, want := range map[string]int{
		"abcdef.0123456789abcdef": http.StatusOK,
		"abcdef.0000000000000000": http.StatusUnauthorized,
		"fedcba.0123456789abcdef": http.StatusUnauthorized,
		"zzzzzz.0123456789abcdef": http.StatusUnauthorized,
	} {
		request, out := httptest.NewRequest(http.MethodGet, "/v1-k3s/config", nil), httptest.NewRecorder()
		request.TLS = &tls.ConnectionState{}
		request.Header.Set("Authorization", "Bearer "+token)
		s.only(agentCaller, func(*http.Request) (any, error) { return "the configuration", nil })(out, request)
		if out.Code != want {
			t.Errorf("%s: %d, want %d", token, out.Code, want)
		}
	}
}
