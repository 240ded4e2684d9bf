// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// What controllers and workers have in common: their flags, places and users.
//
// Contract: k0s docs, Commands (`k0s controller`, `k0s worker`), Architecture, Environment variables, System requirements;
// k0s source, pkg/constant, for modes and names of users.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

const (
	dataDir    = "/var/lib/k0s"
	runDir     = "/run/k0s"
	pkiDir     = dataDir + "/pki"
	etcdPKI    = pkiDir + "/etcd"
	etcdData   = dataDir + "/etcd"
	adminConf  = pkiDir + "/admin.conf"
	kubelet    = dataDir + "/kubelet"
	respawn    = 5 * time.Second
	roleLabel  = "node.k0sproject.io/role"
	envToken   = "K0S_TOKEN"
	controlled = "_K0S_MANAGED=yes"
)

// users of the programs of a controller; without such a user a program runs as root.
var users = map[string]string{
	"etcd": "etcd", "kube-apiserver": "kube-apiserver", "kube-controller-manager": "kube-apiserver", "kube-scheduler": "kube-scheduler",
	"konnectivity-server": "konnectivity-server",
}

func userID(name string) uint32 {
	found, err := user.Lookup(name)
	if err != nil {
		shared.Say("warning", "failed to lookup UID for %q: %v", name, err)
		return 0
	}
	id, err := strconv.ParseUint(found.Uid, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

// options are the flags that the role k0s uses.
type options struct {
	config       string
	tokenFile    string
	tokenArg     string
	profile      string
	kubeletArgs  string
	labels       string
	taints       string
	disabled     string
	enableWorker bool
	noTaints     bool
	ignoreChecks bool
}

// Components that can be left out (k0s docs, Commands, `k0s controller --disable-components`), as far as the double has them.
var optional = []string{"coredns", "konnectivity-server", "kube-proxy", "metrics-server"}

func readOptions(given []string, controller bool) (options, error) {
	var made options
	var ignored bool
	plain, err := parse(given, func(flags *flag.FlagSet) {
		flags.StringVar(&made.tokenFile, "token-file", "", "")
		flags.StringVar(&made.profile, "profile", "default", "")
		flags.StringVar(&made.kubeletArgs, "kubelet-extra-args", "", "")
		flags.StringVar(&made.labels, "labels", "", "")
		flags.StringVar(&made.taints, "taints", "", "")
		flags.BoolVar(&made.ignoreChecks, "ignore-pre-flight-checks", false, "")
		for _, name := range []string{"debug", "d", "verbose", "v"} {
			flags.BoolVar(&ignored, name, false, "")
		}
		if controller {
			flags.StringVar(&made.config, "config", defaultConfig, "")
			flags.StringVar(&made.config, "c", defaultConfig, "")
			flags.StringVar(&made.disabled, "disable-components", "", "")
			flags.BoolVar(&made.enableWorker, "enable-worker", false, "")
			flags.BoolVar(&made.noTaints, "no-taints", false, "")
		}
	})
	if err != nil {
		return made, err
	}
	if len(plain) > 1 {
		return made, fmt.Errorf("accepts at most 1 arg(s), received %d", len(plain))
	}
	made.tokenArg = strings.Join(plain, "")
	return made, made.check()
}

func (o options) check() error {
	for _, name := range split(o.disabled) {
		if !slices.Contains(optional, name) {
			return fmt.Errorf("unknown component %s (the double knows %s)", name, strings.Join(optional, ","))
		}
	}
	sources := 0
	for _, source := range []string{o.tokenArg, o.tokenFile, os.Getenv(envToken)} {
		if source != "" {
			sources++
		}
	}
	if sources > 1 {
		return fmt.Errorf("you can only pass one token source: either as a CLI argument, via '--token-file [path]', or via the %s environment variable", envToken)
	}
	return nil
}

func (o options) without(component string) bool { return slices.Contains(split(o.disabled), component) }

func split(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(item string) bool { return item == "" })
}

// token is what the host joins with; a file that is named has to be there.
func (o options) token() (string, error) {
	if o.tokenArg != "" {
		return o.tokenArg, nil
	}
	if given := os.Getenv(envToken); given != "" || o.tokenFile == "" {
		return given, nil
	}
	content, err := os.ReadFile(o.tokenFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("failed to read token file: %w", err)
	}
	if err != nil {
		return "", fmt.Errorf("token file %q not found: obtain a new token via \"k0s token create ...\" and store it in the file", o.tokenFile)
	}
	if len(content) == 0 {
		return "", fmt.Errorf("token file %q is empty: obtain a new token via \"k0s token create ...\" and store it in the file", o.tokenFile)
	}
	return string(content), nil
}

// nodeName is the kubelet's, which may be told to override the host's.
func (o options) nodeName() (string, error) {
	for _, argument := range strings.Fields(o.kubeletArgs) {
		if name, ok := strings.CutPrefix(argument, "--hostname-override="); ok {
			return name, nil
		}
	}
	name, err := os.Hostname()
	return strings.ToLower(name), err
}

// preflight refuses hosts that no worker can run on.
func (o options) preflight() error {
	if cgroupV1() && !o.ignoreChecks {
		shared.Say("error", "Rejected: cgroup v1 is not supported")
		return errors.New("pre-flight checks failed, check out `k0s sysinfo`")
	}
	if os.Geteuid() != 0 {
		return errors.New("k0s must be run as root")
	}
	return nil
}

func makeDirectories(modes map[string]os.FileMode) error {
	for path, mode := range modes {
		if err := os.MkdirAll(path, mode); err != nil {
			return err
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
	}
	return nil
}

// startNode makes the common directories and what runs programs.
func startNode(ctx context.Context) (context.Context, *shared.Children, error) {
	err := makeDirectories(map[string]os.FileMode{dataDir: 0o755, runDir: 0o755, dataDir + "/bin": 0o755, dataDir + "/images": 0o755})
	if err != nil {
		return ctx, nil, err
	}
	ids := map[string]uint32{}
	for program, name := range users {
		ids[program] = userID(name)
	}
	ctx, children := shared.NewChildren(ctx, dataDir+"/bin", &shared.Detached{Pids: runDir, Respawn: respawn, Mark: controlled, Users: ids})
	return ctx, children, nil
}
