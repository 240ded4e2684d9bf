#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let a host join a cluster of k3s."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_join
short_description: Let a host join a cluster that k3s runs, as a server or as an agent
version_added: 0.1.0
description:
  - Starts C(k3s.service) or C(k3s-agent.service) with a join token on a host that is no node yet, and waits until the
    cluster knows the node. For a server it waits until etcd is whole again, too, and keeps the cluster's record on the
    host. Join servers one after the other.
  - The unit and C(/etc/rancher/k3s/config.yaml) have to be there. The role k3s writes them.
  - The token holds the hash of the cluster's CA, so that the host knows the right server before it says anything. The
    servers' token is kept in memory, and only while the host joins. An agent's token, which expires, stays in
    C(/etc/rancher/k3s/join-token), which only root can read, because an agent wants one at each start.
  - An agent's token that has expired is told before anything is started.
  - When k3s does not come up, what it did is undone. An attempt that was cut off is undone before the next one.
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
    description: Name of the node that the host becomes.
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
    description: Join token of M(sealer.cluster.k3s_token). Not needed on a host that is a node already.
    type: str
  server_url:
    description:
      - URL of the server from which a server gets the cluster's certificates and that lets it into etcd. Empty where
        all servers share a datastore that is elsewhere. Agents have it in their configuration.
    type: str
    default: ''
  refused:
    description: Why control planes that were asked gave no credentials; told when the host cannot join without them.
    type: list
    elements: str
    default: []
  timeout:
    description: How many seconds k3s may take to come up.
    type: int
    default: 300
seealso:
  - module: sealer.cluster.k3s_token
"""

EXAMPLES = r"""
- name: Let the host join
  sealer.cluster.k3s_join:
    name: demo
    role: worker
    node: w1
    endpoint: "{{ credentials.endpoint }}"
    ca: "{{ credentials.ca }}"
    token: "{{ credentials.token }}"
"""

RETURN = r"""
k3s_output:
  description: The end of what k3s said, without tokens.
  returned: when it was started
  type: str
  sample: "k3s is up and running"
ansible_facts:
  description: Facts that every runtime sets.
  returned: when there is a cluster; on workers, C(sealer_api_endpoint) alone
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

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k3s, membership
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
    "server_url": {"type": "str", "default": ""},
    "refused": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 300},
}


def run_module(module: AnsibleModule) -> Json:
    """Do it; the result of the module."""
    params = dict(module.params)
    role = params.pop("role")
    server = role == membership.CONTROL_PLANE
    node = k3s.Node(params.pop("node"), server=server, timeout=params.pop("timeout"))
    request = k3s.JoinRequest(node=node, **params)
    run = module_runner(module)
    joins = k3s.needs_to_join(request)
    said = k3s.join(run, request) if joins and not module.check_mode else ""
    wanted = {"cluster": request.name, "node": node.name, "role": role}
    kubectl = Kubectl(run, k3s.ADMIN_KUBECONFIG) if server else None
    result = membership.joined(joins, module.check_mode, request.endpoint, wanted, node.name, kubectl)
    return {**result, **({"k3s_output": said} if said else {})}


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
