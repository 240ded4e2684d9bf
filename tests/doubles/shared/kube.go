// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package shared

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Object is what an API server takes and gives.
type Object = map[string]any

// Kube speaks to an API server, as whom its client or its token says.
type Kube struct {
	URL    string
	Token  string
	Client *http.Client
}

// StatusError is an answer that says no.
type StatusError struct {
	Code int
	Text string
}

func (e StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Code, e.Text) }

// NewKube is known by the certificate in CERTIFICATE.crt and CERTIFICATE.key.
func NewKube(url, caFile, certificate string) (*Kube, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certificate+".crt", certificate+".key")
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: PoolOf(string(ca)), Certificates: []tls.Certificate{pair}}
	return &Kube{URL: url, Client: NewClient(config)}, nil
}

// NewClient gives up after a while.
func NewClient(config *tls.Config) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
}

// Do sends a document, or nothing, and gives the answer's.
func (k *Kube) Do(method, path string, body any) (Object, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequest(method, k.URL+path, bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", map[bool]string{true: "application/merge-patch+json", false: "application/json"}[method == http.MethodPatch])
	if k.Token != "" {
		request.Header.Set("Authorization", "Bearer "+k.Token)
	}
	answer, err := k.Client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		return nil, StatusError{answer.StatusCode, strings.TrimSpace(string(content))}
	}
	found := Object{}
	if err := json.Unmarshal(content, &found); err != nil {
		found["text"] = string(content)
	}
	return found, nil
}

// Addresses are those of the API servers, as the Service kubernetes has them.
func (k *Kube) Addresses() ([]string, error) {
	found, err := k.Do(http.MethodGet, "/api/v1/namespaces/default/endpoints/kubernetes", nil)
	if err != nil {
		return nil, err
	}
	var list struct {
		Subsets []struct {
			Addresses []struct {
				IP string `json:"ip"`
			} `json:"addresses"`
			Ports []struct {
				Port int `json:"port"`
			} `json:"ports"`
		} `json:"subsets"`
	}
	encoded, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(encoded, &list); err != nil {
		return nil, err
	}
	var all []string
	for _, subset := range list.Subsets {
		for _, address := range subset.Addresses {
			for _, port := range subset.Ports {
				all = append(all, fmt.Sprintf("%s:%d", address.IP, port.Port))
			}
		}
	}
	return all, nil
}

// Kubeconfig is a file for a user who is known by a certificate.
func Kubeconfig(path, url, caFile, certificate string, embed bool, mode os.FileMode) error {
	value := func(name, file string) (string, any, error) {
		if !embed {
			return name, file, nil
		}
		content, err := os.ReadFile(file)
		return name + "-data", content, err
	}
	cluster, user := Object{"server": url}, Object{}
	for _, one := range []struct {
		into       Object
		name, file string
	}{{cluster, "certificate-authority", caFile}, {user, "client-certificate", certificate + ".crt"}, {user, "client-key", certificate + ".key"}} {
		name, content, err := value(one.name, one.file)
		if err != nil {
			return err
		}
		one.into[name] = content
	}
	return WriteKubeconfig(path, cluster, user, mode)
}

// WriteKubeconfig is a file for one user of one cluster.
func WriteKubeconfig(path string, cluster, user Object, mode os.FileMode) error {
	document := Object{
		"apiVersion": "v1", "kind": "Config", "current-context": "default",
		"clusters": []any{Object{"name": "default", "cluster": cluster}},
		"contexts": []any{Object{"name": "default", "context": Object{"cluster": "default", "user": "default"}}},
		"users":    []any{Object{"name": "default", "user": user}},
	}
	encoded, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(path, string(encoded)+"\n", mode)
}

// SecretData is what a Secret holds.
func SecretData(secret Object) map[string]string {
	found := map[string]string{}
	data, _ := secret["data"].(Object)
	for name, value := range data {
		if text, ok := value.(string); ok {
			if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
				found[name] = string(decoded)
			}
		}
	}
	return found
}

// ItemsOf a list.
func ItemsOf(list Object) []Object {
	var found []Object
	items, _ := list["items"].([]any)
	for _, item := range items {
		if one, ok := item.(Object); ok {
			found = append(found, one)
		}
	}
	return found
}

func metadataOf(one Object, field string) string {
	metadata, _ := one["metadata"].(Object)
	value, _ := metadata[field].(string)
	return value
}

// NameOf an object.
func NameOf(one Object) string { return metadataOf(one, "name") }
