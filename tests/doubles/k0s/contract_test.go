// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// The contract as far as it can be seen without hosts. TestProgram and TestConfigurations ask a program: this double, or the real k0s
// that SEALER_K0S_BINARY names. TestTokens reads a token of the real one, where there is one.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"sealer.invalid/doubles/shared"
)

const realProgram = "SEALER_K0S_BINARY"

// TestMain makes this test the double, where it calls itself.
func TestMain(m *testing.M) {
	if os.Getenv("K0S_DOUBLE") != "" {
		os.Exit(execute(context.Background(), os.Args[1:]))
	}
	os.Exit(m.Run())
}

type answer struct {
	code  int
	out   string
	error string
}

func ask(t *testing.T, arguments ...string) answer {
	t.Helper()
	program := os.Getenv(realProgram)
	command := exec.Command(program, arguments...)
	if program == "" {
		command = exec.Command(os.Args[0], arguments...)
		command.Env = append(os.Environ(), "K0S_DOUBLE=1")
	}
	var out, said bytes.Buffer
	command.Stdout, command.Stderr = &out, &said
	var ended *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return answer{command.ProcessState.ExitCode(), out.String(), said.String()}
}

func (a answer) check(t *testing.T, code int, error string) {
	t.Helper()
	if a.code != code || !strings.Contains(a.error, error) || code == 0 && strings.Contains(a.error, "Error") {
		t.Errorf("%d with %q was expected: %+v", code, error, a)
	}
}

func TestProgram(t *testing.T) {
	if shared.Exists(statusSocket) || shared.Exists(dataDir) {
		t.Skip("this host has a k0s")
	}
	for _, one := range []struct {
		arguments []string
		code      int
		error     string
	}{
		{[]string{}, 0, ""},
		{[]string{"version"}, 0, ""},
		{[]string{"token"}, 0, ""},
		{[]string{"config"}, 0, ""},
		{[]string{"etcd", "member-list", "--unknown"}, 1, "unknown flag: --unknown"},
		{[]string{"nonsense"}, 1, `unknown command "nonsense" for "k0s"`},
		{[]string{"controller", "--nonsense"}, 1, "unknown flag: --nonsense"},
		{[]string{"worker", "--enable-worker"}, 1, "unknown flag: --enable-worker"},
		{[]string{"controller", "--token-file=a", "token"}, 1, "you can only pass one token source"},
		{[]string{"worker", "--token-file=a", "token"}, 1, "you can only pass one token source"},
		{[]string{"status", "--out", "json"}, 1, `can't get "status" via "/run/k0s/status.sock"`},
		{[]string{"token", "create", "--role=worker", "--expiry=15m0s"}, 1, "failed to get k0s status"},
		{[]string{"token", "create", "--role=boss"}, 1, `unsupported role "boss"`},
		{[]string{"token", "create", "--expiry=soon"}, 1, `invalid duration "soon"`},
		{[]string{"token", "invalidate"}, 1, "requires at least 1 arg(s), only received 0"},
		{[]string{"token", "invalidate", "abcdef"}, 1, "/var/lib/k0s/pki/admin.conf: no such file or directory"},
		{[]string{"etcd", "member-list"}, 1, "can't list etcd cluster members"},
		{[]string{"reset", "--unknown"}, 1, "unknown flag: --unknown"},
		{[]string{"config", "validate"}, 1, `required flag(s) "config" not set`},
		{[]string{"config", "validate", "--config", "/nowhere"}, 1, "failed to read configuration file: open /nowhere"},
	} {
		t.Run(strings.Join(one.arguments, " "), func(t *testing.T) {
			found := ask(t, one.arguments...)
			found.check(t, one.code, one.error)
			if one.code != 0 && found.out != "" {
				t.Errorf("it printed %q all the same", found.out)
			}
		})
	}
}

// What role k0s writes for the lab, as far as it does not depend on the host.
const labConfiguration = `apiVersion: k0s.k0sproject.io/v1beta1
kind: ClusterConfig
metadata: {name: k0s, namespace: kube-system}
spec:
  api: {address: 10.77.91.11, sans: [10.77.91.11, lb.example.com]}
  network:
    provider: custom
    podCIDR: 10.244.0.0/16
    serviceCIDR: 10.96.0.0/12
    nodeLocalLoadBalancing: {enabled: false, type: EnvoyProxy}
    kubeProxy: {mode: iptables}
  storage: {type: etcd, etcd: {peerAddress: 10.77.91.11}}
  telemetry: {enabled: false}
  workerProfiles:
    - name: lab
      values: {failCgroupV1: false, failSwapOn: false}
`

func TestConfigurations(t *testing.T) {
	for name, one := range map[string]struct {
		content string
		error   string
	}{
		"the lab's":                     {labConfiguration, ""},
		"nothing but a document":        {"spec:\n  api: {address: 10.0.0.1}\n", ""},
		"kine":                          {"spec:\n  api: {address: 10.0.0.1}\n  storage: {type: kine, kine: {}}\n", ""},
		"an unknown key of the spec":    {"spec:\n  telemetri: {}\n", `json: unknown field "telemetri"`},
		"an unknown key at the top":     {"spek: {}\n", `json: unknown field "spek"`},
		"an unknown key of telemetry":   {"spec:\n  telemetry: {x: 1}\n", `json: unknown field "x"`},
		"an unknown key of a profile":   {"spec:\n  workerProfiles: [{name: a, x: 1}]\n", `json: unknown field "x"`},
		"an unknown key of a component": {"spec:\n  scheduler: {x: 1}\n", `json: unknown field "x"`},
		"a key twice":                   {"spec:\n  telemetry: {}\n  telemetry: {}\n", "already"},
		"no YAML":                       {"a: [\n", "failed to parse configuration"},
		"a number for an address":       {"spec:\n  api: {address: 3}\n", "cannot unmarshal number"},
		"a wrong provider":              {"spec:\n  api: {address: 10.0.0.1}\n  network: {provider: flannel}\n", `provider: Unsupported value: "flannel"`},
		"a wrong network":               {"spec:\n  api: {address: 10.0.0.1}\n  network: {podCIDR: all}\n", `podCIDR: Invalid value: "all"`},
		"a wrong proxy":                 {"spec:\n  api: {address: 10.0.0.1}\n  network: {kubeProxy: {mode: q}}\n", "unsupported mode q for kubeProxy config"},
		"a wrong storage":               {"spec:\n  api: {address: 10.0.0.1}\n  storage: {type: files}\n", `type: Unsupported value: "files"`},
		"a wrong address":               {"spec:\n  api: {address: nowhere}\n", `address: Invalid value: "nowhere": invalid IP address`},
		"a wrong port":                  {"spec:\n  api: {address: 10.0.0.1, port: 99999}\n", "port: Invalid value: 99999"},
		"a wrong name":                  {"spec:\n  api: {address: 10.0.0.1, sans: [\"a b\"]}\n", `sans[0]: Invalid value: "a b"`},
		"a wrong policy":                {"spec:\n  api: {address: 10.0.0.1}\n  images: {default_pull_policy: Now}\n", `default_pull_policy: Unsupported value: "Now"`},
		"a profile without a name":      {"spec:\n  api: {address: 10.0.0.1}\n  workerProfiles: [{name: A}]\n", `workerProfiles[0].name: Invalid value: "A"`},
		"a profile with the cluster's key": {
			"spec:\n  api: {address: 10.0.0.1}\n  workerProfiles: [{name: a, values: {clusterDNS: [10.96.0.10]}}]\n", "clusterDNS: Forbidden: may not be used in k0s worker profiles",
		},
		"a balancer": {"spec:\n  api: {address: 10.0.0.1}\n  network: {nodeLocalLoadBalancing: {enabled: true}}\n", ""},
		"a wrong balancer": {
			"spec:\n  api: {address: 10.0.0.1}\n  network: {nodeLocalLoadBalancing: {enabled: true, type: Other}}\n", `nodeLocalLoadBalancing.type: Unsupported value: "Other"`,
		},
		"a wrong port of the balancer": {
			"spec:\n  api: {address: 10.0.0.1}\n  network: {nodeLocalLoadBalancing: {envoyProxy: {apiServerBindPort: 99999}}}\n",
			"nodeLocalLoadBalancing.envoyProxy.apiServerBindPort: Invalid value: 99999: must be between 1 and 65535, inclusive",
		},
		"a wrong policy of the balancer": {
			"spec:\n  api: {address: 10.0.0.1}\n  network: {nodeLocalLoadBalancing: {envoyProxy: {imagePullPolicy: Now}}}\n",
			`nodeLocalLoadBalancing.envoyProxy.imagePullPolicy: Unsupported value: "Now"`,
		},
		"two balancers": {
			"spec:\n  api: {address: 10.0.0.1, externalAddress: lb.example.com}\n  network: {nodeLocalLoadBalancing: {enabled: true}}\n",
			"node-local load balancing cannot be used in conjunction with an external Kubernetes API server address",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k0s.yaml")
			if err := shared.WriteFile(path, one.content, 0o600); err != nil {
				t.Fatal(err)
			}
			code := 0
			if one.error != "" {
				code = 1
			}
			ask(t, "config", "validate", "--config", path).check(t, code, one.error)
		})
	}
}

// What k0s passes over, the double refuses: inside of these its own lists of keys are not complete, either.
func TestStricterThanK0s(t *testing.T) {
	for _, part := range []string{"api", "storage", "network", "images"} {
		if _, err := parseConfig([]byte("spec: {" + part + ": {x: 1}}\n")); err == nil || !strings.Contains(err.Error(), `unknown field "x"`) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

func TestWhatTheDoubleHasNot(t *testing.T) {
	for text, want := range map[string]string{
		"storage: {type: kine}": "kine", "network: {provider: calico}": "another network",
		"extensions: {helm: {charts: [{name: a}]}}": "Helm",
	} {
		found, err := parseConfig([]byte("spec: {" + text + "}\n"))
		if err == nil {
			err = found.supported()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	found, err := parseConfig([]byte(labConfiguration))
	if err := errors.Join(err, found.supported(), found.validate()); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	for external, want := range map[string][2]string{
		"": {"https://10.0.0.1:6443", "https://10.0.0.1:9443"}, "lb": {"https://lb:6443", "https://lb:9443"}, "lb:443": {"https://lb:443", "https://lb:9443"},
	} {
		api := apiSpec{Address: "10.0.0.1", Port: 6443, K0sAPIPort: 9443, ExternalAddress: external}
		if api.url() != want[0] || api.joinURL() != want[1] {
			t.Errorf("%q: %s, %s", external, api.url(), api.joinURL())
		}
	}
	images := imagesSpec{Repository: "registry.example.com:5000/k0s"}
	if name := images.name(imageSpec{"quay.io/k0sproject/pause", "3.10.1"}); name != "registry.example.com:5000/k0s/k0sproject/pause:3.10.1" {
		t.Error(name)
	}
}

func TestTokens(t *testing.T) {
	directory := t.TempDir()
	ca, err := shared.EnsureAuthority(directory, "ca", "kubernetes-ca")
	if err != nil {
		t.Fatal(err)
	}
	token, err := encodeToken([]byte(ca.PEM), "https://10.0.0.1:6443", workerUser, "abcdef.0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	if _, found, err := decodeToken(token+"\n", workerUser); err != nil || found.token != "abcdef.0123456789abcdef" || found.server != "https://10.0.0.1:6443" || string(found.ca) != ca.PEM {
		t.Errorf("%+v, %v", found, err)
	}
	if _, _, err := decodeToken(token, controllerUser); err == nil || !strings.Contains(err.Error(), "wrong token type kubelet-bootstrap, expected type: controller-bootstrap") {
		t.Errorf("a worker's token let a controller join: %v", err)
	}
	for _, wrong := range []string{"", "nonsense", token[:40]} {
		if _, _, err := decodeToken(wrong, workerUser); err == nil {
			t.Errorf("%q was read", wrong)
		}
	}
	if os.Getenv(realProgram) == "" {
		return
	}
	for role, user := range map[string]string{"worker": workerUser, "controller": controllerUser} {
		out := t.TempDir()
		ask(t, "token", "pre-shared", "--cert", directory+"/ca.crt", "--url", "https://10.0.0.1:6443", "--role", role, "--out", out).check(t, 0, "")
		paths, err := filepath.Glob(out + "/token_*")
		if err != nil || len(paths) != 1 {
			t.Fatalf("%v, %v", paths, err)
		}
		content, err := os.ReadFile(paths[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, found, err := decodeToken(string(content), user); err != nil || !shared.BootstrapToken.MatchString(found.token) || string(found.ca) != ca.PEM {
			t.Errorf("k0s' token for a %s: %+v, %v", role, found, err)
		}
	}
}

func TestTokenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for content, want := range map[string]string{"none": "not found", "": "is empty"} {
		if content != "none" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := (options{tokenFile: path}).token(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOptions(t *testing.T) {
	given := []string{
		"--enable-worker", "--kubelet-extra-args=--hostname-override=cp1 --node-ip=10.0.0.1", "--profile=lab", "--labels=a=b", "--taints=k=v:NoSchedule,l:NoExecute",
		"--disable-components=metrics-server", "--ignore-pre-flight-checks",
	}
	found, err := readOptions(given, true)
	if err != nil {
		t.Fatal(err)
	}
	name, err := found.nodeName()
	if err != nil || name != "cp1" || !found.enableWorker || found.noTaints || !found.without("metrics-server") || found.without("coredns") {
		t.Errorf("%+v, %s, %v", found, name, err)
	}
	taints, err := taintsOf(found.taints)
	want := []shared.Object{{"key": "k", "value": "v", "effect": "NoSchedule"}, {"key": "l", "value": "", "effect": "NoExecute"}}
	if err != nil || !reflect.DeepEqual(taints, want) {
		t.Errorf("%v, %v", taints, err)
	}
	if _, err := readOptions([]string{"--disable-components=etcd"}, true); err == nil || !strings.Contains(err.Error(), "unknown component etcd") {
		t.Error(err)
	}
}

func TestLeases(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	lease := func(holder, renewed string) shared.Object {
		return shared.Object{"spec": shared.Object{"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": float64(60)}}
	}
	for _, one := range []struct {
		lease shared.Object
		want  bool
	}{
		{lease("a", "2026-01-01T11:59:10.000000Z"), true}, {lease("a", "2026-01-01T11:58:59.000000Z"), false}, {lease("", "2026-01-01T11:59:59.000000Z"), false},
		{shared.Object{}, false},
	} {
		if living(one.lease, now) != one.want {
			t.Errorf("%v", one.lease)
		}
	}
}

func TestDropIns(t *testing.T) {
	directory := t.TempDir()
	for name, content := range map[string]string{
		"10-registry.toml": "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/etc/k0s/certs.d\"\n",
		"20-lab.toml":      "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nrestrict_oom_score_adj = true\n",
		"30-other.toml":    "version = 2\n[debug]\nlevel = \"debug\"\n",
		"ignored.txt":      "no TOML",
	} {
		if err := shared.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const defaults = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"x\"\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"\"\nheaders = {a = 1}\n"
	merged, imports, err := mergeDropIns(defaults, "pause:1", directory)
	if err != nil {
		t.Fatal(err)
	}
	var found table
	if err := toml.Unmarshal([]byte(merged), &found); err != nil {
		t.Fatal(err)
	}
	cri, _ := criOf(found)
	registry, _ := cri["registry"].(table)
	if cri["sandbox_image"] != "pause:1" || cri["restrict_oom_score_adj"] != true || registry["config_path"] != "/etc/k0s/certs.d" || registry["headers"] == nil {
		t.Error(merged)
	}
	if !reflect.DeepEqual(imports, []string{filepath.Join(directory, "30-other.toml")}) {
		t.Error(imports)
	}
	if err := shared.WriteFile(filepath.Join(directory, "40-wrong.toml"), "a = [", 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := mergeDropIns(defaults, "pause:1", directory); err == nil || !strings.Contains(err.Error(), "40-wrong.toml") {
		t.Error(err)
	}
}

// Stacks have what the configuration says.
func TestStacks(t *testing.T) {
	config, err := parseConfig([]byte(labConfiguration))
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{config: config, count: 3, servers: []string{"10.77.91.11:6443", "10.77.91.12:6443"}}
	version = "v1.35.4+k0s.0"
	documents, err := c.stacks("10.96.0.10")
	if err != nil {
		t.Fatal(err)
	}
	for stack, want := range map[string]string{
		"coredns": `clusterIP: "10.96.0.10"`, "kubeproxy": "server: https://10.77.91.11:6443", "konnectivity": `value: "3"`,
		"bootstraprbac": `resourceNames: ["worker-config-default-1.35", "worker-config-lab-1.35"]`, "worker-config": `\"failCgroupV1\":false`,
	} {
		if !strings.Contains(documents[stack], want) || strings.Contains(documents[stack], "%{") {
			t.Errorf("%s lacks %s:\n%s", stack, want, documents[stack])
		}
	}
	c.config.Spec.Network.NodeLocalLoadBalancing.Enabled = true
	if documents, err = c.stacks("10.96.0.10"); err != nil {
		t.Fatal(err)
	}
	for stack, all := range map[string][]string{
		"kubeproxy": {"server: https://localhost:7443"}, "konnectivity": {"--proxy-server-host=localhost", "--proxy-server-port=7132", "hostNetwork: true"},
		"worker-config": {
			`[\"10.77.91.11:6443\",\"10.77.91.12:6443\"]`, `\"image\":\"quay.io/k0sproject/envoy-distroless\",\"version\":\"v1.37.2\"`, `\"imagePullPolicy\":\"IfNotPresent\"`,
		},
	} {
		for _, want := range all {
			if !strings.Contains(documents[stack], want) {
				t.Errorf("balanced %s lacks %s:\n%s", stack, want, documents[stack])
			}
		}
	}
	c.servers = nil
	if documents, err = c.stacks("10.96.0.10"); err != nil || documents["worker-config"] != "" {
		t.Errorf("workers were told before there was an API server: %v, %v", documents["worker-config"], err)
	}
	c.disabled = "konnectivity-server,kube-proxy"
	if documents, err = c.stacks("10.96.0.10"); err != nil || documents["konnectivity"] != "" || documents["kubeproxy"] != "" || documents["coredns"] == "" {
		t.Errorf("%v, %v", fmt.Sprint(len(documents)), err)
	}
}
