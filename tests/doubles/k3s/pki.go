// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Certificates. Contract: https://docs.k3s.io/cli/certificate: authorities of their own for servers, clients, request headers and etcd,
// in server/tls; leaves for one year, authorities for ten.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"time"
)

type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         string
}

func keyPEM(key crypto.Signer) (string, error) {
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})), nil
}

func certificatePEM(raw []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
}

func serial() *big.Int {
	made, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err)
	}
	return made
}

// ensureAuthority reads an authority of server/tls, or makes it.
func ensureAuthority(directory, name string) (authority, error) {
	certificate, key := filepath.Join(directory, name+".crt"), filepath.Join(directory, name+".key")
	if !exists(certificate) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return authority{}, err
		}
		common := fmt.Sprintf("k3s-%s@%d", name, time.Now().Unix())
		template := &x509.Certificate{
			SerialNumber: serial(), Subject: pkix.Name{CommonName: common}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		}
		raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
		if err != nil {
			return authority{}, err
		}
		encoded, err := keyPEM(private)
		if err != nil {
			return authority{}, err
		}
		if err := writeFile(key, encoded, 0o600); err != nil {
			return authority{}, err
		}
		if err := writeFile(certificate, certificatePEM(raw), 0o644); err != nil {
			return authority{}, err
		}
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return authority{}, err
	}
	return authority{pair.Leaf, pair.PrivateKey.(crypto.Signer), certificatePEM(pair.Certificate[0])}, nil
}

type leaf struct {
	name  string
	group string
	hosts []string
}

// sign issues a certificate that serves and, for a name without hosts, identifies a client.
func (a authority) sign(of leaf, public crypto.PublicKey) (string, error) {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: of.name},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		NotBefore:   a.certificate.NotBefore, NotAfter: time.Now().AddDate(1, 0, 0),
	}
	if of.group != "" {
		template.Subject.Organization = []string{of.group}
	}
	for _, host := range of.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, public, a.key)
	if err != nil {
		return "", err
	}
	return certificatePEM(raw) + a.pem, nil
}

// issue writes NAME.crt and NAME.key, new ones at every start.
func (a authority) issue(path string, of leaf) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	signed, err := a.sign(of, private.Public())
	if err != nil {
		return err
	}
	encoded, err := keyPEM(private)
	if err != nil {
		return err
	}
	if err := writeFile(path+".key", encoded, 0o600); err != nil {
		return err
	}
	return writeFile(path+".crt", signed, 0o644)
}

// serviceKey signs the tokens of service accounts; all servers share it.
func serviceKey(path string) error {
	if exists(path) {
		return nil
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	encoded, err := keyPEM(private)
	if err != nil {
		return err
	}
	return writeFile(path, encoded, 0o600)
}

func poolOf(pems ...string) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, one := range pems {
		pool.AppendCertsFromPEM([]byte(one))
	}
	return pool
}
