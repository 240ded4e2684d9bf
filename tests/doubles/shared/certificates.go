// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package shared

// Certificates: leaves for one year, authorities for ten, as both runtimes have them.

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
	"math/big"
	"net"
	"path/filepath"
	"time"
)

// Authority issues certificates; PEM is its own.
type Authority struct {
	PEM         string
	certificate *x509.Certificate
	key         crypto.Signer
}

// KeyPEM is a private key as it is written to files.
func KeyPEM(key crypto.Signer) (string, error) {
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

// EnsureAuthority reads NAME.crt and NAME.key, or makes them for an authority called `called`.
func EnsureAuthority(directory, name, called string) (Authority, error) {
	certificate, key := filepath.Join(directory, name+".crt"), filepath.Join(directory, name+".key")
	if !Exists(certificate) {
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return Authority{}, err
		}
		template := &x509.Certificate{
			SerialNumber: serial(), Subject: pkix.Name{CommonName: called}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage:  x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		}
		raw, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
		if err != nil {
			return Authority{}, err
		}
		encoded, err := KeyPEM(private)
		if err != nil {
			return Authority{}, err
		}
		if err := WriteFile(key, encoded, 0o600); err != nil {
			return Authority{}, err
		}
		if err := WriteFile(certificate, certificatePEM(raw), 0o644); err != nil {
			return Authority{}, err
		}
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return Authority{}, err
	}
	return Authority{certificatePEM(pair.Certificate[0]), pair.Leaf, pair.PrivateKey.(crypto.Signer)}, nil
}

// Leaf is what a certificate is for.
type Leaf struct {
	Name  string
	Group string
	Hosts []string
}

// Sign issues a certificate that serves and, for a name without hosts, identifies a client.
func (a Authority) Sign(of Leaf, public crypto.PublicKey) (string, error) {
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: of.Name},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		NotBefore:   a.certificate.NotBefore, NotAfter: time.Now().AddDate(1, 0, 0),
	}
	if of.Group != "" {
		template.Subject.Organization = []string{of.Group}
	}
	for _, host := range of.Hosts {
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
	return certificatePEM(raw) + a.PEM, nil
}

// Issue writes NAME.crt and NAME.key, new ones at every start.
func (a Authority) Issue(path string, of Leaf) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	signed, err := a.Sign(of, private.Public())
	if err != nil {
		return err
	}
	encoded, err := KeyPEM(private)
	if err != nil {
		return err
	}
	if err := WriteFile(path+".key", encoded, 0o600); err != nil {
		return err
	}
	return WriteFile(path+".crt", signed, 0o644)
}

// ServiceKey signs the tokens of service accounts; all servers share it.
func ServiceKey(path string) error {
	if Exists(path) {
		return nil
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	encoded, err := KeyPEM(private)
	if err != nil {
		return err
	}
	return WriteFile(path, encoded, 0o600)
}

// PoolOf trusts the authorities of these texts.
func PoolOf(pems ...string) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, one := range pems {
		pool.AppendCertsFromPEM([]byte(one))
	}
	return pool
}
