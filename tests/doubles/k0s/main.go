// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// k0s, the double: a program for tests that keeps the documented contract of k0s on top of the programs of Kubernetes. It is no k0s.
//
// What it does, and where that is documented, stands at the top of each file; "k0s docs" is the directory docs of the project
// k0sproject/k0s, "k0s source" the rest of it. It knows the commands and flags that the role k0s uses and refuses all others, and
// what a configuration asks for that it has not: other networks than `custom`, kine, control plane load balancing, Helm charts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// version is set by the linker.
var version = "v0.0.0+k0s.0"

const usage = `k0s - The zero friction Kubernetes (this is the double for tests)

Usage:
  k0s [command]

Available Commands:
  config      Configuration related sub-commands
  controller  Run controller
  ctr         containerd CLI
  etcd        Manage etcd cluster
  reset       Uninstall k0s. Must be run with elevated privileges
  status      Get k0s instance status information
  token       Manage join tokens
  version     Print the k0s version
  worker      Run worker
`

// commands by their words (k0s docs, Commands); one that has others below it prints its help.
var commands = map[string]func(context.Context, []string) error{
	"config validate":  validateCommand,
	"controller":       controllerCommand,
	"ctr":              ctrCommand,
	"etcd member-list": memberListCommand,
	"reset":            resetCommand,
	"status":           statusCommand,
	"token create":     tokenCreateCommand,
	"token invalidate": tokenInvalidateCommand,
	"version":          versionCommand,
	"worker":           workerCommand,
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	os.Exit(execute(ctx, os.Args[1:]))
}

// execute gives the exit code: 0, or 1 after a line that says what is wrong.
func execute(ctx context.Context, arguments []string) int {
	err := run(ctx, arguments)
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "Error: %v\n", err)
	return 1
}

func run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		fmt.Print(usage)
		return nil
	}
	first := arguments[0]
	if command, ok := commands[first]; ok {
		return command(ctx, arguments[1:])
	}
	if len(arguments) > 1 {
		if command, ok := commands[first+" "+arguments[1]]; ok {
			return command(ctx, arguments[2:])
		}
	}
	for words := range commands {
		if group, _, found := strings.Cut(words, " "); found && group == first && len(arguments) == 1 {
			fmt.Print(usage)
			return nil
		}
	}
	return fmt.Errorf("unknown command %q for \"k0s\"", strings.Join(arguments, " "))
}

// parse reads flags into what `define` names, and gives the other arguments.
func parse(arguments []string, define func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet("k0s", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	var plain []string
	for {
		err := flags.Parse(arguments)
		if err != nil {
			if name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); unknown {
				err = fmt.Errorf("unknown flag: --%s", name)
			}
			return nil, err
		}
		if flags.NArg() == 0 {
			return plain, nil
		}
		plain, arguments = append(plain, flags.Arg(0)), flags.Args()[1:]
	}
}

// parseAll is for commands that take nothing but flags.
func parseAll(arguments []string, define func(*flag.FlagSet)) error {
	plain, err := parse(arguments, define)
	if err == nil && len(plain) > 0 {
		err = fmt.Errorf("unknown command %q", plain[0])
	}
	return err
}

func versionCommand(_ context.Context, arguments []string) error {
	err := parseAll(arguments, func(*flag.FlagSet) {})
	if err == nil {
		fmt.Println(version)
	}
	return err
}

// ctrCommand becomes ctr with k0s' socket and namespace as its defaults (k0s docs, Troubleshooting).
func ctrCommand(_ context.Context, arguments []string) error {
	program, err := exec.LookPath("ctr")
	if err != nil {
		return errors.New("the double lacks containerd's ctr")
	}
	environment := append(os.Environ(), "CONTAINERD_ADDRESS="+containerdSocket, "CONTAINERD_NAMESPACE=k8s.io")
	return syscall.Exec(program, append([]string{"ctr"}, arguments...), environment)
}
