// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

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

type object = map[string]any

// kube speaks to an API server with a client certificate.
type kube struct {
	url    string
	client *http.Client
}

type statusError struct {
	code int
	text string
}

func (e statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

func newKube(url, caFile, certificate string) (*kube, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certificate+".crt", certificate+".key")
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: poolOf(string(ca)), Certificates: []tls.Certificate{pair}}
	return &kube{url, &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}}, nil
}

func (k *kube) do(method, path string, body any) (object, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequest(method, k.url+path, bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", map[bool]string{true: "application/merge-patch+json", false: "application/json"}[method == http.MethodPatch])
	answer, err := k.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= 300 {
		return nil, statusError{answer.StatusCode, strings.TrimSpace(string(content))}
	}
	found := object{}
	if err := json.Unmarshal(content, &found); err != nil {
		found["text"] = string(content)
	}
	return found, nil
}

// addresses are those of the API servers, as the Service kubernetes has them.
func (k *kube) addresses() ([]string, error) {
	found, err := k.do(http.MethodGet, "/api/v1/namespaces/default/endpoints/kubernetes", nil)
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

// kubeconfig is a file for a user who is known by a certificate.
func kubeconfig(path, url, caFile, certificate string, embed bool, mode os.FileMode) error {
	value := func(name, file string) (string, any, error) {
		if !embed {
			return name, file, nil
		}
		content, err := os.ReadFile(file)
		return name + "-data", content, err
	}
	cluster, user := object{"server": url}, object{}
	for _, one := range []struct {
		into       object
		name, file string
	}{{cluster, "certificate-authority", caFile}, {user, "client-certificate", certificate + ".crt"}, {user, "client-key", certificate + ".key"}} {
		name, content, err := value(one.name, one.file)
		if err != nil {
			return err
		}
		one.into[name] = content
	}
	document := object{
		"apiVersion": "v1", "kind": "Config", "current-context": "default",
		"clusters": []any{object{"name": "default", "cluster": cluster}},
		"contexts": []any{object{"name": "default", "context": object{"cluster": "default", "user": "default"}}},
		"users":    []any{object{"name": "default", "user": user}},
	}
	encoded, err := json.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, string(encoded)+"\n", mode)
}

func secretData(secret object) map[string]string {
	found := map[string]string{}
	data, _ := secret["data"].(object)
	for name, value := range data {
		if text, ok := value.(string); ok {
			if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
				found[name] = string(decoded)
			}
		}
	}
	return found
}

func itemsOf(list object) []object {
	var found []object
	items, _ := list["items"].([]any)
	for _, item := range items {
		if one, ok := item.(object); ok {
			found = append(found, one)
		}
	}
	return found
}

func metadataOf(one object, field string) string {
	metadata, _ := one["metadata"].(object)
	value, _ := metadata[field].(string)
	return value
}

func nameOf(one object) string { return metadataOf(one, "name") }
