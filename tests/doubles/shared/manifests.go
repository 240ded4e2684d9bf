// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package shared

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// ApplyChanged applies the manifests below a directory that are not as they were; `applied` has the sums of what was applied.
func ApplyChanged(directory string, applied map[string]string, skip func(path string) bool, apply func(path string) error) error {
	var failed error
	err := filepath.WalkDir(directory, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) || skip(path) {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		text := hex.EncodeToString(sum[:])
		if applied[path] == text {
			return nil
		}
		if err := apply(path); err != nil {
			failed = errors.Join(failed, err)
			return nil
		}
		applied[path] = text
		return nil
	})
	return errors.Join(failed, err)
}
