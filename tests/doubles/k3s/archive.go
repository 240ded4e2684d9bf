// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Archives of images that are compressed. Contract: https://docs.k3s.io/installation/airgap (manually deploy images: the
// suffixes that are known). containerd's own import takes plain ones alone.

import (
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// plainArchive gives the path of the archive as a tar file, and what takes away what was made for that.
func plainArchive(path, scratch string) (string, func(), error) {
	var open func(io.Reader) (io.Reader, error)
	switch {
	case strings.HasSuffix(path, ".tar"):
		return path, func() {}, nil
	case strings.HasSuffix(path, ".tar.gz"), strings.HasSuffix(path, ".tgz"):
		open = func(packed io.Reader) (io.Reader, error) { return gzip.NewReader(packed) }
	case strings.HasSuffix(path, ".tar.bz2"), strings.HasSuffix(path, ".tbz"):
		open = func(packed io.Reader) (io.Reader, error) { return bzip2.NewReader(packed), nil }
	default:
		return "", nil, fmt.Errorf("%s: the double unpacks gzip and bzip2 alone", path)
	}
	plain, err := unpacked(path, scratch, open)
	return plain, func() { _ = os.Remove(plain) }, err
}

func unpacked(path, scratch string, open func(io.Reader) (io.Reader, error)) (_ string, err error) {
	packed, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer packed.Close()
	content, err := open(packed)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	plain, err := os.CreateTemp(scratch, "images-*.tar")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(plain, content)
	if err = errors.Join(err, plain.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("%s: %w", path, err), os.Remove(plain.Name()))
	}
	return plain.Name(), nil
}
