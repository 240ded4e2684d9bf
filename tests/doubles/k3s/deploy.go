// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Packaged components and the manifests directory. Contract: https://docs.k3s.io/installation/packaged-components: what is in
// server/manifests is applied at the start and when a file changes; the files of packaged components are written at every start;
// with --disable their objects and their files are removed; a .skip file beside one keeps it from being applied.

import (
	"context"
	"embed"
	"os"
	"path/filepath"
	"strings"

	"sealer.invalid/doubles/shared"
)

//go:embed manifests/*.manifest
var packaged embed.FS

func (s *server) packagedManifests() (map[string]string, error) {
	entries, err := packaged.ReadDir("manifests")
	if err != nil {
		return nil, err
	}
	dns, err := s.dns()
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("%{CLUSTER_DNS}%", dns, "%{CLUSTER_DOMAIN}%", s.get("cluster-domain"))
	found := map[string]string{}
	for _, entry := range entries {
		content, err := packaged.ReadFile("manifests/" + entry.Name())
		if err != nil {
			return nil, err
		}
		found[strings.TrimSuffix(entry.Name(), ".manifest")+".yaml"] = fill.Replace(string(content))
	}
	return found, nil
}

func (s *server) disabled() map[string]bool {
	found := map[string]bool{}
	for _, name := range s.split("disable") {
		found[name+".yaml"] = true
	}
	return found
}

// deploy applies what is new; `deployed` has the sums of what was applied since the start.
func (s *server) deploy(ctx context.Context, deployed map[string]string) error {
	directory, disabled := s.path("manifests"), s.disabled()
	if len(deployed) == 0 {
		manifests, err := s.packagedManifests()
		if err != nil {
			return err
		}
		for name, content := range manifests {
			path := filepath.Join(directory, name)
			if disabled[name] {
				if shared.Exists(path) {
					if _, err := s.kubectl(ctx, "delete", "--ignore-not-found", "-f", path); err != nil {
						return err
					}
				}
				err = os.RemoveAll(path)
			} else {
				err = shared.WriteFile(path, content, 0o600)
			}
			if err != nil {
				return err
			}
		}
		deployed[""] = ""
	}
	return shared.ApplyChanged(directory, deployed, func(path string) bool {
		return shared.Exists(path+".skip") || disabled[filepath.Base(path)]
	}, func(path string) error {
		_, err := s.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "--field-manager=deploy@"+s.name, "-f", path)
		return err
	})
}

func (s *server) kubectl(ctx context.Context, arguments ...string) (string, error) {
	environment := []string{"KUBECONFIG=" + s.path("cred", "admin.kubeconfig"), "KUBECACHEDIR=" + s.path("cache")}
	return s.children.Run(ctx, environment, "kubectl", arguments...)
}
