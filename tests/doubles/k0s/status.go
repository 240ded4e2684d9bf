// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// The status socket. Contract: k0s docs, Commands (`k0s status`), and k0s source, pkg/component/status: GET /status on
// /run/k0s/status.sock, which root alone can use; without k0s the command ends with 1.

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"sealer.invalid/doubles/shared"
)

const statusSocket = runDir + "/status.sock"

type connection struct {
	Message string
	Success bool
}

type status struct {
	Version                     string
	Pid                         int
	PPid                        int
	Role                        string
	SysInit                     string
	StubFile                    string
	Output                      string
	Workloads                   bool
	SingleNode                  bool
	Args                        []string
	WorkerToAPIConnectionStatus connection
	ClusterConfig               *clusterConfig
	K0sVars                     map[string]string
}

// serveStatus answers until the context ends.
func serveStatus(ctx context.Context, role string, workloads bool, config *clusterConfig) error {
	if err := os.RemoveAll(statusSocket); err != nil {
		return err
	}
	listener, err := net.Listen("unix", statusSocket)
	if err != nil {
		return err
	}
	if err := os.Chmod(statusSocket, 0o600); err != nil {
		return err
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /status", func(out http.ResponseWriter, _ *http.Request) {
		told := status{
			Version: version, Pid: os.Getpid(), Role: role, Workloads: workloads, Args: os.Args, ClusterConfig: config,
			K0sVars: map[string]string{"DataDir": dataDir, "RunDir": runDir, "CertRootDir": pkiDir, "AdminKubeConfigPath": adminConf, "KubeletAuthConfigPath": kubeletConf},
		}
		if workloads {
			told.WorkerToAPIConnectionStatus = workerConnection()
		}
		_ = json.NewEncoder(out).Encode(told)
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

// workerConnection asks as the kubelet, whose credentials come last of all, and where it does.
func workerConnection() connection {
	config := kubeletConf
	for _, other := range []string{directConf, balancerConf} {
		if shared.Exists(other) {
			config = other
			break
		}
	}
	api, err := kubeOf(config)
	if err == nil {
		_, err = api.Do(http.MethodGet, "/version", nil)
	}
	if err != nil {
		return connection{Message: err.Error()}
	}
	return connection{Success: true}
}

// askStatus is what another process of this host says of itself.
func askStatus() (status, error) {
	var told status
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", statusSocket)
		},
	}}
	answer, err := client.Get("http://localhost/status")
	if err != nil {
		return told, fmt.Errorf("status: can't get \"status\" via %q: %w", statusSocket, err)
	}
	defer answer.Body.Close()
	return told, json.NewDecoder(answer.Body).Decode(&told)
}

func statusCommand(_ context.Context, given []string) error {
	format := ""
	err := parseAll(given, func(flags *flag.FlagSet) {
		flags.StringVar(&format, "out", "", "")
		flags.StringVar(&format, "o", "", "")
	})
	if err != nil {
		return err
	}
	told, err := askStatus()
	if err != nil {
		return err
	}
	if format != "json" {
		return errors.New("the double tells its status as JSON alone")
	}
	encoded, err := json.MarshalIndent(told, "", "   ")
	if err == nil {
		fmt.Println(string(encoded))
	}
	return err
}

// kubeOf speaks to the API server of a kubeconfig, as its user.
func kubeOf(path string) (*shared.Kube, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found, err := readKubeconfig(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return found.kube()
}
