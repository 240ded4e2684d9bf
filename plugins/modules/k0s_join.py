#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let a host join a cluster of k0s."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k0s_join
short_description: Let a host join a cluster that k0s runs
version_added: 0.2.0
description:
  - Starts C(k0sworker.service) or C(k0scontroller.service) with a join token on a host that is no node yet, and waits
    until it is up.
  - The unit has to be there, and for a control plane C(/etc/k0s/k0s.yaml). The role k0s writes them.
  - The token is kept in memory, and only while the host joins.
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
  state:
    description: The cluster's record, as M(sealer.cluster.k0s_token) tells it; control planes keep it.
    type: dict
    default: {}
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
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, k0s_cluster
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import pretty
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC = {
    "name": {"type": "str", "required": True},
    "role": {"type": "str", "required": True, "choices": [k0s_cluster.CONTROL_PLANE, k0s_cluster.WORKER]},
    "endpoint": {"type": "str", "required": True},
    "ca": {"type": "str", "required": True},
    "token": {"type": "str", "no_log": True},
    "state": {"type": "dict", "default": {}},
    "refused": {"type": "list", "elements": "str", "default": []},
    "workloads": {"type": "bool", "default": True},
    "timeout": {"type": "int", "default": 300},
}


def facts(request: k0s_cluster.JoinRequest, controller: bool) -> t.Dict[str, t.Any]:
    """What every runtime tells of the cluster after a join."""
    if not request.endpoint:
        return {}
    if not controller:
        return {"sealer_api_endpoint": request.endpoint}
    return {
        "sealer_kubeconfig_path": k0s.ADMIN_KUBECONFIG,
        "sealer_api_endpoint": request.endpoint,
        "sealer_cluster_state": request.state,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = dict(module.params)
    controller = params["role"] == k0s_cluster.CONTROL_PLANE
    service = k0s.Service(
        k0s.CONTROLLER if controller else k0s.WORKER,
        controller=controller,
        workloads=params.pop("workloads") or not controller,
        timeout=params.pop("timeout"),
    )
    request = k0s_cluster.JoinRequest(**params)
    run = module_runner(module)
    try:
        todo = k0s_cluster.join_plan(request)
        said = ""
        if todo.changed and not module.check_mode:
            kubectl = Kubectl(run, k0s.ADMIN_KUBECONFIG, module.tmpdir)
            said = k0s_cluster.join(run, request, todo, service, kubectl)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    before = {"cluster": request.name, "role": request.role, "state": todo.before} if not todo.start else {}
    after = {"cluster": request.name, "role": request.role, "state": todo.after} if todo.changed else before
    module.exit_json(
        changed=todo.changed,
        diff={"before": pretty(before) if before else "", "after": pretty(after) if after else ""},
        ansible_facts=facts(request, controller),
        **({"k0s_output": said} if said else {}),
    )


if __name__ == "__main__":
    main()
