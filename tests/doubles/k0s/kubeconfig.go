// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Kubeconfigs that others wrote, and join tokens, which are kubeconfigs.
//
// Contract: k0s docs, Manual install (advanced), About tokens: "The join token is a base64-encoded kubeconfig string"; k0s source,
// pkg/token: it is compressed with gzip before, its user is called kubelet-bootstrap or controller-bootstrap.

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
	"sealer.invalid/doubles/shared"
)

type kubeconfig struct {
	server string
	ca     []byte
	user   string
	token  string
	cert   []byte
	key    []byte
}

// material is content that stands in the file, or in a file that it names.
type material struct {
	data string
	path string
}

func (m material) read() ([]byte, error) {
	if m.data != "" {
		return base64.StdEncoding.DecodeString(m.data)
	}
	if m.path != "" {
		return os.ReadFile(m.path)
	}
	return nil, nil
}

func readKubeconfig(content []byte) (kubeconfig, error) {
	var document struct {
		Clusters []struct {
			Cluster map[string]string `yaml:"cluster"`
		} `yaml:"clusters"`
		Users []struct {
			Name string            `yaml:"name"`
			User map[string]string `yaml:"user"`
		} `yaml:"users"`
	}
	if err := yaml.Unmarshal(content, &document); err != nil {
		return kubeconfig{}, err
	}
	if len(document.Clusters) != 1 || len(document.Users) != 1 {
		return kubeconfig{}, errors.New("a kubeconfig with one cluster and one user was expected")
	}
	cluster, user := document.Clusters[0].Cluster, document.Users[0].User
	made := kubeconfig{server: cluster["server"], user: document.Users[0].Name, token: user["token"]}
	for into, from := range map[*[]byte]material{
		&made.ca:   {cluster["certificate-authority-data"], cluster["certificate-authority"]},
		&made.cert: {user["client-certificate-data"], user["client-certificate"]},
		&made.key:  {user["client-key-data"], user["client-key"]},
	} {
		found, err := from.read()
		if err != nil {
			return made, err
		}
		*into = found
	}
	return made, nil
}

func (k kubeconfig) kube() (*shared.Kube, error) {
	config := &tls.Config{RootCAs: shared.PoolOf(string(k.ca))}
	if k.cert != nil {
		pair, err := tls.X509KeyPair(k.cert, k.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &shared.Kube{URL: k.server, Token: k.token, Client: shared.NewClient(config)}, nil
}

const joinTemplate = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: %s
    server: %s
  name: k0s
contexts:
- context:
    cluster: k0s
    user: %[3]s
  name: k0s
current-context: k0s
kind: Config
users:
- name: %[3]s
  user:
    token: %[4]s
`

func encodeToken(ca []byte, server, user, token string) (string, error) {
	var out bytes.Buffer
	packed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(packed, joinTemplate, base64.StdEncoding.EncodeToString(ca), server, user, token); err != nil {
		return "", err
	}
	if err := packed.Close(); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(out.Bytes()), nil
}

// decodeToken gives the kubeconfig as text and as what it says; it has to be for this user.
func decodeToken(token, user string) ([]byte, kubeconfig, error) {
	packed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(token))
	if err != nil {
		return nil, kubeconfig{}, fmt.Errorf("failed to decode join token: %w", err)
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, kubeconfig{}, fmt.Errorf("failed to decode join token: %w", err)
	}
	content, err := io.ReadAll(reader)
	if err != nil {
		return nil, kubeconfig{}, fmt.Errorf("failed to decode join token: %w", err)
	}
	found, err := readKubeconfig(content)
	if err == nil && found.user != user {
		err = fmt.Errorf("wrong token type %s, expected type: %s", found.user, user)
	}
	return content, found, err
}
