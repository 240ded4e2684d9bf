// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// etcd, as the embedded datastore and in SQLite's place. Contract: https://docs.k3s.io/datastore and https://docs.k3s.io/datastore/ha-embedded.

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"time"

	"sealer.invalid/doubles/shared"
)

var clusterLine = regexp.MustCompile(`ETCD_INITIAL_CLUSTER="([^"]+)"`)

// datastore starts etcd where there is one, and gives the API server's flags for it. SQLite's place is taken by an etcd of its own
// that answers on kine's socket and on no port of another host.
func (s *server) datastore(ctx context.Context) ([]string, error) {
	if endpoint := s.get("datastore-endpoint"); endpoint != "" {
		if !strings.HasPrefix(endpoint, "http://") && !strings.HasPrefix(endpoint, "https://") {
			return nil, errors.New("the double has no kine: of external datastores it knows etcd alone")
		}
		flags := []string{"--etcd-servers=" + endpoint}
		for flag, name := range map[string]string{"--etcd-cafile=": "datastore-cafile", "--etcd-certfile=": "datastore-certfile", "--etcd-keyfile=": "datastore-keyfile"} {
			if value := s.get(name); value != "" {
				flags = append(flags, flag+value)
			}
		}
		return flags, nil
	}
	if !s.embedded() {
		socket := s.path("kine.sock")
		if err := os.RemoveAll(socket); err != nil {
			return nil, err
		}
		arguments := []string{
			"--name=kine", "--data-dir=" + s.path("db", "state.db"), "--listen-client-urls=unix://" + socket, "--advertise-client-urls=http://127.0.0.1:2398",
			"--listen-peer-urls=http://127.0.0.1:2399", "--initial-advertise-peer-urls=http://127.0.0.1:2399",
			"--initial-cluster=kine=http://127.0.0.1:2399", "--log-level=warn",
		}
		if err := s.children.Start("etcd", "", arguments...); err != nil {
			return nil, err
		}
		return []string{"--etcd-servers=unix://" + socket}, shared.WaitForAddress(ctx, "unix", socket)
	}
	if err := s.startEtcd(ctx); err != nil {
		return nil, err
	}
	tls := s.path("tls", "etcd")
	return []string{
		"--etcd-servers=https://127.0.0.1:2379", "--etcd-cafile=" + tls + "/server-ca.crt", "--etcd-certfile=" + tls + "/client.crt", "--etcd-keyfile=" + tls + "/client.key",
	}, shared.WaitForAddress(ctx, "tcp", "127.0.0.1:2379")
}

func (s *server) startEtcd(ctx context.Context) error {
	tls, peer := s.path("tls", "etcd"), "https://"+s.address+":2380"
	member, err := shared.FirstLine(s.path("db", "etcd", "name"))
	if err != nil {
		return err
	}
	// With data, both are passed over.
	cluster, state := member+"="+peer, "new"
	if member == "" {
		member = s.name + "-" + shared.RandomHex(4)
		cluster = member + "=" + peer
		if s.joining != nil {
			if cluster, err = s.addMember(ctx, member, peer); err != nil {
				return err
			}
			state = "existing"
		}
		if err := shared.WriteFile(s.path("db", "etcd", "name"), member+"\n", 0o600); err != nil {
			return err
		}
	}
	arguments := []string{
		"--name=" + member, "--data-dir=" + s.path("db", "etcd"), "--listen-client-urls=https://127.0.0.1:2379,https://" + s.address + ":2379",
		"--advertise-client-urls=https://" + s.address + ":2379", "--listen-peer-urls=https://127.0.0.1:2380," + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=" + cluster, "--initial-cluster-state=" + state, "--listen-metrics-urls=http://127.0.0.1:2381", "--log-level=warn",
		"--client-cert-auth", "--trusted-ca-file=" + tls + "/server-ca.crt", "--cert-file=" + tls + "/server-client.crt", "--key-file=" + tls + "/server-client.key",
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + tls + "/peer-ca.crt", "--peer-cert-file=" + tls + "/peer-server-client.crt",
		"--peer-key-file=" + tls + "/peer-server-client.key",
	}
	return s.children.Start("etcd", "", append(arguments, extra(s.all("etcd-arg"))...)...)
}

func (s *server) etcdctl(ctx context.Context, endpoints string, arguments ...string) (string, error) {
	tls := s.path("tls", "etcd")
	given := []string{"--endpoints=" + endpoints, "--cacert=" + tls + "/server-ca.crt", "--cert=" + tls + "/client.crt", "--key=" + tls + "/client.key"}
	return s.children.Run(ctx, nil, "etcdctl", append(given, arguments...)...)
}

func (s *server) addMember(ctx context.Context, member, peer string) (string, error) {
	var endpoints []string
	if err := s.joining.fetch("/db/info", &endpoints); err != nil {
		return "", err
	}
	var cluster string
	err := shared.WaitFor(ctx, "etcd to take "+member, 2*time.Minute, func() error {
		said, err := s.etcdctl(ctx, strings.Join(endpoints, ","), "member", "add", member, "--peer-urls="+peer)
		if found := clusterLine.FindStringSubmatch(said); err == nil && found != nil {
			cluster = found[1]
			return nil
		}
		return errors.Join(err, errors.New(said))
	})
	return cluster, err
}
