#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start a cluster with k0s."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k0s_init
short_description: Start a cluster with k0s on its first control plane
version_added: 0.1.0
description:
  - Starts C(k0scontroller.service) on a host that is not a node yet, waits until its API server is ready, and records
    the cluster in C(/etc/sealer/cluster.json) and in the Secret C(kube-system/sealer-cluster).
  - The unit and C(/etc/k0s/k0s.yaml) have to be there. The role k0s writes them.
  - When k0s does not come up, what it did is undone.
  - On a control plane of the same cluster only the record is kept true.
  - Does not wait until the node is ready, because the network of the pods is an application.
    M(sealer.cluster.cluster_apps) does.
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
  - sealer.cluster.cluster
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  node:
    description: Name that the host has in the cluster.
    type: str
    required: true
  configuration:
    description: The ClusterConfig that C(/etc/k0s/k0s.yaml) has, for the record.
    type: dict
    required: true
  workloads:
    description: Whether the control plane runs workloads as well, which makes it a node.
    type: bool
    default: true
  timeout:
    description: How many seconds k0s may take to come up.
    type: int
    default: 300
seealso:
  - module: sealer.cluster.k0s_join
  - module: sealer.cluster.node_reset
"""

EXAMPLES = r"""
- name: Start the cluster
  sealer.cluster.k0s_init:
    name: demo
    image:
      reference: docker.io/library/demo:1
      digest: sha256:0f3c5ed4a5d2a0b5c6d7e8f90123456789abcdef0123456789abcdef01234567
    version: v1.35.4
    endpoint: 10.0.0.11:6443
    control_planes: [cp1]
    workers: [w1]
    node: cp1
    configuration:
      apiVersion: k0s.k0sproject.io/v1beta1
      kind: ClusterConfig
"""

RETURN = r"""
initialised:
  description: Whether k0s was started for the first time, or would be in check mode.
  returned: success
  type: bool
  sample: true
k0s_output:
  description: The end of what k0s said, without tokens.
  returned: when it was started
  type: str
  sample: "component: kube-apiserver started"
ansible_facts:
  description: Facts that every runtime sets.
  returned: success
  type: dict
  contains:
    sealer_kubeconfig_path:
      description: Kubeconfig of the administrator on this host.
      type: str
      sample: /var/lib/k0s/pki/admin.conf
    sealer_api_endpoint:
      description: Address and port of the API server.
      type: str
      sample: 10.0.0.11:6443
    sealer_cluster_state:
      description: What is recorded of the cluster.
      type: dict
      sample: {name: demo, endpoint: "10.0.0.11:6443"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import CLUSTER_SPEC, merged
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, k0s_cluster, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import by_kind
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import only_run
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import pretty
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import new_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC = merged(
    CLUSTER_SPEC,
    {
        "node": {"type": "str", "required": True},
        "configuration": {"type": "dict", "required": True},
        "workloads": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 300},
    },
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = dict(module.params)
    node = k0s.Node(
        params.pop("node"), controller=True, workloads=params.pop("workloads"), timeout=params.pop("timeout")
    )
    inputs = by_kind([params.pop("configuration")])
    run = module_runner(module)
    kubectl = Kubectl(run, k0s.ADMIN_KUBECONFIG)
    try:
        with only_run(module.check_mode):
            todo = membership.plan(new_state(runtime=k0s.RUNTIME, inputs=inputs, **params), kubectl, K0S)
            said = ""
            if todo.changed and not module.check_mode:
                said = k0s_cluster.initialise(run, params["name"], node, todo, kubectl)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    before = pretty(todo.before) if todo.before else ""
    module.exit_json(
        changed=todo.changed,
        initialised=todo.start,
        diff={"before": before, "after": pretty(todo.after) if todo.changed else before},
        ansible_facts={
            "sealer_kubeconfig_path": k0s.ADMIN_KUBECONFIG,
            "sealer_api_endpoint": todo.after["endpoint"],
            "sealer_cluster_state": todo.after,
        },
        **({"k0s_output": said} if said else {}),
    )


if __name__ == "__main__":
    main()
