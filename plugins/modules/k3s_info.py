#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell what is known of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_info
short_description: Tell what is known of a cluster that k3s runs
version_added: 0.1.0
description:
  - Runs on a control plane and returns the recorded state, the members as the API server knows them, and when
    certificates expire.
  - On a host without a cluster, RV(cluster.exists) is false.
  - A host is a node for RV(joined) when it became one whole; an attempt that was cut off does not count.
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options: {}
"""

EXAMPLES = r"""
- name: Ask a control plane
  sealer.cluster.k3s_info:
  register: info

- name: Show the members
  ansible.builtin.debug:
    var: info.cluster.members
"""

RETURN = r"""
joined:
  description: Whether this host is a node that this collection made, from beginning to end.
  returned: success
  type: bool
  sample: true
cluster:
  description: The cluster.
  returned: success
  type: dict
  contains:
    exists:
      description: Whether this host has a record of a cluster.
      type: bool
      sample: true
    name:
      description: Name of the cluster.
      type: str
      sample: demo
    image:
      description: Reference and digest of the cluster image.
      type: dict
      sample: {reference: "docker.io/library/demo:1", digest: "sha256:0f3c5ed4"}
    runtime:
      description: Name and version of the runtime.
      type: dict
      sample: {name: k3s, version: v1.35.4+k3s1}
    endpoint:
      description: Address and port of the API server.
      type: str
      sample: apiserver.cluster.local:6443
    members:
      description: The nodes, control planes first.
      type: list
      elements: dict
      sample:
        - name: cp1
          role: control_plane
          address: 10.0.0.11
          version: v1.35.4+k3s1
          container_runtime: containerd://2.2.1
          ready: true
    certificates:
      description: Names and expiry of the certificates on this control plane.
      type: list
      elements: dict
      sample: [{name: server-ca, expires: "2027-11-21T10:00:00Z"}]
ansible_facts:
  description: Facts that every runtime sets.
  returned: success; without a cluster, C(sealer_cluster) alone
  type: dict
  contains:
    sealer_kubeconfig_path:
      description: Kubeconfig of the administrator on this host.
      type: str
      sample: /etc/rancher/k3s/k3s.yaml
    sealer_api_endpoint:
      description: Address and port of the API server.
      type: str
      sample: apiserver.cluster.local:6443
    sealer_cluster:
      description: The same as RV(cluster).
      type: dict
      sample: {exists: true, name: demo}
    sealer_cluster_state:
      description: What is recorded of the cluster.
      type: dict
      sample: {name: demo, endpoint: "apiserver.cluster.local:6443"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k3s, kubeadm_info, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.certificates import expiry
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import read_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K3S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    run = module_runner(module)
    try:
        joined, state = membership.is_member(K3S), read_state()
        if state is None or not joined:
            nothing = kubeadm_info.cluster_of(None, [], [])
            module.exit_json(changed=False, joined=joined, cluster=nothing, ansible_facts={"sealer_cluster": nothing})
        nodes = Kubectl(run, k3s.ADMIN_KUBECONFIG).items("nodes")
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    dates = expiry(run, k3s.CERTIFICATES, ["*.crt", "etcd/*.crt"])
    cluster = kubeadm_info.cluster_of(state, kubeadm_info.members_of(nodes), dates)
    module.exit_json(
        changed=False,
        joined=True,
        cluster=cluster,
        ansible_facts={
            "sealer_kubeconfig_path": k3s.ADMIN_KUBECONFIG,
            "sealer_api_endpoint": state["endpoint"],
            "sealer_cluster": cluster,
            "sealer_cluster_state": state,
        },
    )


if __name__ == "__main__":
    main()
