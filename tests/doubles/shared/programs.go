// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package shared

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

const patience = 5 * time.Second

// Children are the programs that a double runs. They are started by one thread that never ends, because they are killed when
// that thread ends, unless they are on their own.
type Children struct {
	// Bin is looked in before PATH.
	Bin string
	// Detached is set where programs are on their own.
	Detached *Detached
	// Failed ends the context with a reason.
	Failed   context.CancelCauseFunc
	requests chan func()
	mutex    sync.Mutex
	running  []*child
	ctx      context.Context
}

// Detached programs outlive the double that is killed, are not killed where they do not end in time, and come back when they end.
type Detached struct {
	// Pids has NAME.pid for each program.
	Pids string
	// Respawn is how long one that ended stays away.
	Respawn time.Duration
	// Mark is a variable of their environment that tells them from others.
	Mark string
	// Users tells whom a program runs as, if not as the double's user.
	Users map[string]uint32
}

type child struct {
	name      string
	log       string
	arguments []string
	command   *exec.Cmd
	given     context.Context
	end       context.CancelFunc
	done      chan struct{}
}

// NewChildren also gives a context that ends when one of them does, if that is to end the rest.
func NewChildren(ctx context.Context, bin string, detached *Detached) (context.Context, *Children) {
	ctx, failed := context.WithCancelCause(ctx)
	made := &Children{Bin: bin, Detached: detached, requests: make(chan func()), ctx: ctx, Failed: failed}
	go func() {
		runtime.LockOSThread()
		for request := range made.requests {
			request()
		}
	}()
	return ctx, made
}

func (c *Children) environment() []string {
	return append(os.Environ(), "PATH="+c.Bin+":"+os.Getenv("PATH"))
}

// Program is the path of a program.
func (c *Children) Program(name string) (string, error) {
	if own := filepath.Join(c.Bin, name); Exists(own) {
		return own, nil
	}
	return exec.LookPath(name)
}

// Start runs a program until Stop; what it says goes to a file, or to where the double's own log goes.
func (c *Children) Start(name, logTo string, arguments ...string) error {
	given, end := context.WithCancel(c.ctx)
	one := &child{name: name, log: logTo, arguments: arguments, given: given, end: end, done: make(chan struct{})}
	if err := c.endLeftOver(name); err != nil {
		return err
	}
	if err := c.launch(one); err != nil {
		return err
	}
	c.mutex.Lock()
	c.running = append(c.running, one)
	c.mutex.Unlock()
	go c.keep(one)
	return nil
}

func (c *Children) launch(one *child) error {
	program, err := c.Program(one.name)
	if err != nil {
		return err
	}
	command := exec.Command(program, one.arguments...)
	command.Env, command.Stdout, command.Stderr = c.environment(), os.Stderr, os.Stderr
	if one.log != "" {
		opened, err := openLog(one.log)
		if err != nil {
			return err
		}
		defer opened.Close()
		command.Stdout, command.Stderr = opened, opened
	}
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if own := c.Detached; own != nil {
		command.Env = append(command.Env, own.Mark)
		command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if user, ok := own.Users[one.name]; ok {
			command.SysProcAttr.Credential = &syscall.Credential{Uid: user}
		}
	}
	started := make(chan error)
	c.requests <- func() { started <- command.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("%s: %w", one.name, err)
	}
	Say("info", "Running %s", one.name)
	c.mutex.Lock()
	one.command = command
	c.mutex.Unlock()
	if c.Detached == nil {
		return nil
	}
	return WriteFile(c.pidFile(one.name), fmt.Sprintln(command.Process.Pid), 0o644)
}

func openLog(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

func (c *Children) pidFile(name string) string { return filepath.Join(c.Detached.Pids, name+".pid") }

// keep waits for a program's end, and starts it again where it is to come back.
func (c *Children) keep(one *child) {
	defer close(one.done)
	for {
		err := one.command.Wait()
		if one.given.Err() == nil {
			Say("error", "%s exited: %v", one.name, err)
		}
		if c.Detached == nil {
			c.Failed(fmt.Errorf("%s exited: %v", one.name, err))
			return
		}
		_ = os.Remove(c.pidFile(one.name))
		for {
			select {
			case <-one.given.Done():
				return
			case <-time.After(c.Detached.Respawn):
			}
			if err = c.launch(one); err == nil {
				break
			}
			Say("error", "%s: %v", one.name, err)
		}
	}
}

// endLeftOver ends what an earlier double that was killed has left of this program.
func (c *Children) endLeftOver(name string) error {
	if c.Detached == nil {
		return nil
	}
	text, err := FirstLine(c.pidFile(name))
	if err != nil || text == "" {
		return err
	}
	environment, err := os.ReadFile("/proc/" + text + "/environ")
	if err != nil || !slices.Contains(strings.Split(string(environment), "\x00"), c.Detached.Mark) {
		return nil
	}
	var pid int
	if _, err := fmt.Sscan(text, &pid); err != nil {
		return err
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	return WaitFor(c.ctx, "the end of an earlier "+name, time.Minute, func() error {
		if Exists("/proc/" + text) {
			return errors.New("it still runs")
		}
		return nil
	})
}

// Stop ends them in the reverse order, as much of it as there is time for.
func (c *Children) Stop() {
	c.mutex.Lock()
	running := slices.Clone(c.running)
	c.mutex.Unlock()
	for index := len(running) - 1; index >= 0; index-- {
		c.end(running[index])
	}
}

// StopOne ends one of them for good.
func (c *Children) StopOne(name string) {
	c.mutex.Lock()
	var ending []*child
	c.running = slices.DeleteFunc(c.running, func(one *child) bool {
		if one.name == name {
			ending = append(ending, one)
		}
		return one.name == name
	})
	c.mutex.Unlock()
	for _, one := range ending {
		c.end(one)
	}
}

// Signal one of them.
func (c *Children) Signal(name string, signal syscall.Signal) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, one := range c.running {
		if one.name == name {
			_ = one.command.Process.Signal(signal)
		}
	}
}

func (c *Children) end(one *child) {
	one.end()
	c.mutex.Lock()
	process := one.command.Process
	c.mutex.Unlock()
	_ = process.Signal(syscall.SIGTERM)
	select {
	case <-one.done:
	case <-time.After(patience):
		if c.Detached == nil {
			_ = process.Kill()
		}
	}
}

// Run is for programs that end by themselves.
func (c *Children) Run(ctx context.Context, environment []string, name string, arguments ...string) (string, error) {
	program, err := c.Program(name)
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = append(c.environment(), environment...)
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}

// WaitFor tries again and again, for so long.
func WaitFor(ctx context.Context, what string, limit time.Duration, try func() error) error {
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

// WaitForAddress waits until somebody listens there.
func WaitForAddress(ctx context.Context, network, address string) error {
	return WaitFor(ctx, address, time.Minute, func() error {
		connection, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			connection.Close()
		}
		return err
	})
}
