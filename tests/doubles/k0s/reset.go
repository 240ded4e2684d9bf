// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// `k0s reset`. Contract: k0s docs, Uninstall/reset: it refuses while k0s runs, ends containers, removes users, the service, data
// and run directories and the CNI files of k0s' own networks; that there is nothing left to do is no error. k0s source, pkg/cleanup,
// for the order; what it leaves (binary, /etc/k0s, links, rules) stays here, too.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"syscall"

	"sealer.invalid/doubles/shared"
)

func resetCommand(ctx context.Context, given []string) error {
	config := defaultConfig
	err := parseAll(given, func(flags *flag.FlagSet) {
		flags.StringVar(&config, "config", config, "")
		flags.StringVar(&config, "c", config, "")
	})
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("this command must be run as root")
	}
	if told, err := askStatus(); err == nil && told.Pid != 0 {
		return errors.New("k0s seems to be running, please stop k0s before reset")
	}
	if _, err := readConfig(config); err != nil {
		return err
	}
	var failed []error
	for _, step := range []func(context.Context) error{removeContainers, removeUsers, removeServices, removeDirectories, removeNetworks} {
		failed = append(failed, step(ctx))
	}
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("errors occurred during clean-up: %w", err)
	}
	return nil
}

// removeContainers runs a containerd for it, as pods go on when k0s is stopped.
func removeContainers(ctx context.Context) error {
	if !shared.Exists(dataDir + "/containerd") {
		return nil
	}
	ctx, children, err := startNode(ctx)
	if err != nil {
		return err
	}
	n := &node{children: children, pause: "quay.io/k0sproject/pause:3.10.1"}
	if err := n.containerd(ctx); err != nil {
		shared.Say("warning", "Failed to start containerd, skipping container cleanup: %v", err)
		return nil
	}
	defer children.Stop()
	told, err := n.ctr(ctx, "containers", "list", "--quiet")
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(told) {
		// Of a container without a task only the last of these can succeed.
		_, _ = n.ctr(ctx, "tasks", "kill", "--all", "--signal", "SIGKILL", name)
		_, _ = n.ctr(ctx, "tasks", "delete", "--force", name)
		if _, err := n.ctr(ctx, "containers", "delete", name); err != nil {
			shared.Say("warning", "%v", err)
		}
	}
	return nil
}

func removeUsers(ctx context.Context) error {
	names := []string{}
	for _, name := range users {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if _, err := user.Lookup(name); err != nil {
			continue
		}
		if said, err := exec.CommandContext(ctx, "userdel", name).CombinedOutput(); err != nil {
			shared.Say("warning", "failed to delete controller users: %v: %s", err, said)
		}
	}
	return nil
}

func removeServices(ctx context.Context) error {
	for _, name := range []string{"k0scontroller.service", "k0sworker.service"} {
		unit := "/etc/systemd/system/" + name
		if !shared.Exists(unit) {
			continue
		}
		for _, arguments := range [][]string{{"disable", name}, {"daemon-reload"}} {
			if said, err := exec.CommandContext(ctx, "systemctl", arguments...).CombinedOutput(); err != nil {
				return fmt.Errorf("systemctl: %w: %s", err, said)
			}
			if err := os.RemoveAll(unit); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeDirectories lets go of what is mounted below them first; a data directory that is a file system of its own is emptied.
func removeDirectories(context.Context) error {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(mounts)), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		path := strings.Fields(line)[1]
		if strings.HasPrefix(path, dataDir+"/") || strings.HasPrefix(path, runDir+"/") {
			if err := syscall.Unmount(path, 0); err != nil {
				if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
					return fmt.Errorf("failed unmount %s: %w", path, err)
				}
			}
		}
	}
	for _, path := range []string{kubelet, dataDir, runDir} {
		if err := os.RemoveAll(path); err != nil && !(path == dataDir && errors.Is(err, syscall.EBUSY)) {
			return err
		}
	}
	return nil
}

func removeNetworks(context.Context) error {
	for _, name := range []string{"10-calico.conflist", "calico-kubeconfig", "10-kuberouter.conflist"} {
		if err := os.Remove("/etc/cni/net.d/" + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
