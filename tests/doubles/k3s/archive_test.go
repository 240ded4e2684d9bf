// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestArchives(t *testing.T) {
	var packed bytes.Buffer
	writer := gzip.NewWriter(&packed)
	if _, err := writer.Write([]byte("tar")); err != nil || writer.Close() != nil {
		t.Fatal(err)
	}
	directory := written(t, map[string]string{
		"plain.tar": "tar", "a.tar.gz": packed.String(), "b.tgz": packed.String(),
		"broken.tar.gz": "this is no gzip", "cut.tgz": packed.String()[:packed.Len()-6], "other.tar.zst": "zstd",
	})
	for name, refusal := range map[string]string{
		"plain.tar": "", "a.tar.gz": "", "b.tgz": "", "broken.tar.gz": "invalid header", "cut.tgz": "unexpected EOF", "other.tar.zst": "gzip and bzip2 alone",
	} {
		scratch := t.TempDir()
		path, done, err := plainArchive(filepath.Join(directory, name), scratch)
		if refusal != "" {
			if err == nil || !strings.Contains(err.Error(), refusal) {
				t.Errorf("%s: %v", name, err)
			}
		} else if content, unread := os.ReadFile(path); err != nil || unread != nil || string(content) != "tar" {
			t.Errorf("%s: %v, %v: %q", name, err, unread, content)
		} else {
			done()
		}
		if left, err := os.ReadDir(scratch); err != nil || len(left) != 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
	}
	if _, err := os.Stat(filepath.Join(directory, "plain.tar")); err != nil {
		t.Error(err)
	}
}
