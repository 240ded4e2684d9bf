// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package shared

import (
	"crypto/subtle"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// SecretsPath is where bootstrap tokens are kept, in Secrets of a type of their own
// (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens).
const SecretsPath = "/api/v1/namespaces/kube-system/secrets"

// BootstrapToken is the form of a bootstrap token.
var BootstrapToken = regexp.MustCompile(`^[a-z0-9]{6}\.[a-z0-9]{16}$`)

// NewBootstrapToken is one that nobody knows yet.
func NewBootstrapToken() string { return RandomHex(3) + "." + RandomHex(8) }

// Same compares secrets.
func Same(left, right string) bool {
	return subtle.ConstantTimeCompare([]byte(left), []byte(right)) == 1
}

// CreateBootstrapToken keeps a token, for so long or, with 0, for ever.
func CreateBootstrapToken(api *Kube, token string, ttl time.Duration, more Object) error {
	if !BootstrapToken.MatchString(token) {
		return fmt.Errorf("the bootstrap token %q was not of the form %q", token, BootstrapToken)
	}
	id, secret, _ := strings.Cut(token, ".")
	data := Object{"token-id": id, "token-secret": secret}
	maps.Copy(data, more)
	if ttl > 0 {
		data["expiration"] = time.Now().Add(ttl).UTC().Format(time.RFC3339)
	}
	_, err := api.Do(http.MethodPost, SecretsPath, Object{
		"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token", "metadata": Object{"name": "bootstrap-token-" + id}, "stringData": data,
	})
	return err
}

// KnowsBootstrapToken tells whether a token is kept for this usage and has not expired.
func KnowsBootstrapToken(api *Kube, token, usage string) bool {
	id, secret, _ := strings.Cut(token, ".")
	if !BootstrapToken.MatchString(token) {
		return false
	}
	found, err := api.Do(http.MethodGet, SecretsPath+"/bootstrap-token-"+id, nil)
	if err != nil {
		return false
	}
	data := SecretData(found)
	if expires, err := time.Parse(time.RFC3339, data["expiration"]); data["expiration"] != "" && (err != nil || time.Now().After(expires)) {
		return false
	}
	return data["usage-bootstrap-"+usage] == "true" && Same(data["token-secret"], secret)
}
