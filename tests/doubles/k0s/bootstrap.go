// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// A node's first credentials. Contract: k0s source, pkg/component/worker/utils.go: k0s itself asks for the kubelet's first client
// certificate, before anything else of the worker runs; a worker that has /var/lib/k0s/kubelet.conf needs none. The kubelet of a
// controller goes to the API server of its own host, by /run/k0s/kubelet-direct.conf.

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"time"

	"sealer.invalid/doubles/shared"
)

const (
	directConf    = runDir + "/kubelet-direct.conf"
	kubeletClient = kubelet + "/pki/kubelet-client-current.pem"
)

// credentials has kubelet.conf made with a kubeconfig that may ask for certificates.
func (n *node) credentials(ctx context.Context, bootstrap string) error {
	if shared.Exists(kubeletConf) {
		return nil
	}
	content, err := os.ReadFile(bootstrap)
	if err != nil {
		return err
	}
	known, err := readKubeconfig(content)
	if err != nil {
		return err
	}
	api, err := known.kube()
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	var issued string
	err = shared.WaitFor(ctx, "the node's certificate", 5*time.Minute, func() error {
		var failed error
		issued, failed = askForCertificate(ctx, api, n.name, key)
		return failed
	})
	if err != nil {
		return err
	}
	private, err := shared.KeyPEM(key)
	if err != nil {
		return err
	}
	// The kubelet expects a link there, and replaces it when it has a newer one.
	file := kubelet + "/pki/kubelet-client-" + time.Now().UTC().Format("2006-01-02-15-04-05") + ".pem"
	if err := shared.WriteFile(file, issued+private, 0o600); err != nil {
		return err
	}
	_ = os.Remove(kubeletClient)
	if err := os.Symlink(file, kubeletClient); err != nil {
		return err
	}
	return writeNodeConfig(kubeletConf, known.server, known.ca)
}

const requestsPath = "/apis/certificates.k8s.io/v1/certificatesigningrequests"

// askForCertificate gives a node's client certificate, which the controller manager approves and signs.
func askForCertificate(ctx context.Context, api *shared.Kube, name string, key crypto.Signer) (string, error) {
	user := pkix.Name{Organization: []string{"system:nodes"}, CommonName: "system:node:" + name}
	raw, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: user}, key)
	if err != nil {
		return "", err
	}
	made, err := api.Do(http.MethodPost, requestsPath, shared.Object{
		"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": shared.Object{"generateName": "node-csr-"},
		"spec": shared.Object{
			"request":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: raw}),
			"signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": []string{"digital signature", "client auth"},
		},
	})
	if err != nil {
		return "", err
	}
	var issued string
	err = shared.WaitFor(ctx, "a signature", time.Minute, func() error {
		found, err := api.Do(http.MethodGet, requestsPath+"/"+shared.NameOf(made), nil)
		if err != nil {
			return err
		}
		status, _ := found["status"].(shared.Object)
		if issued, _ = status["certificate"].(string); issued == "" {
			return errors.New("there is none yet")
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	decoded, err := base64.StdEncoding.DecodeString(issued)
	return string(decoded), err
}

// writeNodeConfig is a kubeconfig for the kubelet's user, with another server than its first one where that is wanted.
func writeNodeConfig(path, server string, ca []byte) error {
	return shared.WriteKubeconfig(
		path, shared.Object{"server": server, "certificate-authority-data": ca},
		shared.Object{"client-certificate": kubeletClient, "client-key": kubeletClient}, 0o600,
	)
}

// authority is what the node's kubeconfig trusts.
func authority() ([]byte, error) {
	content, err := os.ReadFile(kubeletConf)
	if err != nil {
		return nil, err
	}
	found, err := readKubeconfig(content)
	return found.ca, err
}
