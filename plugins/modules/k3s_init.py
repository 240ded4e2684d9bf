#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start a cluster with k3s."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_init
short_description: Start a cluster with k3s on its first server
version_added: 0.1.0
description:
  - Starts C(k3s.service) on a host that is not a node yet, waits until its API server is ready and knows the node, and
    records the cluster in C(/etc/sealer/cluster.json) and in the Secret C(kube-system/sealer-cluster).
  - The unit and C(/etc/rancher/k3s/config.yaml) have to be there. The role k3s writes them.
  - When k3s does not come up, what it did is undone. An attempt that was cut off is undone before the next one.
  - On a server of the same cluster only the record is kept true.
  - Does not wait until the node is ready. M(sealer.cluster.cluster_apps) does.
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
    description: Name of the node that the host becomes.
    type: str
    required: true
  configuration:
    description: What C(/etc/rancher/k3s/config.yaml) has, for the record. Secrets in it are not recorded.
    type: dict
    required: true
  timeout:
    description: How many seconds k3s may take to come up.
    type: int
    default: 300
seealso:
  - module: sealer.cluster.k3s_join
  - module: sealer.cluster.node_reset
"""

EXAMPLES = r"""
- name: Start the cluster
  sealer.cluster.k3s_init:
    name: demo
    image:
      reference: docker.io/library/demo:1
      digest: sha256:0f3c5ed4a5d2a0b5c6d7e8f90123456789abcdef0123456789abcdef01234567
    version: v1.35.4+k3s1
    endpoint: apiserver.cluster.local:6443
    control_planes: [cp1]
    workers: [w1]
    node: cp1
    configuration:
      node-name: cp1
"""

RETURN = r"""
initialised:
  description: Whether k3s was started for the first time, or would be in check mode.
  returned: success
  type: bool
  sample: true
k3s_output:
  description: The end of what k3s said, without tokens.
  returned: when it was started
  type: str
  sample: "k3s is up and running"
ansible_facts:
  description: Facts that every runtime sets.
  returned: success
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
    sealer_cluster_state:
      description: What is recorded of the cluster.
      type: dict
      sample: {name: demo, endpoint: "apiserver.cluster.local:6443"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import CLUSTER_SPEC, merged
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k3s, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import without_secrets
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import only_run
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import pretty
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import new_state
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K3S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC = merged(
    CLUSTER_SPEC,
    {
        "node": {"type": "str", "required": True},
        "configuration": {"type": "dict", "required": True},
        "timeout": {"type": "int", "default": 300},
    },
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = dict(module.params)
    node = k3s.Node(params.pop("node"), server=True, timeout=params.pop("timeout"))
    inputs = {"server": without_secrets(params.pop("configuration"))}
    run = module_runner(module)
    kubectl = Kubectl(run, k3s.ADMIN_KUBECONFIG)
    try:
        with only_run(module.check_mode):
            todo = membership.plan(new_state(runtime=k3s.RUNTIME, inputs=inputs, **params), kubectl, K3S)
            said = ""
            if todo.changed and not module.check_mode:
                said = k3s.initialise(run, params["name"], node, todo, kubectl)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    before = pretty(todo.before) if todo.before else ""
    module.exit_json(
        changed=todo.changed,
        initialised=todo.start,
        diff={"before": before, "after": pretty(todo.after) if todo.changed else before},
        ansible_facts={
            "sealer_kubeconfig_path": k3s.ADMIN_KUBECONFIG,
            "sealer_api_endpoint": todo.after["endpoint"],
            "sealer_cluster_state": todo.after,
        },
        **({"k3s_output": said} if said else {}),
    )


if __name__ == "__main__":
    main()
