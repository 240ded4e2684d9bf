// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// `k3s token create|delete|list|generate` (https://docs.k3s.io/cli/token#k3s-token-1): bootstrap tokens for agents, kept as Secrets
// that expire; what is printed is the full form. With the local server down they fail.

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

func tokenCommand(_ context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("k3s token needs one of create, delete, generate, list")
	}
	flags := map[string]string{
		"data-dir": defaults["data-dir"], "kubeconfig": "", "description": "", "groups": "system:bootstrappers:k3s:default-node-token",
		"ttl": "24h0m0s", "usages": "signing,authentication", "output": "text",
	}
	var plain []string
	for index := 1; index < len(arguments); index++ {
		name, value, joined := strings.Cut(strings.TrimLeft(arguments[index], "-"), "=")
		if !strings.HasPrefix(arguments[index], "-") {
			plain = append(plain, arguments[index])
			continue
		}
		if _, ok := flags[name]; !ok {
			return fmt.Errorf("flag provided but not defined: -%s", name)
		}
		if !joined {
			index++
			if index == len(arguments) {
				return fmt.Errorf("flag needs an argument: -%s", name)
			}
			value = arguments[index]
		}
		flags[name] = value
	}
	generated := shared.NewBootstrapToken()
	if arguments[0] == "generate" {
		fmt.Println(generated)
		return nil
	}
	server := filepath.Join(flags["data-dir"], "server", "tls")
	api, err := shared.NewKube("https://127.0.0.1:6443", filepath.Join(server, "server-ca.crt"), filepath.Join(server, "client-admin"))
	if err != nil {
		return err
	}
	switch arguments[0] {
	case "create":
		if len(plain) == 0 {
			plain = []string{generated}
		}
		return createToken(api, server, plain[0], flags)
	case "delete":
		for _, one := range plain {
			id, _, _ := strings.Cut(one[strings.LastIndex(one, ":")+1:], ".")
			if _, err := api.Do(http.MethodDelete, shared.SecretsPath+"/bootstrap-token-"+id, nil); err != nil {
				return err
			}
			fmt.Printf("bootstrap token %q deleted\n", id)
		}
		return nil
	case "list":
		return listTokens(api, flags["output"])
	}
	return fmt.Errorf("no help topic for '%s'", arguments[0])
}

func createToken(api *shared.Kube, server, made string, flags map[string]string) error {
	ttl, err := time.ParseDuration(flags["ttl"])
	if err != nil && flags["ttl"] != "0" {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(server, "server-ca.crt"))
	if err != nil {
		return err
	}
	data := shared.Object{"auth-extra-groups": flags["groups"]}
	if flags["description"] != "" {
		data["description"] = flags["description"]
	}
	for _, usage := range strings.Split(flags["usages"], ",") {
		data["usage-bootstrap-"+usage] = "true"
	}
	if err := shared.CreateBootstrapToken(api, made, ttl, data); err != nil {
		return err
	}
	fmt.Println(fullToken(string(ca), made))
	return nil
}

func listTokens(api *shared.Kube, output string) error {
	found, err := api.Do(http.MethodGet, shared.SecretsPath+"?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken", nil)
	if err != nil {
		return err
	}
	for _, secret := range shared.ItemsOf(found) {
		data := shared.SecretData(secret)
		if output == "json" {
			encoded, err := json.Marshal(map[string]string{"token": data["token-id"], "expires": data["expiration"], "description": data["description"]})
			if err != nil {
				return err
			}
			fmt.Println(string(encoded))
			continue
		}
		fmt.Println(data["token-id"], data["expiration"], base64.StdEncoding.EncodeToString([]byte(data["auth-extra-groups"])), data["description"])
	}
	return nil
}
