#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let a host join a cluster of k0s."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k0s_join
short_description: Let a host join a cluster that k0s runs
version_added: 0.1.0
description:
  - Starts C(k0sworker.service) or C(k0scontroller.service) with a join token on a host that is no node yet, and waits
    until it is up.
  - The unit has to be there, and for a control plane C(/etc/k0s/k0s.yaml). The role k0s writes them.
  - The token is kept in memory, and only while the host joins.
  - A token that has expired is told before anything is started.
  - When k0s does not come up, what it did is undone.
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the cluster.
    type: str
    required: true
  role:
    description: What the host becomes.
    type: str
    choices: [control_plane, worker]
    required: true
  node:
    description: Name that the host has in the cluster.
    type: str
    required: true
  endpoint:
    description: Address and port of the API server. May be empty in check mode, when there is no cluster yet.
    type: str
    required: true
  ca:
    description: CA certificate of the cluster in PEM form. May be empty in check mode, when there is no cluster yet.
    type: str
    required: true
  token:
    description: Join token of M(sealer.cluster.k0s_token). Not needed on a host that is a node already.
    type: str
  refused:
    description: Why control planes that were asked gave no credentials; told when the host cannot join without them.
    type: list
    elements: str
    default: []
  workloads:
    description: Whether the control plane runs workloads as well, which makes it a node.
    type: bool
    default: true
  timeout:
    description: How many seconds k0s may take to come up.
    type: int
    default: 300
seealso:
  - module: sealer.cluster.k0s_token
"""

EXAMPLES = r"""
- name: Let the host join
  sealer.cluster.k0s_join:
    name: demo
    role: worker
    node: w1
    endpoint: "{{ credentials.endpoint }}"
    ca: "{{ credentials.ca }}"
    token: "{{ credentials.token }}"
"""

RETURN = r"""
k0s_output:
  description: The end of what k0s said, without tokens.
  returned: when it was started
  type: str
  sample: "component: kubelet started"
ansible_facts:
  description: Facts that every runtime sets.
  returned: when there is a cluster; on workers, C(sealer_api_endpoint) alone
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

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, k0s_cluster, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import only_run
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC: Json = {
    "name": {"type": "str", "required": True},
    "role": {"type": "str", "required": True, "choices": [membership.CONTROL_PLANE, membership.WORKER]},
    "node": {"type": "str", "required": True},
    "endpoint": {"type": "str", "required": True},
    "ca": {"type": "str", "required": True},
    "token": {"type": "str", "no_log": True},
    "refused": {"type": "list", "elements": "str", "default": []},
    "workloads": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 300},
}


def run_module(module: AnsibleModule) -> Json:
    """Do it; the result of the module."""
    params = dict(module.params)
    role, name = params.pop("role"), params.pop("node")
    controller = role == membership.CONTROL_PLANE
    workloads = params.pop("workloads") or not controller
    node = k0s.Node(name, controller=controller, workloads=workloads, timeout=params.pop("timeout"))
    request = k0s_cluster.JoinRequest(node=node, **params)
    run = module_runner(module)
    kubectl = Kubectl(run, k0s.ADMIN_KUBECONFIG)
    joins = k0s_cluster.needs_to_join(request)
    said = k0s_cluster.join(run, request, kubectl) if joins and not module.check_mode else ""
    wanted = {"cluster": request.name, "node": name, "role": role}
    result = membership.joined(
        joins, module.check_mode, request.endpoint, wanted, name, kubectl if controller else None
    )
    return {**result, **({"k0s_output": said} if said else {})}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        with only_run(module.check_mode):
            result: t.Dict[str, t.Any] = run_module(module)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
