// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Image bundles. Contract: k0s docs, Airgap install: what is in /var/lib/k0s/images is imported before the kubelet starts and whenever
// the directory changes; its images are pinned. One that cannot be imported is passed over with a line in the log.

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

const bundles = dataDir + "/images"

func (n *node) ctr(ctx context.Context, arguments ...string) (string, error) {
	return n.children.Run(ctx, nil, "ctr", append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, arguments...)...)
}

func (n *node) imageNames(ctx context.Context) ([]string, error) {
	told, err := n.ctr(ctx, "images", "list", "--quiet")
	return strings.Fields(told), err
}

func (n *node) importImages(ctx context.Context) error {
	entries, err := os.ReadDir(bundles)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := n.importBundle(ctx, filepath.Join(bundles, entry.Name())); err != nil {
			shared.Say("error", "Failed to load OCI bundle %s: %v", entry.Name(), err)
		}
	}
	return nil
}

func (n *node) importBundle(ctx context.Context, path string) error {
	before, err := n.imageNames(ctx)
	if err != nil {
		return err
	}
	if _, err := n.ctr(ctx, "images", "import", path); err != nil {
		return err
	}
	after, err := n.imageNames(ctx)
	if err != nil {
		return err
	}
	for _, name := range after {
		if slices.Contains(before, name) {
			continue
		}
		if _, err := n.ctr(ctx, "images", "label", name, "io.cri-containerd.pinned=pinned"); err != nil {
			return err
		}
	}
	shared.Say("info", "OCI bundle %s loaded", path)
	return nil
}

func (n *node) watchImages(ctx context.Context) {
	before := contentOf(bundles)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
		if now := contentOf(bundles); now != before {
			before = now
			if err := n.importImages(ctx); err != nil {
				shared.Say("error", "%v", err)
			}
		}
	}
}
