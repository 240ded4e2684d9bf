// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// Leases of controllers. Contract: k0s source, pkg/component/controller/controllersleasecounter.go and pkg/leaderelection: each
// controller holds k0s-ctrl-NAME in kube-node-lease for 60 seconds at a time and lets go of it when it stops; a lease counts while it
// has a holder and is not older than that. One of them leads: it holds k0s-endpoint-reconciler.

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"sealer.invalid/doubles/shared"
)

const (
	leasesPath   = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
	leaseSeconds = 60
	leasePeriod  = 5 * time.Second
	leaseTime    = "2006-01-02T15:04:05.000000Z"
)

// hold keeps a lease until the context ends, if nobody else has it; what it gives tells whether it does.
func (c *controller) hold(ctx context.Context, name string) *atomic.Bool {
	var held atomic.Bool
	try := func() {
		got, err := c.renew(name)
		if err != nil {
			shared.Say("warning", "lease %s: %v", name, err)
		}
		held.Store(err == nil && got)
	}
	try()
	c.leases.Add(1)
	go func() {
		defer c.leases.Done()
		for {
			select {
			case <-time.After(leasePeriod):
				try()
			case <-ctx.Done():
				if held.Load() {
					c.release(name)
				}
				return
			}
		}
	}()
	return &held
}

func specOf(lease shared.Object) shared.Object {
	spec, _ := lease["spec"].(shared.Object)
	return spec
}

// living tells whether a lease has a holder that renewed it in time.
func living(lease shared.Object, now time.Time) bool {
	spec := specOf(lease)
	holder, _ := spec["holderIdentity"].(string)
	renewed, _ := spec["renewTime"].(string)
	seconds, _ := spec["leaseDurationSeconds"].(float64)
	moment, err := time.Parse(time.RFC3339, renewed)
	return holder != "" && err == nil && now.Before(moment.Add(time.Duration(seconds)*time.Second))
}

func (c *controller) renew(name string) (bool, error) {
	now := time.Now().UTC()
	spec := shared.Object{"holderIdentity": c.identity, "leaseDurationSeconds": leaseSeconds, "renewTime": now.Format(leaseTime), "acquireTime": now.Format(leaseTime)}
	found, err := c.kube.Do(http.MethodGet, leasesPath+"/"+name, nil)
	var status shared.StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		_, err = c.kube.Do(http.MethodPost, leasesPath, shared.Object{
			"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": shared.Object{"name": name}, "spec": spec,
		})
		return err == nil, err
	}
	if err != nil {
		return false, err
	}
	mine := specOf(found)["holderIdentity"] == c.identity
	if !mine && living(found, now) {
		return false, nil
	}
	if mine {
		spec["acquireTime"] = specOf(found)["acquireTime"]
	}
	found["spec"] = spec
	_, err = c.kube.Do(http.MethodPut, leasesPath+"/"+name, found)
	return err == nil, err
}

func (c *controller) release(name string) {
	_, err := c.kube.Do(http.MethodPatch, leasesPath+"/"+name, shared.Object{"spec": shared.Object{"holderIdentity": "", "leaseDurationSeconds": 1}})
	if err != nil {
		shared.Say("warning", "lease %s: %v", name, err)
	}
}

// controllers counts those that live.
func (c *controller) controllers() (int, error) {
	found, err := c.kube.Do(http.MethodGet, leasesPath, nil)
	count := 0
	for _, lease := range shared.ItemsOf(found) {
		if strings.HasPrefix(shared.NameOf(lease), "k0s-ctrl-") && living(lease, time.Now()) {
			count++
		}
	}
	return count, err
}
