// Copyright (c) 2026, sealer.cluster contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

// What a controller looks after while it runs. Contract: k0s docs, Autopilot (ControlNode objects), Control plane nodes (the label of
// nodes that are controllers, too); k0s source, pkg/component/controller: k0s approves the certificates that kubelets serve with, and
// starts konnectivity-server anew when there are more or fewer controllers.

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"sealer.invalid/doubles/shared"
)

func (c *controller) reconcile(ctx context.Context, leads *atomic.Bool) {
	applied, written, registered := map[string]string{}, "", false
	for ctx.Err() == nil {
		var failed []error
		if count, err := c.controllers(); err == nil && count > 0 && count != c.count {
			c.count = count
			c.children.StopOne("konnectivity-server")
			failed = append(failed, c.konnectivity())
		}
		if leads.Load() {
			failed = append(failed, c.findServers())
			if wanted := fmt.Sprint(c.count, c.servers); written != wanted {
				failed = append(failed, c.writeStacks())
				written = wanted
			}
			failed = append(failed, c.apply(ctx, applied), c.approve(), c.labelNodes())
		}
		if !registered {
			err := c.registerController()
			registered = err == nil
			failed = append(failed, err)
		}
		if err := errors.Join(failed...); err != nil && ctx.Err() == nil {
			shared.Say("warning", "reconciling: %v", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

const controlNodes = "/apis/autopilot.k0sproject.io/v1beta2/controlnodes"

// findServers has workers know of all API servers that live; none at all cannot be right.
func (c *controller) findServers() error {
	found, err := c.kube.Addresses()
	if err == nil && len(found) > 0 {
		slices.Sort(found)
		c.servers = found
	}
	return err
}

// approve lets kubelets serve with certificates of the cluster: each for its own name alone.
func (c *controller) approve() error {
	found, err := c.kube.Do(http.MethodGet, requestsPath+"?fieldSelector=spec.signerName%3Dkubernetes.io%2Fkubelet-serving", nil)
	if err != nil {
		return err
	}
	for _, one := range shared.ItemsOf(found) {
		spec, _ := one["spec"].(shared.Object)
		status, _ := one["status"].(shared.Object)
		if status["conditions"] != nil || !forItself(spec) {
			continue
		}
		one["status"] = shared.Object{"conditions": []any{shared.Object{
			"type": "Approved", "status": "True", "reason": "Autoapproved by K0s CSRApprover", "message": "a kubelet's own serving certificate",
		}}}
		if _, err := c.kube.Do(http.MethodPut, requestsPath+"/"+shared.NameOf(one)+"/approval", one); err != nil {
			return err
		}
	}
	return nil
}

func forItself(spec shared.Object) bool {
	user, _ := spec["username"].(string)
	text, _ := spec["request"].(string)
	content, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return false
	}
	asked, err := x509.ParseCertificateRequest(block.Bytes)
	return err == nil && strings.HasPrefix(user, "system:node:") && asked.Subject.CommonName == user
}

func (c *controller) labelNodes() error {
	found, err := c.kube.Do(http.MethodGet, "/api/v1/nodes?labelSelector="+roleLabel+"%3Dcontrol-plane,!node-role.kubernetes.io%2Fcontrol-plane", nil)
	for _, node := range shared.ItemsOf(found) {
		labels := shared.Object{"metadata": shared.Object{"labels": shared.Object{"node-role.kubernetes.io/control-plane": "true"}}}
		_, failure := c.kube.Do(http.MethodPatch, "/api/v1/nodes/"+shared.NameOf(node), labels)
		err = errors.Join(err, failure)
	}
	return err
}

// registerController makes this controller's ControlNode; there is none before the stack that defines them is applied.
func (c *controller) registerController() error {
	node := shared.Object{"apiVersion": "autopilot.k0sproject.io/v1beta2", "kind": "ControlNode", "metadata": shared.Object{
		"name": c.node, "labels": shared.Object{"kubernetes.io/hostname": c.node, "kubernetes.io/os": "linux"},
	}}
	_, err := c.kube.Do(http.MethodPost, controlNodes, node)
	var status shared.StatusError
	if errors.As(err, &status) && status.Code == http.StatusNotFound {
		// Not yet: the next round tries again.
		return fmt.Errorf("ControlNodes are not known yet: %w", err)
	}
	if err != nil && status.Code != http.StatusConflict {
		return err
	}
	_, err = c.kube.Do(http.MethodPatch, controlNodes+"/"+c.node+"/status", shared.Object{"status": shared.Object{
		"addresses": []any{
			shared.Object{"type": "InternalIP", "address": c.config.Spec.API.Address}, shared.Object{"type": "Hostname", "address": c.node},
		},
		"k0sVersion": version,
	}})
	return err
}
