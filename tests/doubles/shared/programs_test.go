// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package shared

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func eventually(t *testing.T, what string, try func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !try(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

func detached(t *testing.T) (*Children, func() string) {
	t.Helper()
	directory := t.TempDir()
	_, made := NewChildren(t.Context(), directory, &Detached{Pids: directory, Respawn: 10 * time.Millisecond, Mark: "_DOUBLE=" + directory})
	return made, func() string {
		text, err := FirstLine(filepath.Join(directory, "sleep.pid"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

func TestAProgramsEndIsTheEndOfAll(t *testing.T) {
	ctx, made := NewChildren(context.Background(), t.TempDir(), nil)
	if err := made.Start("sleep", "", "3600"); err != nil {
		t.Fatal(err)
	}
	if err := made.Start("false", ""); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if why := context.Cause(ctx).Error(); why != "false exited: exit status 1" {
		t.Error(why)
	}
	made.Stop()
}

func TestDetachedProgramsComeBackUntilTheyAreStopped(t *testing.T) {
	made, pid := detached(t)
	if err := made.Start("sleep", "", "0.05"); err != nil {
		t.Fatal(err)
	}
	first := pid()
	eventually(t, "it did not come back", func() bool { return pid() != "" && pid() != first })
	made.StopOne("sleep")
	eventually(t, "it came back all the same", func() bool { return pid() == "" })
}

func TestWhatAnEarlierDoubleLeftIsEndedAndNothingElse(t *testing.T) {
	for mark, ends := range map[string]bool{"": true, "another": false} {
		made, _ := detached(t)
		left := exec.Command("sleep", "3600")
		left.Env = []string{made.Detached.Mark + mark}
		if err := left.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- left.Wait() }()
		if err := WriteFile(filepath.Join(made.Detached.Pids, "sleep.pid"), fmt.Sprintln(left.Process.Pid), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := made.Start("sleep", "", "3600"); err != nil {
			t.Fatal(err)
		}
		made.Stop()
		if !ends {
			if len(ended) > 0 {
				t.Error("somebody else's program was ended")
			}
			_ = left.Process.Kill()
		}
		<-ended
	}
}
