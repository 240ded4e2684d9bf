// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// What a worker reads of its cluster: the ConfigMap of its profile. Contract: k0s source, pkg/component/worker/config: the last one
// known is kept in /var/lib/k0s/worker-profile.yaml; where nodes have balancers, its API servers are asked besides that of the kubeconfig.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"gopkg.in/yaml.v3"
	"sealer.invalid/doubles/shared"
)

const profileCache = dataDir + "/worker-profile.yaml"

// workerProfileData has the keys of the ConfigMap's data, each of which is JSON.
type workerProfileData struct {
	Kubelet      shared.Object `json:"kubeletConfiguration"`
	Pause        imageSpec     `json:"pauseImage"`
	Servers      []string      `json:"apiServerAddresses,omitempty"`
	Balancer     balancerSpec  `json:"nodeLocalLoadBalancing"`
	Konnectivity struct {
		Enabled   bool `json:"enabled,omitempty"`
		AgentPort int  `json:"agentPort,omitempty"`
	} `json:"konnectivity"`
}

// configMap turns each key into a text.
func (d workerProfileData) configMap() (shared.Object, error) {
	encoded, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(encoded, &keys); err != nil {
		return nil, err
	}
	data := shared.Object{}
	for key, value := range keys {
		data[key] = string(value)
	}
	return data, nil
}

func profileOf(data shared.Object) (workerProfileData, error) {
	keys := map[string]json.RawMessage{}
	for key, value := range data {
		text, _ := value.(string)
		keys[key] = json.RawMessage(text)
	}
	var found workerProfileData
	encoded, err := json.Marshal(keys)
	if err != nil {
		return found, err
	}
	return found, json.Unmarshal(encoded, &found)
}

// cachedProfile is YAML for k0s' sake: the name of the profile and the data of its ConfigMap.
type cachedProfile struct {
	Name string        `yaml:"name"`
	Data shared.Object `yaml:"data"`
}

// cachedServers are those of balanced nodes; without a cache there are none.
func cachedServers() []string {
	content, err := os.ReadFile(profileCache)
	if err != nil {
		return nil
	}
	var cached cachedProfile
	if err := yaml.Unmarshal(content, &cached); err != nil {
		shared.Say("error", "Failed to load previous worker configuration: %v", err)
		return nil
	}
	found, err := profileOf(cached.Data)
	if err != nil || !found.Balancer.Enabled {
		return nil
	}
	return found.Servers
}

// keep is for the time when no API server that a kubeconfig names is there.
func (n *node) keep(told workerProfileData) error {
	data, err := told.configMap()
	if err != nil {
		return err
	}
	content, err := yaml.Marshal(cachedProfile{n.profile, data})
	if err != nil {
		return err
	}
	return shared.WriteFile(profileCache, string(content), 0o644)
}

// readProfile asks one API server.
func (n *node) readProfile(api *shared.Kube) (workerProfileData, error) {
	found, err := api.Do(http.MethodGet, "/api/v1/namespaces/kube-system/configmaps/"+profileName(n.profile), nil)
	if err != nil {
		return workerProfileData{}, err
	}
	data, _ := found["data"].(shared.Object)
	return profileOf(data)
}

// anyProfile is what the first of several API servers says, all asked at once.
func (n *node) anyProfile(servers []string) (workerProfileData, error) {
	type answer struct {
		told workerProfileData
		err  error
	}
	answers := make(chan answer, len(servers))
	for _, server := range servers {
		go func() {
			api, err := kubeOf(kubeletConf)
			if err != nil {
				answers <- answer{err: err}
				return
			}
			if server != "" {
				api.URL = "https://" + server
			}
			told, err := n.readProfile(api)
			answers <- answer{told, err}
		}()
	}
	var failed []error
	for range servers {
		one := <-answers
		if one.err == nil {
			return one.told, nil
		}
		failed = append(failed, one.err)
	}
	return workerProfileData{}, errors.Join(failed...)
}

// loadProfile reads what the cluster wants of workers with this profile.
func (n *node) loadProfile(ctx context.Context) error {
	servers := append(cachedServers(), "")
	err := shared.WaitFor(ctx, "the worker profile "+n.profile, time.Minute, func() error {
		var failed error
		n.wanted, failed = n.anyProfile(servers)
		return failed
	})
	var status shared.StatusError
	if errors.As(err, &status) && status.Code == http.StatusUnauthorized {
		return fmt.Errorf("the k0s worker node credentials are invalid, the node needs to be rejoined into the cluster with a fresh bootstrap token: %w", err)
	}
	if err != nil {
		return err
	}
	n.pause = n.wanted.Pause.Image + ":" + n.wanted.Pause.Version
	return n.keep(n.wanted)
}
