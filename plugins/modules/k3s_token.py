#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials for hosts that join a cluster of k3s."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_token
short_description: Make and end credentials with which hosts join a cluster that k3s runs
version_added: 0.1.0
description:
  - Runs on a server. For agents, makes a join token that soon expires, when one of the hosts named is not a working
    node yet. k3s then forgets by which password it knows hosts again that had these names before.
  - For a host that is to become a server, with O(role=control_plane), etcd has to be whole. What an earlier attempt of
    that host left in etcd is removed. Servers join with the token that all servers have, because k3s knows no other
    for them.
  - With O(state=absent), a token for agents is worth nothing any more. The servers' token is left as it is.
  - The result holds the token, so register it in a task with C(no_log).
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
    details:
      - Where no host joins, no token is made.
options:
  state:
    description: Whether credentials are made or taken back.
    type: str
    choices: [present, absent]
    default: present
  role:
    description: What the hosts become.
    type: str
    choices: [control_plane, worker]
    default: worker
  nodes:
    description:
      - The hosts that join, each name with its address. A host that is a node has no place here. When it is empty, no
        token is made, and only what is no secret is returned.
      - A node of the same name that is ready has to have the same address. It is what an interrupted attempt left.
    type: dict
    default: {}
  token:
    description: With O(state=absent), the token to take back.
    type: str
  ttl:
    description: How long an agents' token is valid, as a duration of Go.
    type: str
    default: 15m0s
seealso:
  - module: sealer.cluster.k3s_join
"""

EXAMPLES = r"""
- name: Make credentials for the new workers
  sealer.cluster.k3s_token:
    nodes: {w1: 10.0.0.21, w2: 10.0.0.22}
  delegate_to: cp1
  run_once: true
  no_log: true
  register: credentials

- name: Take them back once the workers are nodes
  sealer.cluster.k3s_token:
    state: absent
    token: "{{ credentials.token }}"
  delegate_to: cp1
  run_once: true
  no_log: true
"""

RETURN = r"""
missing:
  description: Names of the hosts that join.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [w1]
token:
  description: The token, or V(none) when no node is missing, and in check mode.
  returned: when O(state=present)
  type: str
  sample: K107f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069::abcdef.0123456789abcdef
endpoint:
  description: Address and port of the API server.
  returned: when O(state=present)
  type: str
  sample: apiserver.cluster.local:6443
ca:
  description: CA certificate of the cluster in PEM form.
  returned: when O(state=present)
  type: str
  sample: "-----BEGIN CERTIFICATE-----..."
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k3s, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm_token import certificate_authority
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K3S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError

ARGUMENT_SPEC: Json = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "role": {"type": "str", "choices": [membership.CONTROL_PLANE, membership.WORKER], "default": membership.WORKER},
    "nodes": {"type": "dict", "default": {}},
    "token": {"type": "str", "no_log": True},
    "ttl": {"type": "str", "default": "15m0s"},
}


def credentials(module: AnsibleModule) -> Json:
    """Who is missing, and a token for them."""
    joining, role = membership.joining(module.params["nodes"]), str(module.params["role"])
    if module.check_mode and not os.path.exists(k3s.ADMIN_KUBECONFIG):
        return {"missing": sorted(joining), "token": None, "endpoint": "", "ca": ""}
    ca = certificate_authority(k3s.CA_CERTIFICATE)
    state = membership.own_state()
    run = module_runner(module)
    kubectl = Kubectl(run, k3s.ADMIN_KUBECONFIG)
    missing = sorted(joining)
    token = None
    if missing and not module.check_mode:
        membership.refuse_taken_names(kubectl.items("nodes"), joining)
        if role == membership.CONTROL_PLANE:
            if len(missing) != 1:
                raise ClusterError(
                    f"{len(missing)} hosts ask for credentials of control planes at once",
                    why="etcd takes one new member at a time",
                    fix="Set serial: 1 for the play",
                )
            Etcd(run, K3S.etcd).make_room(missing[0], joining[missing[0]])
        k3s.free_names(kubectl, missing)
        token = k3s.make_token(run, role, module.params["ttl"])
    return {"missing": missing, "token": token, "endpoint": state["endpoint"], "ca": ca}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        if module.params["state"] == "absent":
            name = k3s.token_id(module.params["token"] or "")
            if name and not module.check_mode:
                k3s.end_token(module_runner(module), name)
            module.exit_json(changed=bool(name), diff={"before": f"join token {name}\n" if name else "", "after": ""})
        found = credentials(module)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    made = bool(found["missing"]) and module.params["role"] == membership.WORKER
    after = f"join token for {module.params['ttl']}\n" if made else ""
    module.exit_json(changed=made, diff={"before": "", "after": after}, **found)


if __name__ == "__main__":
    main()
