// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Configuration: command line, configuration file with drop-ins, environment.
//
// Contract: https://docs.k3s.io/installation/configuration#configuration-file: the file's keys are the flags' names, lists are
// repeated flags; `config.yaml.d/*.yaml` comes after it in alphabetical order; the last value of a key counts, unless the key
// ends in `+`; the command line goes before all files. An unknown key ends an agent with "flag provided but not defined"
// (https://github.com/k3s-io/k3s/issues/6565). A server passes over it with a warning (https://github.com/k3s-io/k3s/pull/4464);
// the double is stricter and refuses it there, too, so that a wrong key is a failed test.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

type settings struct {
	command string
	values  map[string][]string
	known   map[string]flag
}

func (s settings) all(name string) []string {
	if _, ok := s.known[name]; !ok {
		panic("no flag " + name + " of " + s.command)
	}
	if given, ok := s.values[name]; ok {
		return given
	}
	if initial := s.known[name].initial; initial != "" {
		return []string{initial}
	}
	return nil
}

func (s settings) get(name string) string {
	all := s.all(name)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

func (s settings) on(name string) bool { return s.get(name) == "true" }

// split is for lists whose items may be joined by commas.
func (s settings) split(name string) []string {
	var found []string
	for _, one := range s.all(name) {
		for _, item := range strings.Split(one, ",") {
			if item != "" {
				found = append(found, item)
			}
		}
	}
	return found
}

func readSettings(command string, arguments []string, environ func(string) string) (settings, error) {
	made := settings{command, map[string][]string{}, flagsOf(command)}
	given, err := parseArguments(made.known, arguments)
	if err != nil {
		return made, err
	}
	for name, known := range made.known {
		if value := environ(known.env); known.env != "" && value != "" {
			made.values[name] = []string{value}
		}
	}
	path, asked := defaults["config"], false
	for _, source := range []map[string][]string{made.values, given} {
		if value, ok := source["config"]; ok {
			path, asked = value[len(value)-1], true
		}
	}
	filed, err := readFiles(path, asked)
	if err != nil {
		return made, err
	}
	for _, source := range []map[string][]string{filed, given} {
		for name, value := range source {
			made.values[name] = value
		}
	}
	return made, made.check()
}

func (s settings) check() error {
	names := make([]string, 0, len(s.values))
	for name := range s.values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		known, ok := s.known[name]
		if !ok {
			return fmt.Errorf("flag provided but not defined: -%s", name)
		}
		if known.kind != list && len(s.values[name]) > 1 {
			s.values[name] = s.values[name][len(s.values[name])-1:]
		}
		for _, value := range s.values[name] {
			if _, err := strconv.Atoi(value); known.kind == number && err != nil {
				return fmt.Errorf("invalid value %q for flag -%s: parse error", value, name)
			}
			if _, err := strconv.ParseBool(value); known.kind == boolean && err != nil {
				return fmt.Errorf("invalid boolean value %q for -%s: parse error", value, name)
			}
		}
	}
	return nil
}

func parseArguments(known map[string]flag, arguments []string) (map[string][]string, error) {
	found := map[string][]string{}
	for index := 0; index < len(arguments); index++ {
		if !strings.HasPrefix(arguments[index], "-") {
			return nil, fmt.Errorf("unexpected argument %q", arguments[index])
		}
		name, value, joined := strings.Cut(strings.TrimLeft(arguments[index], "-"), "=")
		if long, ok := shortNames[name]; ok {
			name = long
		}
		one, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("flag provided but not defined: -%s", name)
		}
		if !joined {
			value = "true"
			if one.kind != boolean {
				index++
				if index == len(arguments) {
					return nil, fmt.Errorf("flag needs an argument: -%s", name)
				}
				value = arguments[index]
			}
		}
		found[name] = append(found[name], value)
	}
	return found, nil
}

func readFiles(path string, asked bool) (map[string][]string, error) {
	found, appended := map[string][]string{}, map[string]bool{}
	paths, err := filepath.Glob(path + ".d/*.y*ml")
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	for index, one := range append([]string{path}, paths...) {
		content, err := os.ReadFile(one)
		if index == 0 && !asked && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		document := map[string]any{}
		if err := yaml.Unmarshal(content, &document); err != nil {
			return nil, fmt.Errorf("%s: %w", one, err)
		}
		for key, value := range document {
			name, more := strings.CutSuffix(key, "+")
			if long, ok := shortNames[name]; ok {
				name = long
			}
			values, err := words(value)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", one, key, err)
			}
			if more {
				values = append(found[name], values...)
			} else if appended[name] {
				return nil, fmt.Errorf("%s: %s: the key was appended to before, so it needs a + here as well", one, key)
			}
			found[name], appended[name] = values, more
		}
	}
	return found, nil
}

func words(value any) ([]string, error) {
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}
	found := make([]string, 0, len(items))
	for _, item := range items {
		switch item.(type) {
		case map[string]any, []any, nil:
			return nil, fmt.Errorf("%v is neither a value nor a list of values", item)
		}
		found = append(found, fmt.Sprint(item))
	}
	return found, nil
}
