#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials for hosts that join a cluster of k0s."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k0s_token
short_description: Make and end credentials with which hosts join a cluster that k0s runs
version_added: 0.1.0
description:
  - Runs on a control plane. Makes a join token that soon expires, where hosts join, and ends it after use.
  - Before a token for a control plane is made, etcd has to be healthy.
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
    description: Whether to make a token or to end one.
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
  ttl:
    description: How long the token is valid, as a duration of Go.
    type: str
    default: 15m0s
  id:
    description: What RV(id) told of the token to end. Nothing is done when it is empty.
    type: str
    default: ''
seealso:
  - module: sealer.cluster.k0s_join
"""

EXAMPLES = r"""
- name: Make credentials for the new workers
  sealer.cluster.k0s_token:
    nodes: {w1: 10.0.0.21, w2: 10.0.0.22}
  delegate_to: cp1
  run_once: true
  no_log: true
  register: credentials

- name: End them
  sealer.cluster.k0s_token:
    state: absent
    id: "{{ credentials.id }}"
  delegate_to: cp1
  run_once: true
"""

RETURN = r"""
missing:
  description: Names of the hosts that join.
  returned: with O(state=present)
  type: list
  elements: str
  sample: [w1]
token:
  description: The token, or V(none) when no host is missing, and in check mode.
  returned: with O(state=present)
  type: str
  sample: H4sIAAAAAAAC
id:
  description: What names the token; empty without one.
  returned: with O(state=present)
  type: str
  sample: abcdef
endpoint:
  description: Address and port of the API server.
  returned: with O(state=present)
  type: str
  sample: 10.0.0.11:6443
ca:
  description: CA certificate of the cluster in PEM form.
  returned: with O(state=present)
  type: str
  sample: "-----BEGIN CERTIFICATE-----..."
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, k0s_cluster, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm_token import certificate_authority
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import K0S
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "role": {"type": "str", "choices": [membership.CONTROL_PLANE, membership.WORKER], "default": membership.WORKER},
    "nodes": {"type": "dict", "default": {}},
    "ttl": {"type": "str", "default": "15m0s"},
    "id": {"type": "str", "default": ""},
}


def credentials(module: AnsibleModule) -> t.Dict[str, t.Any]:
    """Who is missing, and a token for them."""
    joining, role = membership.joining(module.params["nodes"]), str(module.params["role"])
    if module.check_mode and not os.path.exists(k0s.ADMIN_KUBECONFIG):
        return {"missing": sorted(joining), "token": None, "id": "", "endpoint": "", "ca": ""}
    ca = certificate_authority(k0s.CA_CERTIFICATE)
    state = membership.own_state()
    run = module_runner(module)
    kubectl = Kubectl(run, k0s.ADMIN_KUBECONFIG)
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
            Etcd(run, K0S.etcd).make_room(missing[0], joining[missing[0]])
            k0s_cluster.refuse_sick_etcd(run, kubectl)
        token = k0s_cluster.create_token(run, role, module.params["ttl"])
    name = k0s.token_id(token) if token else ""
    return {
        "missing": missing,
        "token": token,
        "id": name,
        "endpoint": state["endpoint"],
        "ca": ca,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    name = module.params["id"]
    try:
        if module.params["state"] == "absent":
            if name and not module.check_mode:
                k0s_cluster.invalidate_token(module_runner(module), name)
            module.exit_json(changed=bool(name), diff={"before": f"join token {name}\n" if name else "", "after": ""})
        found = credentials(module)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    after = f"join token for {module.params['ttl']}\n" if found["missing"] else ""
    module.exit_json(changed=bool(found["missing"]), diff={"before": "", "after": after}, **found)


if __name__ == "__main__":
    main()
