// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// The real programs of Kubernetes behind the double, and those that run as its children.
//
// k3s has them in its own file and unpacks them into data/<hash>/bin, with data/current beside it. The double has them in
// ../lib/k3s beside its own file, or in K3S_DOUBLE_PROGRAMS, and links them there.

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
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

type child struct {
	name    string
	command *exec.Cmd
	done    chan struct{}
}

// children are started by one thread that never ends, because they are killed when that thread ends.
type children struct {
	bin      string
	requests chan func()
	mutex    sync.Mutex
	running  []*child
	ctx      context.Context
	failed   context.CancelCauseFunc
}

// newChildren also gives a context that ends when one of them does.
func newChildren(ctx context.Context, bin string) (context.Context, *children) {
	ctx, failed := context.WithCancelCause(ctx)
	made := &children{bin: bin, requests: make(chan func()), ctx: ctx, failed: failed}
	go func() {
		runtime.LockOSThread()
		for request := range made.requests {
			request()
		}
	}()
	return ctx, made
}

func (c *children) environment() []string {
	return append(os.Environ(), "PATH="+c.bin+":"+os.Getenv("PATH"))
}

func (c *children) start(name, logTo string, arguments ...string) error {
	command := exec.Command(filepath.Join(c.bin, name), arguments...)
	command.Env = c.environment()
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if logTo != "" {
		if err := os.MkdirAll(filepath.Dir(logTo), 0o755); err != nil {
			return err
		}
		opened, err := os.OpenFile(logTo, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer opened.Close()
		command.Stdout, command.Stderr = opened, opened
	}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	c.requests <- func() { started <- command.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	say("info", "Running %s", name)
	one := &child{name, command, make(chan struct{})}
	c.mutex.Lock()
	c.running = append(c.running, one)
	c.mutex.Unlock()
	go func() {
		err := command.Wait()
		close(one.done)
		if c.ctx.Err() == nil {
			say("error", "%s exited: %v", name, err)
		}
		c.failed(fmt.Errorf("%s exited: %v", name, err))
	}()
	return nil
}

// stop ends them in the reverse order, as much of it as there is time for.
func (c *children) stop() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for index := len(c.running) - 1; index >= 0; index-- {
		one := c.running[index]
		_ = one.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-one.done:
		case <-time.After(5 * time.Second):
			_ = one.command.Process.Kill()
		}
	}
}

// run is for programs that end by themselves.
func (c *children) run(ctx context.Context, environment []string, name string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(c.bin, name), arguments...)
	command.Env = append(c.environment(), environment...)
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}

func waitFor(ctx context.Context, what string, limit time.Duration, try func() error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(context.Cause(limited), err))
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func waitForAddress(ctx context.Context, network, address string) error {
	return waitFor(ctx, address, time.Minute, func() error {
		connection, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			connection.Close()
		}
		return err
	})
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
