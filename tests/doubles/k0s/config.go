// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// k0s.yaml. Contract: k0s docs, Configuration options (every key below `spec`), and k0s docs, Configuration validation: an unknown
// key is an error, also at the start of a controller.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

const defaultConfig = "/etc/k0s/k0s.yaml"

type arguments = map[string]string

type clusterConfig struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       clusterSpec    `json:"spec"`
}

type clusterSpec struct {
	API               apiSpec         `json:"api"`
	ControllerManager programSpec     `json:"controllerManager"`
	Scheduler         programSpec     `json:"scheduler"`
	Storage           storageSpec     `json:"storage"`
	Network           networkSpec     `json:"network"`
	WorkerProfiles    []workerProfile `json:"workerProfiles,omitempty"`
	Telemetry         struct {
		Enabled *bool `json:"enabled,omitempty"`
	} `json:"telemetry"`
	InstallConfig struct {
		Users usersSpec `json:"users"`
	} `json:"installConfig"`
	Images       imagesSpec     `json:"images"`
	Extensions   extensionsSpec `json:"extensions"`
	Konnectivity struct {
		AdminPort       int    `json:"adminPort"`
		AgentPort       int    `json:"agentPort"`
		ExternalAddress string `json:"externalAddress,omitempty"`
	} `json:"konnectivity"`
	FeatureGates []struct {
		Name       string   `json:"name"`
		Enabled    bool     `json:"enabled"`
		Components []string `json:"components,omitempty"`
	} `json:"featureGates,omitempty"`
}

type caSpec struct {
	ExpiresAfter            string `json:"expiresAfter,omitempty"`
	CertificatesExpireAfter string `json:"certificatesExpireAfter,omitempty"`
}

type apiSpec struct {
	Address           string    `json:"address"`
	OnlyBindToAddress bool      `json:"onlyBindToAddress,omitempty"`
	ExternalAddress   string    `json:"externalAddress,omitempty"`
	ExtraArgs         arguments `json:"extraArgs,omitempty"`
	RawArgs           []string  `json:"rawArgs,omitempty"`
	K0sAPIPort        int       `json:"k0sApiPort"`
	Port              int       `json:"port"`
	SANs              []string  `json:"sans,omitempty"`
	CA                caSpec    `json:"ca"`
}

type programSpec struct {
	ExtraArgs arguments `json:"extraArgs,omitempty"`
	RawArgs   []string  `json:"rawArgs,omitempty"`
}

type storageSpec struct {
	Type string `json:"type"`
	Etcd struct {
		ExternalCluster *struct {
			Endpoints      []string `json:"endpoints"`
			EtcdPrefix     string   `json:"etcdPrefix,omitempty"`
			CaFile         string   `json:"caFile,omitempty"`
			ClientCertFile string   `json:"clientCertFile,omitempty"`
			ClientKeyFile  string   `json:"clientKeyFile,omitempty"`
		} `json:"externalCluster,omitempty"`
		PeerAddress string    `json:"peerAddress"`
		ExtraArgs   arguments `json:"extraArgs,omitempty"`
		RawArgs     []string  `json:"rawArgs,omitempty"`
		CA          caSpec    `json:"ca"`
	} `json:"etcd"`
	Kine *struct {
		DataSource string    `json:"dataSource,omitempty"`
		ExtraArgs  arguments `json:"extraArgs,omitempty"`
		RawArgs    []string  `json:"rawArgs,omitempty"`
	} `json:"kine,omitempty"`
}

type networkSpec struct {
	Calico    map[string]any `json:"calico,omitempty"`
	DualStack struct {
		Enabled         bool   `json:"enabled"`
		IPv6PodCIDR     string `json:"IPv6podCIDR,omitempty"`
		IPv6ServiceCIDR string `json:"IPv6serviceCIDR,omitempty"`
	} `json:"dualStack"`
	KubeProxy struct {
		Disabled           bool           `json:"disabled,omitempty"`
		Mode               string         `json:"mode"`
		MetricsBindAddress string         `json:"metricsBindAddress,omitempty"`
		IPTables           map[string]any `json:"iptables,omitempty"`
		IPVS               map[string]any `json:"ipvs,omitempty"`
		NFTables           map[string]any `json:"nftables,omitempty"`
		NodePortAddresses  []string       `json:"nodePortAddresses,omitempty"`
		ExtraArgs          arguments      `json:"extraArgs,omitempty"`
		RawArgs            []string       `json:"rawArgs,omitempty"`
	} `json:"kubeProxy"`
	KubeRouter                map[string]any `json:"kuberouter,omitempty"`
	NodeLocalLoadBalancing    balancerSpec   `json:"nodeLocalLoadBalancing"`
	ControlPlaneLoadBalancing *struct {
		Enabled    bool           `json:"enabled"`
		Type       string         `json:"type,omitempty"`
		Keepalived map[string]any `json:"keepalived,omitempty"`
	} `json:"controlPlaneLoadBalancing,omitempty"`
	PodCIDR              string `json:"podCIDR"`
	Provider             string `json:"provider"`
	ServiceCIDR          string `json:"serviceCIDR"`
	ClusterDomain        string `json:"clusterDomain"`
	PrimaryAddressFamily string `json:"primaryAddressFamily,omitempty"`
}

type workerProfile struct {
	Name   string         `json:"name"`
	Values map[string]any `json:"values,omitempty"`
}

type usersSpec struct {
	Etcd          string `json:"etcdUser,omitempty"`
	Kine          string `json:"kineUser,omitempty"`
	Konnectivity  string `json:"konnectivityUser,omitempty"`
	KubeAPIServer string `json:"kubeAPIserverUser,omitempty"`
	KubeScheduler string `json:"kubeSchedulerUser,omitempty"`
}

type imageSpec struct {
	Image   string `json:"image"`
	Version string `json:"version"`
}

type imagesSpec struct {
	Konnectivity      imageSpec      `json:"konnectivity"`
	PushGateway       *imageSpec     `json:"pushgateway,omitempty"`
	MetricsServer     *imageSpec     `json:"metricsserver,omitempty"`
	KubeProxy         imageSpec      `json:"kubeproxy"`
	CoreDNS           imageSpec      `json:"coredns"`
	Pause             imageSpec      `json:"pause"`
	Windows           map[string]any `json:"windows,omitempty"`
	Calico            map[string]any `json:"calico,omitempty"`
	KubeRouter        map[string]any `json:"kuberouter,omitempty"`
	Repository        string         `json:"repository,omitempty"`
	DefaultPullPolicy string         `json:"default_pull_policy"`
}

type extensionsSpec struct {
	Storage map[string]any `json:"storage,omitempty"`
	Helm    *struct {
		ConcurrencyLevel int              `json:"concurrencyLevel,omitempty"`
		Repositories     []map[string]any `json:"repositories,omitempty"`
		Charts           []map[string]any `json:"charts,omitempty"`
	} `json:"helm,omitempty"`
}

// defaultedConfig has the values of the column "Default" of the same page; the address is that of the default route.
func defaultedConfig() clusterConfig {
	made := clusterConfig{APIVersion: "k0s.k0sproject.io/v1beta1", Kind: "ClusterConfig", Metadata: map[string]any{"name": "k0s", "namespace": "kube-system"}}
	spec := &made.Spec
	// Nothing is sent. A host without a default route has to name its address.
	if connection, err := net.Dial("udp", "192.0.2.1:9"); err == nil {
		spec.API.Address = connection.LocalAddr().(*net.UDPAddr).IP.String()
		connection.Close()
	}
	spec.API.Port, spec.API.K0sAPIPort = 6443, 9443
	spec.Konnectivity.AgentPort, spec.Konnectivity.AdminPort = 8132, 8133
	spec.Storage.Type = "etcd"
	spec.Network.Provider, spec.Network.ClusterDomain = "kuberouter", "cluster.local"
	spec.Network.PodCIDR, spec.Network.ServiceCIDR = "10.244.0.0/16", "10.96.0.0/12"
	spec.Network.KubeProxy.Mode = "iptables"
	spec.Network.NodeLocalLoadBalancing = balancerSpec{Type: "EnvoyProxy", EnvoyProxy: envoySpec{
		Image: imageSpec{"quay.io/k0sproject/envoy-distroless", "v1.37.2"}, APIServerPort: 7443, KonnectivityPort: 7132,
	}}
	spec.Images = imagesSpec{
		Konnectivity:      imageSpec{"quay.io/k0sproject/apiserver-network-proxy-agent", "v0.34.0-k0s.2"},
		KubeProxy:         imageSpec{"quay.io/k0sproject/kube-proxy", "v1.35.4"},
		CoreDNS:           imageSpec{"quay.io/k0sproject/coredns", "1.14.2-0"},
		Pause:             imageSpec{"quay.io/k0sproject/pause", "3.10.1"},
		DefaultPullPolicy: "IfNotPresent",
	}
	return made
}

// parseConfig takes YAML; messages about it are those of its JSON, as k0s' are.
func parseConfig(content []byte) (clusterConfig, error) {
	made := defaultedConfig()
	var document any
	if err := yaml.Unmarshal(content, &document); err != nil {
		return made, err
	}
	if document != nil {
		encoded, err := json.Marshal(document)
		if err != nil {
			return made, fmt.Errorf("error converting YAML to JSON: %w", err)
		}
		decoder := json.NewDecoder(bytes.NewReader(encoded))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&made); err != nil {
			return made, fmt.Errorf("error unmarshaling JSON: while decoding JSON: %w", err)
		}
	}
	if made.Spec.Storage.Etcd.PeerAddress == "" {
		made.Spec.Storage.Etcd.PeerAddress = made.Spec.API.Address
	}
	return made, nil
}

// readConfig of a controller: without a file at the usual place there are defaults alone.
func readConfig(path string) (clusterConfig, error) {
	content, err := os.ReadFile(path)
	if err != nil && (path != defaultConfig || !errors.Is(err, fs.ErrNotExist)) {
		return clusterConfig{}, err
	}
	return parseConfig(content)
}

func validateCommand(_ context.Context, given []string) error {
	path := ""
	err := parseAll(given, func(flags *flag.FlagSet) {
		flags.StringVar(&path, "config", "", "")
		flags.StringVar(&path, "c", "", "")
	})
	if err != nil {
		return err
	}
	if path == "" {
		return errors.New(`required flag(s) "config" not set`)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("failed to read configuration file: %w", err)
	}
	found, err := parseConfig(content)
	if err != nil {
		return fmt.Errorf("failed to parse configuration: %w", err)
	}
	return found.validate()
}

func (s apiSpec) url() string {
	host, port := s.Address, fmt.Sprint(s.Port)
	if s.ExternalAddress != "" {
		host = s.ExternalAddress
		if name, given, err := net.SplitHostPort(s.ExternalAddress); err == nil {
			host, port = name, given
		}
	}
	return "https://" + net.JoinHostPort(host, port)
}

func (s apiSpec) externalHost() string {
	if name, _, err := net.SplitHostPort(s.ExternalAddress); err == nil {
		return name
	}
	return s.ExternalAddress
}

// joinURL is where controllers join; a port in externalAddress is the API server's.
func (s apiSpec) joinURL() string {
	host := s.Address
	if s.ExternalAddress != "" {
		host = s.externalHost()
	}
	return "https://" + net.JoinHostPort(host, fmt.Sprint(s.K0sAPIPort))
}

// from another repository, where one is given (k0s docs, Configuration options, spec.images.repository).
func (s imagesSpec) from(of imageSpec) imageSpec {
	if s.Repository != "" {
		_, path, _ := strings.Cut(of.Image, "/")
		of.Image = s.Repository + "/" + path
	}
	return of
}

func (s imagesSpec) name(of imageSpec) string {
	from := s.from(of)
	return from.Image + ":" + from.Version
}
