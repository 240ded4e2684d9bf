// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// containerd. Contract: k0s docs, Runtime: /etc/k0s/containerd.toml is k0s' while it has the line `# k0s_managed=true`, files of
// /etc/k0s/containerd.d are imported, and those with a part of the CRI plugin are merged into k0s' own; they are looked after while k0s
// runs. containerd 1.7 takes version 2 of configurations.

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/pelletier/go-toml/v2"
	"sealer.invalid/doubles/shared"
)

const (
	containerdSocket = runDir + "/containerd.sock"
	containerdConfig = "/etc/k0s/containerd.toml"
	dropIns          = "/etc/k0s/containerd.d"
	managedLine      = "# k0s_managed=true"
	criPlugin        = "io.containerd.grpc.v1.cri"
	header           = managedLine + "\n# This is a placeholder configuration for k0s managed containerd (made by the double of k0s).\n"
)

type table = map[string]any

func (n *node) containerd(ctx context.Context) error {
	if err := os.MkdirAll(dropIns, 0o755); err != nil {
		return err
	}
	if err := n.configureContainerd(ctx); err != nil {
		return fmt.Errorf("failed to setup containerd config: %w", err)
	}
	for _, name := range []string{"containerd-shim-runc-v2", "runc"} {
		if _, err := n.children.Program(name); err != nil {
			return err
		}
	}
	err := n.children.Start(
		"containerd", "", "--root="+dataDir+"/containerd", "--state="+runDir+"/containerd", "--address="+containerdSocket, "--log-level=info",
		"--config="+containerdConfig,
	)
	if err != nil {
		return err
	}
	go n.watchDropIns(ctx)
	return shared.WaitForAddress(ctx, "unix", containerdSocket)
}

// configureContainerd writes what containerd reads, unless the file is somebody else's.
func (n *node) configureContainerd(ctx context.Context) error {
	found, err := os.ReadFile(containerdConfig)
	if err == nil && !strings.Contains("\n"+string(found), "\n"+managedLine+"\n") {
		return nil
	}
	told, err := n.children.Run(ctx, nil, "containerd", "config", "default")
	if err != nil {
		return err
	}
	cri, imports, err := mergeDropIns(told, n.pause, dropIns)
	if err != nil {
		return err
	}
	own := runDir + "/containerd-cri.toml"
	if err := shared.WriteFile(own, cri, 0o644); err != nil {
		return err
	}
	encoded, err := toml.Marshal(table{"version": 2, "imports": append(imports, own)})
	if err != nil {
		return err
	}
	return shared.WriteFile(containerdConfig, header+string(encoded), 0o644)
}

// mergeDropIns gives the CRI plugin's configuration with the drop-ins' in it, and the other drop-ins, which containerd imports.
func mergeDropIns(defaults, pause, directory string) (string, []string, error) {
	var whole table
	if err := toml.Unmarshal([]byte(defaults), &whole); err != nil {
		return "", nil, err
	}
	cri, ok := criOf(whole)
	if !ok {
		return "", nil, fmt.Errorf("containerd's defaults have no plugin %s", criPlugin)
	}
	merge(cri, table{"sandbox_image": pause})
	paths, err := filepath.Glob(directory + "/*.toml")
	if err != nil {
		return "", nil, err
	}
	sort.Strings(paths)
	imports := []string{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", nil, err
		}
		var dropIn table
		if err := toml.Unmarshal(content, &dropIn); err != nil {
			return "", nil, fmt.Errorf("%s: %w", path, err)
		}
		if more, ok := criOf(dropIn); ok {
			merge(cri, more)
		} else {
			imports = append(imports, path)
		}
	}
	encoded, err := toml.Marshal(table{"version": 2, "plugins": table{criPlugin: cri}})
	return string(encoded), imports, err
}

func criOf(configuration table) (table, bool) {
	plugins, _ := configuration["plugins"].(table)
	cri, ok := plugins[criPlugin].(table)
	return cri, ok
}

// merge puts one table over another: tables inside are merged, all else is replaced.
func merge(into, more table) {
	for key, value := range more {
		inner, isTable := value.(table)
		if there, ok := into[key].(table); ok && isTable {
			merge(there, inner)
			continue
		}
		into[key] = value
	}
}

// watchDropIns configures containerd anew when they change.
func (n *node) watchDropIns(ctx context.Context) {
	before := contentOf(dropIns)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Second):
		}
		now := contentOf(dropIns)
		if now == before {
			continue
		}
		before = now
		if err := n.configureContainerd(ctx); err != nil {
			shared.Say("warning", "failed to resolve config: %v", err)
			continue
		}
		n.children.Signal("containerd", syscall.SIGHUP)
	}
}

// contentOf is what can be seen of a directory's change: names, sizes, times.
func contentOf(directory string) string {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return ""
	}
	var lines []string
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			lines = append(lines, fmt.Sprint(entry.Name(), info.Size(), info.ModTime().UnixNano()))
		}
	}
	return strings.Join(lines, "\n")
}
