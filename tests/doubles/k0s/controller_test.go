// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// What a controller answers and approves, against an API server that knows one Secret.

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sealer.invalid/doubles/shared"
)

func secret(usage string, expires time.Time) string {
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	return fmt.Sprintf(
		`{"data": {"token-secret": %q, "usage-bootstrap-%s": %q, "expiration": %q}}`, encode("0123456789abcdef"), usage, encode("true"),
		encode(expires.UTC().Format(time.RFC3339)),
	)
}

func TestJoinAPIWantsAControllersToken(t *testing.T) {
	later, earlier := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	for name, one := range map[string]struct {
		secret string
		bearer string
		want   int
	}{
		"a controller's":        {secret(controllerUsage, later), "Bearer abcdef.0123456789abcdef", http.StatusOK},
		"a worker's":            {secret("authentication", later), "Bearer abcdef.0123456789abcdef", http.StatusUnauthorized},
		"one that has expired":  {secret(controllerUsage, earlier), "Bearer abcdef.0123456789abcdef", http.StatusUnauthorized},
		"another secret":        {secret(controllerUsage, later), "Bearer abcdef.0000000000000000", http.StatusUnauthorized},
		"one that is not known": {secret(controllerUsage, later), "Bearer fedcba.0123456789abcdef", http.StatusUnauthorized},
		"no token":              {secret(controllerUsage, later), "Bearer x", http.StatusUnauthorized},
		"nothing":               {secret(controllerUsage, later), "", http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			api := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
				if request.URL.Path != shared.SecretsPath+"/bootstrap-token-abcdef" {
					http.NotFound(out, request)
					return
				}
				_, _ = fmt.Fprint(out, one.secret)
			}))
			defer api.Close()
			c := &controller{kube: &shared.Kube{URL: api.URL, Client: api.Client()}}
			request, out := httptest.NewRequest(http.MethodGet, "/v1beta1/ca", nil), httptest.NewRecorder()
			request.Header.Set("Authorization", one.bearer)
			c.authorized(func(*http.Request) (any, error) { return "the keys", nil })(out, request)
			if out.Code != one.want {
				t.Errorf("%d: %s", out.Code, out.Body)
			}
		})
	}
}

func TestKubeletsGetCertificatesForThemselvesAlone(t *testing.T) {
	for user, want := range map[string]bool{"system:node:w1": true, "system:node:w2": false, "w1": false} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "system:node:w1"}}, key)
		if err != nil {
			t.Fatal(err)
		}
		encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: raw})
		if forItself(shared.Object{"username": user, "request": base64.StdEncoding.EncodeToString(encoded)}) != want {
			t.Errorf("%s", user)
		}
	}
	if forItself(shared.Object{"username": "system:node:w1", "request": "nonsense"}) {
		t.Error("nonsense was approved")
	}
}
