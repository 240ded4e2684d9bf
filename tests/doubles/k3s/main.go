// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// k3s, the double: a program for tests that keeps the documented contract of k3s on top of the programs of Kubernetes. It is no k3s.
//
// What it does of `k3s server` and `k3s agent`, and where that is documented, stands at the top of each file. What it does not do
// it refuses, as far as it is asked for it: Docker, another container runtime, kine, snapshots, rotation.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"sealer.invalid/doubles/shared"
)

// version is set by the linker.
var version = "v0.0.0+k3s0"

const usage = `NAME:
   k3s - Kubernetes, but small and simple (this is the double for tests)

USAGE:
   k3s [global options] command [command options]

COMMANDS:
   server   Run management server
   agent    Run node agent
   kubectl  Run kubectl
   ctr      Run ctr
   crictl   Run crictl
   token    Manage tokens
   help     Shows a list of commands or help for one command
`

var wrapped = []string{"kubectl", "ctr", "crictl"}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	arguments := os.Args[1:]
	if name := filepath.Base(os.Args[0]); slices.Contains(wrapped, name) {
		arguments = append([]string{name}, arguments...)
	}
	os.Exit(execute(ctx, arguments))
}

func execute(ctx context.Context, arguments []string) int {
	if len(arguments) == 0 {
		arguments = []string{"help"}
	}
	command, rest := arguments[0], arguments[1:]
	switch {
	case command == "--version" || command == "-v":
		fmt.Printf("k3s version %s (double)\ngo version %s\n", version, runtime.Version())
		return 0
	case command == "help" || command == "--help" || command == "-h":
		fmt.Print(usage)
		return 0
	case slices.Contains(wrapped, command):
		return ended(wrap(command, rest))
	case command == "token":
		return ended(tokenCommand(ctx, rest))
	case command == "server" || command == "agent":
		given, err := readSettings(command, rest, os.Getenv)
		if err != nil {
			fmt.Fprintf(os.Stderr, "Incorrect Usage: %v\n\n", err)
			return fatal(err)
		}
		shared.Say("info", "Starting k3s %s (double)", map[string]string{"server": version, "agent": "agent " + version}[command])
		if command == "server" {
			err = runServer(ctx, given)
		} else {
			err = runAgent(ctx, given, nil)
		}
		if ctx.Err() != nil {
			return 0
		}
		return ended(err)
	}
	fmt.Fprintf(os.Stderr, "No help topic for '%s'\n", command)
	return 3
}

func fatal(err error) int {
	shared.Say("fatal", "%v", err)
	return 1
}

func ended(err error) int {
	if err == nil {
		return 0
	}
	return fatal(err)
}

// wrap becomes a program that k3s brings (https://docs.k3s.io/cli), with k3s's own places as its defaults.
func wrap(name string, arguments []string) error {
	source, err := programSource()
	if err != nil {
		return err
	}
	environment := os.Environ()
	switch name {
	case "kubectl":
		if os.Getenv("KUBECONFIG") == "" && shared.Exists("/etc/rancher/k3s/k3s.yaml") {
			environment = append(environment, "KUBECONFIG=/etc/rancher/k3s/k3s.yaml")
		}
	case "ctr":
		if os.Getenv("CONTAINERD_ADDRESS") == "" {
			environment = append(environment, "CONTAINERD_ADDRESS="+containerdSocket)
		}
		if os.Getenv("CONTAINERD_NAMESPACE") == "" {
			environment = append(environment, "CONTAINERD_NAMESPACE=k8s.io")
		}
	}
	return syscall.Exec(filepath.Join(source, name), append([]string{name}, arguments...), environment)
}
