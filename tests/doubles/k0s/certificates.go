// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// What is below /var/lib/k0s/pki. Contract: k0s docs, Custom CA certificates (ca, etcd/ca and the key pair sa are shared by all
// controllers, the rest is each one's own), User management (admin.conf); k0s source, cmd/controller/certificates.go, for names,
// owners and modes.

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"

	"sealer.invalid/doubles/shared"
)

// certificate is a leaf with its owner and, where one is wanted, a kubeconfig with it.
type certificate struct {
	authority *shared.Authority
	name      string
	of        shared.Leaf
	owner     string
	config    string
}

// ownAuthority reads or makes an authority below pki.
func ownAuthority(name, called string) (shared.Authority, error) {
	made, err := shared.EnsureAuthority(pkiDir, name, called)
	if err != nil {
		return made, err
	}
	return made, own(filepath.Join(pkiDir, name+".key"), "root", 0o640)
}

func own(path, owner string, mode os.FileMode) error {
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	id := 0
	if owner != "root" {
		id = int(userID(owner))
	}
	return os.Chown(path, id, -1)
}

func (c certificate) issue() error {
	path := filepath.Join(pkiDir, c.name)
	if err := c.authority.Issue(path, c.of); err != nil {
		return err
	}
	if err := own(path+".key", c.owner, 0o640); err != nil {
		return err
	}
	if err := own(path+".crt", c.owner, 0o644); err != nil || c.config == "" {
		return err
	}
	config := filepath.Join(pkiDir, c.config)
	if err := shared.Kubeconfig(config, "https://localhost:6443", pkiDir+"/ca.crt", path, true, 0o600); err != nil {
		return err
	}
	return own(config, c.owner, 0o600)
}

// serviceAccountKeys signs tokens of service accounts; the public half lies beside it.
func serviceAccountKeys() error {
	path := pkiDir + "/sa.key"
	if err := shared.ServiceKey(path); err != nil {
		return err
	}
	if err := own(path, "kube-apiserver", 0o640); err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return errors.New(path + ": no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	private, ok := key.(crypto.Signer)
	if !ok {
		return errors.New(path + ": no key pair")
	}
	encoded, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return err
	}
	return shared.WriteFile(pkiDir+"/sa.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: encoded})), 0o644)
}

// hosts are the names and addresses that the API server and the join API answer to.
func (c *controller) hosts() ([]string, error) {
	spec := c.config.Spec
	service, err := serviceAddress(spec.Network.ServiceCIDR, 1)
	if err != nil {
		return nil, err
	}
	found := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + spec.Network.ClusterDomain, "localhost", "127.0.0.1",
		spec.API.Address, service,
	}
	if name := spec.API.externalHost(); name != "" {
		found = append(found, name)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsGlobalUnicast() {
			found = append(found, network.IP.String())
		}
	}
	return append(found, spec.API.SANs...), nil
}

func (c *controller) certificates() error {
	ca, err := ownAuthority("ca", "kubernetes-ca")
	if err != nil {
		return err
	}
	// The controller manager signs with it.
	if err := own(pkiDir+"/ca.key", "kube-apiserver", 0o640); err != nil {
		return err
	}
	front, err := ownAuthority("front-proxy-ca", "kubernetes-front-proxy-ca")
	if err != nil {
		return err
	}
	hosts, err := c.hosts()
	if err != nil {
		return err
	}
	const server = "kube-apiserver"
	for _, one := range []certificate{
		{&front, "front-proxy-client", shared.Leaf{Name: "front-proxy-client", Group: "front-proxy-client"}, server, ""},
		{&ca, "admin", shared.Leaf{Name: "kubernetes-admin", Group: "system:masters"}, "root", "admin.conf"},
		{&ca, "konnectivity", shared.Leaf{Name: "kubernetes-konnectivity", Group: "system:masters"}, "konnectivity-server", "konnectivity.conf"},
		{&ca, "ccm", shared.Leaf{Name: "system:kube-controller-manager", Group: "system:kube-controller-manager"}, server, "ccm.conf"},
		{&ca, "scheduler", shared.Leaf{Name: "system:kube-scheduler", Group: "system:kube-scheduler"}, "kube-scheduler", "scheduler.conf"},
		{&ca, "apiserver-kubelet-client", shared.Leaf{Name: "apiserver-kubelet-client", Group: "system:masters"}, server, ""},
		{&ca, "server", shared.Leaf{Name: "kubernetes", Group: "kubernetes", Hosts: hosts}, server, ""},
		{&ca, "k0s-api", shared.Leaf{Name: "k0s-api", Group: "kubernetes", Hosts: hosts}, server, ""},
	} {
		if err := one.issue(); err != nil {
			return err
		}
	}
	return serviceAccountKeys()
}
