#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Credentials for hosts that join a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_token
short_description: Make credentials with which hosts join a cluster
version_added: 0.1.0
description:
  - Runs on a control plane. Makes a bootstrap token that soon expires, where hosts join. A node that an interrupted
    attempt left, and that is still counted as ready, is deleted, because kubeadm would refuse its name.
  - For a host that is to become a control plane, with O(control_plane_address), etcd has to be whole. What an earlier
    attempt of that host left in etcd is removed. Then kubeadm puts the cluster's certificates into a Secret, encrypted
    with a new key.
  - With O(state=absent), the token is worth nothing any more, and the certificates are removed.
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
  nodes:
    description:
      - The hosts that join, each name with its address. A host that is a node has no place here. When it is empty, no
        token is made, and only what is no secret is returned.
      - A node of the same name that is ready has to have the same address. It is what an interrupted attempt left.
    type: dict
    default: {}
  control_plane_address:
    description: Address of the one host in O(nodes) that is to become a control plane. Empty for workers.
    type: str
    default: ''
  token:
    description: With O(state=absent), the token to take back.
    type: str
  ttl:
    description: How long the token is valid, as a duration of Go.
    type: str
    default: 15m0s
seealso:
  - module: sealer.cluster.kubeadm_join
"""

EXAMPLES = r"""
- name: Make credentials for the new workers
  sealer.cluster.kubeadm_token:
    nodes: {w1: 10.0.0.21, w2: 10.0.0.22}
  delegate_to: cp1
  run_once: true
  no_log: true
  register: credentials

- name: Take them back once the workers are nodes
  sealer.cluster.kubeadm_token:
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
  sample: abcdef.0123456789abcdef
certificate_key:
  description: The key to the certificates that a new control plane needs, or V(none).
  returned: when O(state=present)
  type: str
  sample: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
endpoint:
  description: Address and port of the API server.
  returned: when O(state=present)
  type: str
  sample: 10.0.0.11:6443
ca:
  description: CA certificate of the cluster in PEM form.
  returned: when O(state=present)
  type: str
  sample: "-----BEGIN CERTIFICATE-----..."
ca_hash:
  description: SHA-256 of that certificate.
  returned: when O(state=present)
  type: str
  sample: 7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import kubeadm_token, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC: Json = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "nodes": {"type": "dict", "default": {}},
    "control_plane_address": {"type": "str", "default": ""},
    "token": {"type": "str", "no_log": True},
    "ttl": {"type": "str", "default": "15m0s"},
}


def no_cluster_yet(joining: t.Mapping[str, str]) -> Json:
    """The answer of check mode on a host that is still bare."""
    none = {"token": None, "certificate_key": None, "endpoint": "", "ca": "", "ca_hash": ""}
    return {"missing": sorted(joining), **none}


def credentials(module: AnsibleModule) -> Json:
    joining, address = membership.joining(module.params["nodes"]), module.params["control_plane_address"]
    if module.check_mode and not os.path.exists(ADMIN_KUBECONFIG):
        return no_cluster_yet(joining)
    ca = kubeadm_token.certificate_authority()
    state = membership.own_state()
    run = module_runner(module)
    missing = sorted(joining)
    token = key = None
    if missing and not module.check_mode:
        kubectl = Kubectl(run, ADMIN_KUBECONFIG)
        kubeadm_token.free_names(kubectl, membership.refuse_taken_names(kubectl.items("nodes"), joining))
        if address:
            Etcd(run).make_room(missing[0], address)
            key = kubeadm_token.upload_certificates(run, state["inputs"])
        token = kubeadm_token.create_token(run, module.params["ttl"])
    return {
        "missing": missing,
        "token": token,
        "certificate_key": key,
        "endpoint": state["endpoint"],
        "ca": ca,
        "ca_hash": kubeadm_token.fingerprint(ca),
    }


def taken_back(module: AnsibleModule) -> t.List[str]:
    token = module.params["token"]
    if not token or module.check_mode:
        return []
    return kubeadm_token.revoke(Kubectl(module_runner(module), ADMIN_KUBECONFIG), token)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        if module.params["state"] == "absent":
            removed = "".join(f"secret {name}\n" for name in taken_back(module))
            module.exit_json(changed=bool(removed), diff={"before": removed, "after": ""})
        found = credentials(module)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    after = f"bootstrap token for {module.params['ttl']}\n" if found["missing"] else ""
    module.exit_json(changed=bool(found["missing"]), diff={"before": "", "after": after}, **found)


if __name__ == "__main__":
    main()
