// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// A node's credentials, its profile, and what it gives Envoy and the kubelet.

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sealer.invalid/doubles/shared"
)

func balancedProfile() workerProfileData {
	made := workerProfileData{
		Kubelet: shared.Object{"clusterDomain": "cluster.local"}, Pause: imageSpec{"quay.io/k0sproject/pause", "3.10.1"},
		Servers: []string{"10.0.0.1:6443", "10.0.0.2:6443"}, Balancer: defaultedConfig().Spec.Network.NodeLocalLoadBalancing,
	}
	made.Balancer.Enabled = true
	made.Konnectivity.Enabled, made.Konnectivity.AgentPort = true, 8132
	return made
}

func TestProfilesAreReadAsTheyAreWritten(t *testing.T) {
	data, err := balancedProfile().configMap()
	if err != nil {
		t.Fatal(err)
	}
	if data["apiServerAddresses"] != `["10.0.0.1:6443","10.0.0.2:6443"]` || data["konnectivity"] != `{"enabled":true,"agentPort":8132}` {
		t.Errorf("%v", data)
	}
	if found, err := profileOf(data); err != nil || !reflect.DeepEqual(found, balancedProfile()) {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := profileOf(shared.Object{"apiServerAddresses": "{"}); err == nil {
		t.Error("nonsense was read")
	}
}

// addressesOf gives the upstreams of each cluster in cds.yaml.
func addressesOf(t *testing.T, directory string) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(directory, "cds.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Resources []struct {
			Name           string `json:"name"`
			LoadAssignment struct {
				Endpoints []struct {
					Several []struct {
						Endpoint struct {
							Address struct {
								Socket struct {
									Address string `json:"address"`
									Port    int    `json:"port_value"`
								} `json:"socket_address"`
							} `json:"address"`
						} `json:"endpoint"`
					} `json:"lb_endpoints"`
				} `json:"endpoints"`
			} `json:"load_assignment"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(content, &read); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, resource := range read.Resources {
		for _, one := range resource.LoadAssignment.Endpoints[0].Several {
			socket := one.Endpoint.Address.Socket
			found[resource.Name] = append(found[resource.Name], fmt.Sprintf("%s:%d", socket.Address, socket.Port))
		}
	}
	return found
}

func TestEnvoyKnowsAllControllers(t *testing.T) {
	directory, profile := t.TempDir(), balancedProfile()
	for _, servers := range [][]string{{"10.0.0.1:6443", "10.0.0.2:6443"}, {"10.0.0.2:6443"}} {
		profile.Servers = servers
		if err := writeEnvoy(directory, profile); err != nil {
			t.Fatal(err)
		}
		agents := []string{}
		for _, server := range servers {
			agents = append(agents, strings.Replace(server, ":6443", ":8132", 1))
		}
		if found := addressesOf(t, directory); !reflect.DeepEqual(found, map[string][]string{"apiserver": servers, "konnectivity": agents}) {
			t.Errorf("%v", found)
		}
	}
	content, err := os.ReadFile(directory + "/envoy.yaml")
	if err != nil || !strings.Contains(string(content), `"port_value": 7443`) || !strings.Contains(string(content), `"port_value": 7132`) {
		t.Errorf("%s, %v", content, err)
	}
	profile.Servers = []string{"nowhere"}
	if err := writeEnvoy(directory, profile); err == nil {
		t.Error("an address without a port was written")
	}
}

func TestTheKubeletIsGivenThePod(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	url, err := servePod(ctx, balancedProfile())
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	list := shared.Object{}
	if err := json.NewDecoder(answer.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	pods := shared.ItemsOf(list)
	if len(pods) != 1 || shared.NameOf(pods[0]) != "nllb" || !strings.Contains(fmt.Sprint(pods[0]), "image:quay.io/k0sproject/envoy-distroless:v1.37.2") {
		t.Errorf("%v", list)
	}
}

func TestANodeAsksForItsOwnCertificate(t *testing.T) {
	asked := ""
	api := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodGet {
			_, _ = fmt.Fprintf(out, `{"status": {"certificate": %q}}`, base64.StdEncoding.EncodeToString([]byte("signed")))
			return
		}
		var body struct {
			Spec struct {
				Request    []byte `json:"request"`
				SignerName string `json:"signerName"`
			} `json:"spec"`
		}
		_ = json.NewDecoder(request.Body).Decode(&body)
		if block, _ := pem.Decode(body.Spec.Request); block != nil {
			if read, err := x509.ParseCertificateRequest(block.Bytes); err == nil {
				asked = body.Spec.SignerName + " " + read.Subject.String()
			}
		}
		_, _ = fmt.Fprint(out, `{"metadata": {"name": "node-csr-1"}}`)
	}))
	defer api.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := askForCertificate(context.Background(), &shared.Kube{URL: api.URL, Client: api.Client()}, "w1", key)
	if err != nil || issued != "signed" || asked != "kubernetes.io/kube-apiserver-client-kubelet CN=system:node:w1,O=system:nodes" {
		t.Errorf("%s, %s, %v", issued, asked, err)
	}
}
