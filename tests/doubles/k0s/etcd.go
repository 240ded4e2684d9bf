// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// etcd. Contract: k0s docs, Architecture (etcd is elastic: a controller that joins becomes a member), Configuration options
// (spec.storage.etcd), High availability (port 2380 between controllers; clients on loopback alone), Commands (`k0s etcd member-list`).

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

const etcdURL = "https://127.0.0.1:2379"

// joined tells whether this controller is a member already: then tokens are of no use.
func joined() bool { return shared.Exists(etcdData + "/member/snap/db") }

func (c *controller) peerURL() string {
	return "https://" + net.JoinHostPort(c.config.Spec.Storage.Etcd.PeerAddress, "2380")
}

func (c *controller) etcdCertificates() error {
	ca, err := ownAuthority("etcd/ca", "etcd-ca")
	if err != nil {
		return err
	}
	for _, path := range []string{etcdPKI + "/ca.key", etcdPKI + "/ca.crt"} {
		if err := own(path, "etcd", 0o640); err != nil {
			return err
		}
	}
	local, peer := []string{"127.0.0.1", "localhost"}, c.config.Spec.Storage.Etcd.PeerAddress
	for _, one := range []certificate{
		{&ca, "apiserver-etcd-client", shared.Leaf{Name: "apiserver-etcd-client", Group: "apiserver-etcd-client", Hosts: local}, "kube-apiserver", ""},
		{&ca, "etcd/server", shared.Leaf{Name: "etcd-server", Group: "etcd-server", Hosts: local}, "etcd", ""},
		{&ca, "etcd/peer", shared.Leaf{Name: peer, Group: "etcd-peer", Hosts: []string{peer}}, "etcd", ""},
	} {
		if err := one.issue(); err != nil {
			return err
		}
	}
	return own(etcdPKI, "etcd", 0o711)
}

// etcd starts the member; `initial` is the cluster that it joins.
func (c *controller) etcd(ctx context.Context, initial []string) error {
	if err := c.etcdCertificates(); err != nil {
		return err
	}
	if err := own(etcdData, "etcd", 0o700); err != nil {
		return err
	}
	flags := arguments{
		"data-dir": etcdData, "listen-client-urls": etcdURL, "advertise-client-urls": etcdURL, "client-cert-auth": "true",
		"listen-peer-urls": c.peerURL(), "initial-advertise-peer-urls": c.peerURL(), "name": c.host, "trusted-ca-file": etcdPKI + "/ca.crt",
		"cert-file": etcdPKI + "/server.crt", "key-file": etcdPKI + "/server.key", "peer-trusted-ca-file": etcdPKI + "/ca.crt",
		"peer-cert-file": etcdPKI + "/peer.crt", "peer-key-file": etcdPKI + "/peer.key", "peer-client-cert-auth": "true", "log-level": "warn",
	}
	if len(initial) > 0 {
		flags["initial-cluster"], flags["initial-cluster-state"] = strings.Join(initial, ","), "existing"
	} else {
		flags["initial-cluster"] = c.host + "=" + c.peerURL()
	}
	spec := c.config.Spec.Storage.Etcd
	if err := c.children.Start("etcd", "", flagsOf(flags, spec.ExtraArgs, spec.RawArgs)...); err != nil {
		return err
	}
	kube, err := etcdClient()
	if err != nil {
		return err
	}
	return shared.WaitFor(ctx, "etcd", 4*time.Minute, func() error {
		_, err := kube.Do(http.MethodGet, "/health", nil)
		return err
	})
}

func etcdClient() (*shared.Kube, error) {
	return shared.NewKube(etcdURL, etcdPKI+"/ca.crt", pkiDir+"/apiserver-etcd-client")
}

type member struct {
	Name     string   `json:"name"`
	PeerURLs []string `json:"peerURLs"`
}

// askMembers goes through etcd's gateway, which takes and gives JSON.
func askMembers(kube *shared.Kube, action string, body shared.Object) ([]member, error) {
	found, err := kube.Do(http.MethodPost, "/v3/cluster/member/"+action, body)
	if err != nil {
		return nil, err
	}
	var list struct {
		Members []member `json:"members"`
	}
	encoded, err := json.Marshal(found)
	if err != nil {
		return nil, err
	}
	return list.Members, json.Unmarshal(encoded, &list)
}

// addMember gives the cluster as the new member has to know it.
func addMember(kube *shared.Kube, name, peer string) ([]string, error) {
	members, err := askMembers(kube, "add", shared.Object{"peerURLs": []string{peer}})
	if err != nil {
		return nil, err
	}
	var cluster []string
	for _, one := range members {
		if len(one.PeerURLs) == 0 {
			return nil, errors.New("a member of etcd has no address")
		}
		if one.PeerURLs[0] == peer {
			one.Name = name
		}
		cluster = append(cluster, one.Name+"="+one.PeerURLs[0])
	}
	return cluster, nil
}

func memberListCommand(_ context.Context, given []string) error {
	if err := parseAll(given, func(*flag.FlagSet) {}); err != nil {
		return err
	}
	kube, err := etcdClient()
	if err != nil {
		return fmt.Errorf("can't list etcd cluster members: %w", err)
	}
	members, err := askMembers(kube, "list", shared.Object{})
	if err != nil {
		return fmt.Errorf("can't list etcd cluster members: %w", err)
	}
	found := map[string]string{}
	for _, one := range members {
		found[one.Name] = strings.Join(one.PeerURLs, ",")
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"members": found})
}
