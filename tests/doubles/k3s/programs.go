// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// The real programs of Kubernetes behind the double.
//
// k3s has them in its own file and unpacks them into data/<hash>/bin, with data/current beside it. The double has them in
// ../lib/k3s beside its own file, or in K3S_DOUBLE_PROGRAMS, and links them there.

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

func programSource() (string, error) {
	if given := os.Getenv("K3S_DOUBLE_PROGRAMS"); given != "" {
		return given, nil
	}
	own, err := os.Executable()
	if err != nil {
		return "", err
	}
	own, err = filepath.EvalSymlinks(own)
	return filepath.Join(filepath.Dir(filepath.Dir(own)), "lib", "k3s"), err
}

// linkPrograms fills data/<hash>/bin and gives its path.
func linkPrograms(dataDir string) (string, error) {
	source, err := programSource()
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		return "", fmt.Errorf("the double lacks the programs of Kubernetes: %w", err)
	}
	sum := sha256.Sum256([]byte(source))
	directory := filepath.Join(dataDir, "data", hex.EncodeToString(sum[:]))
	bin := filepath.Join(directory, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	links := map[string]string{filepath.Join(dataDir, "data", "current"): directory}
	for _, entry := range entries {
		links[filepath.Join(bin, entry.Name())] = filepath.Join(source, entry.Name())
	}
	for link, target := range links {
		if found, err := os.Readlink(link); err == nil && found == target {
			continue
		}
		if err := os.RemoveAll(link); err != nil {
			return "", err
		}
		if err := os.Symlink(target, link); err != nil {
			return "", err
		}
	}
	return bin, nil
}

// notify tells systemd that the service is up (https://docs.k3s.io: the unit of a server is Type=notify).
func notify() {
	if address := os.Getenv("NOTIFY_SOCKET"); address != "" {
		if connection, err := net.Dial("unixgram", address); err == nil {
			_, _ = connection.Write([]byte("READY=1\n"))
			connection.Close()
		}
	}
}

// extra turns `name=value` of --kubelet-arg and its like into flags.
func extra(given []string) []string {
	var made []string
	for _, one := range given {
		made = append(made, "--"+strings.TrimLeft(one, "-"))
	}
	return made
}
