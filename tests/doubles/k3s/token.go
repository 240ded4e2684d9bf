// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Tokens. Contract: https://docs.k3s.io/cli/token: `K10<sha256 of the CA's PEM>::<user>:<password>`, or with a bootstrap token
// `<id>.<secret>` in place of user and password; the short form has no hash. The CA comes from /cacerts, and with a full token
// nothing is sent before it is known to be the right one.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

type token struct {
	hash     string
	user     string
	password string
	bearer   string
}

func parseToken(text, user string) (token, error) {
	rest, secure := strings.CutPrefix(text, "K10")
	hash, credentials, found := strings.Cut(rest, "::")
	if !secure || !found {
		hash, credentials = "", text
	} else if len(hash) != 2*sha256.Size {
		return token{}, errors.New("invalid token CA hash length")
	}
	switch {
	case credentials == "":
		return token{}, errors.New("token is empty")
	case shared.BootstrapToken.MatchString(credentials):
		return token{hash: hash, bearer: credentials}, nil
	case found && secure && strings.Contains(credentials, ":"):
		name, password, _ := strings.Cut(credentials, ":")
		return token{hash: hash, user: name, password: password}, nil
	}
	return token{hash: hash, user: user, password: credentials}, nil
}

func caHash(pem string) string {
	sum := sha256.Sum256([]byte(pem))
	return hex.EncodeToString(sum[:])
}

func fullToken(pem, credentials string) string { return "K10" + caHash(pem) + "::" + credentials }

// givenToken is --token or the content of --token-file.
func (s settings) givenToken(flags ...string) (string, error) {
	for _, name := range flags {
		if value := s.get(name); value != "" {
			return value, nil
		}
		if path := s.get(name + "-file"); path != "" {
			content, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			if found := strings.TrimSpace(string(content)); found != "" {
				return found, nil
			}
			return "", fmt.Errorf("%s is empty", path)
		}
	}
	return "", nil
}

// supervisor is a server as a node that joins sees it.
type supervisor struct {
	url    string
	token  token
	ca     string
	client *http.Client
}

func connect(ctx context.Context, url string, with token, certificate string) (*supervisor, error) {
	blind := &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
	}
	made := &supervisor{url: strings.TrimRight(url, "/"), token: with}
	err := shared.WaitFor(ctx, url+"/cacerts", 2*time.Minute, func() error {
		answer, err := blind.Get(made.url + "/cacerts")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		content, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = errors.New(answer.Status)
		}
		made.ca = string(content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	if with.hash != "" && with.hash != caHash(made.ca) {
		return nil, fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", with.hash, caHash(made.ca))
	}
	config := &tls.Config{RootCAs: shared.PoolOf(made.ca)}
	if certificate != "" && shared.Exists(certificate+".crt") {
		pair, err := tls.LoadX509KeyPair(certificate+".crt", certificate+".key")
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	made.client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
	return made, nil
}

func (s *supervisor) ask(method, path string, headers map[string]string, body string) (string, error) {
	request, err := http.NewRequest(method, s.url+path, bytes.NewBufferString(body))
	if err != nil {
		return "", err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	if s.token.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+s.token.bearer)
	} else {
		request.SetBasicAuth(s.token.user, s.token.password)
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s%s: %s: %s", s.url, path, answer.Status, strings.TrimSpace(string(content)))
	}
	return string(content), err
}

func (s *supervisor) fetch(path string, into any) error {
	content, err := s.ask(http.MethodGet, path, nil, "")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(content), into)
}
