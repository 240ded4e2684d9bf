// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// How controllers join. Contract: k0s docs, High availability (port 9443: the API through which controllers join), and k0s source,
// cmd/api: GET /v1beta1/ca gives the authority and the keys of service accounts, POST /v1beta1/etcd/members adds a member to etcd;
// both want the token of a controller as bearer, which is looked up in its Secret.

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

type memberRequest struct {
	Node        string `json:"node"`
	PeerAddress string `json:"peerAddress"`
}

// Files of the answer about the authority, by their keys.
var caFiles = map[string]string{"key": pkiDir + "/ca.key", "cert": pkiDir + "/ca.crt", "saKey": pkiDir + "/sa.key", "saPub": pkiDir + "/sa.pub"}

// serveJoin answers controllers that join, until the context ends.
func (c *controller) serveJoin(ctx context.Context) error {
	pair, err := tls.LoadX509KeyPair(pkiDir+"/k0s-api.crt", pkiDir+"/k0s-api.key")
	if err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", fmt.Sprintf(":%d", c.config.Spec.API.K0sAPIPort), &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /v1beta1/ca", c.authorized(func(*http.Request) (any, error) { return readFiles(caFiles) }))
	routes.HandleFunc("POST /v1beta1/etcd/members", c.authorized(answerMember))
	server := &http.Server{Handler: routes, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: 15 * time.Second}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

func (c *controller) authorized(answer func(*http.Request) (any, error)) http.HandlerFunc {
	return func(out http.ResponseWriter, request *http.Request) {
		bearer, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
		if !ok || !shared.KnowsBootstrapToken(c.kube, bearer, controllerUsage) {
			http.Error(out, "go away", http.StatusUnauthorized)
			return
		}
		found, err := answer(request)
		if err != nil {
			http.Error(out, err.Error(), http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(out).Encode(found)
	}
}

func readFiles(paths map[string]string) (map[string][]byte, error) {
	found := map[string][]byte{}
	for name, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		found[name] = content
	}
	return found, nil
}

func answerMember(request *http.Request) (any, error) {
	var asked memberRequest
	if err := json.NewDecoder(request.Body).Decode(&asked); err != nil {
		return nil, err
	}
	if asked.Node == "" || asked.PeerAddress == "" {
		return nil, errors.New("node and peerAddress cannot be empty")
	}
	kube, err := etcdClient()
	if err != nil {
		return nil, err
	}
	cluster, err := addMember(kube, asked.Node, asked.PeerAddress)
	if err != nil {
		return nil, err
	}
	ca, err := readFiles(map[string]string{"key": etcdPKI + "/ca.key", "cert": etcdPKI + "/ca.crt"})
	return map[string]any{"ca": ca, "initialCluster": cluster}, err
}

// join brings what all controllers share, and gives the members of etcd that are there with this one.
func (c *controller) join(ctx context.Context, token string) ([]string, error) {
	_, found, err := decodeToken(token, controllerUser)
	if err != nil {
		return nil, fmt.Errorf("failed to join controller: %w", err)
	}
	api, err := found.kube()
	if err != nil {
		return nil, err
	}
	var answer shared.Object
	err = shared.WaitFor(ctx, api.URL, time.Minute, func() error {
		answer, err = api.Do(http.MethodGet, "/v1beta1/ca", nil)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to join existing cluster via %s: %w", api.URL, err)
	}
	if err := writeAnswer(answer, caFiles); err != nil {
		return nil, err
	}
	err = shared.WaitFor(ctx, "etcd to take this member", 4*time.Minute, func() error {
		answer, err = api.Do(http.MethodPost, "/v1beta1/etcd/members", memberRequest{c.host, c.peerURL()})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to synchronize etcd config with existing cluster via %s: %w", api.URL, err)
	}
	ca, _ := answer["ca"].(shared.Object)
	if err := writeAnswer(ca, map[string]string{"key": etcdPKI + "/ca.key", "cert": etcdPKI + "/ca.crt"}); err != nil {
		return nil, err
	}
	var cluster []string
	members, _ := answer["initialCluster"].([]any)
	for _, one := range members {
		cluster = append(cluster, fmt.Sprint(one))
	}
	return cluster, nil
}

func writeAnswer(answer shared.Object, paths map[string]string) error {
	for name, path := range paths {
		text, _ := answer[name].(string)
		content, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(content) == 0 {
			return fmt.Errorf("the cluster gave no %s", path)
		}
		if err := shared.WriteFile(path, string(content), 0o640); err != nil {
			return err
		}
	}
	return nil
}
