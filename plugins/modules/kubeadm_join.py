#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Join a host to a cluster with kubeadm."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join
short_description: Join a host to a cluster with kubeadm
version_added: 0.1.0
description:
  - Runs C(kubeadm join) on a host that is not a node yet. When kubeadm fails, what it did is undone.
  - A host becomes a control plane when O(document) has C(controlPlane). The module then waits until etcd is whole
    again, and keeps the cluster's record on the host. Join control planes one after the other.
  - The API server is known by the CA certificate of the cluster, which comes with the token, not by a hash that is
    looked up over the network.
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
  endpoint:
    description: Address and port of the API server. May be empty in check mode, when there is no cluster yet.
    type: str
    required: true
  ca:
    description: CA certificate of the cluster in PEM form. May be empty in check mode, when there is no cluster yet.
    type: str
    required: true
  token:
    description: Bootstrap token of M(sealer.cluster.kubeadm_token). Not needed on a host that is a node already.
    type: str
  certificate_key:
    description: Key of M(sealer.cluster.kubeadm_token) to the certificates that a new control plane needs.
    type: str
  refused:
    description: Why control planes that were asked gave no credentials; told when the host cannot join without them.
    type: list
    elements: str
    default: []
  document:
    description: kubeadm's JoinConfiguration, complete but for the discovery and the certificate key.
    type: dict
    required: true
  cri_socket:
    description: Socket of the container runtime, for undoing a failed join.
    type: str
    default: unix:///run/containerd/containerd.sock
seealso:
  - module: sealer.cluster.kubeadm_token
"""

EXAMPLES = r"""
- name: Let the host join
  sealer.cluster.kubeadm_join:
    name: demo
    endpoint: "{{ credentials.endpoint }}"
    ca: "{{ credentials.ca }}"
    token: "{{ credentials.token }}"
    document:
      apiVersion: kubeadm.k8s.io/v1beta4
      kind: JoinConfiguration
      nodeRegistration:
        name: w1
"""

RETURN = r"""
kubeadm_output:
  description: The end of what kubeadm said, without tokens.
  returned: when it was run
  type: str
  sample: This node has joined the cluster
ansible_facts:
  description: Facts that every runtime sets.
  returned: when there is a cluster
  type: dict
  contains:
    sealer_api_endpoint:
      description: Address and port of the API server.
      type: str
      sample: 10.0.0.11:6443
    sealer_kubeconfig_path:
      description: Kubeconfig of the administrator, on a control plane.
      type: str
      sample: /etc/kubernetes/admin.conf
    sealer_cluster_state:
      description: What is recorded of the cluster, on a control plane.
      type: dict
      sample: {name: demo, endpoint: "10.0.0.11:6443"}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import kubeadm_join, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import without_secrets
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import only_run
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm import tail
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import (
    DEFAULT_CRI_SOCKET,
    ResetSettings,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC: Json = {
    "name": {"type": "str", "required": True},
    "endpoint": {"type": "str", "required": True},
    "ca": {"type": "str", "required": True},
    "token": {"type": "str", "no_log": True},
    "certificate_key": {"type": "str", "no_log": True},
    "refused": {"type": "list", "elements": "str", "default": []},
    "document": {"type": "dict", "required": True},
    "cri_socket": {"type": "str", "default": DEFAULT_CRI_SOCKET},
}


def run_module(module: AnsibleModule) -> Json:
    """Do it; the result of the module."""
    params = dict(module.params)
    request = kubeadm_join.JoinRequest(settings=ResetSettings(cri_socket=params.pop("cri_socket")), **params)
    joins = kubeadm_join.needs_to_join(request)
    said = ""
    if joins and not module.check_mode:
        said = kubeadm_join.join(module_runner(module), request)
    wanted = {"cluster": request.name, "join": without_secrets(request.document)}
    name = request.document.get("nodeRegistration", {}).get("name", "")
    kubectl = Kubectl(module_runner(module), ADMIN_KUBECONFIG) if request.control_plane else None
    result = membership.joined(joins, module.check_mode, request.endpoint, wanted, name, kubectl)
    return {**result, **({"kubeadm_output": tail(said)} if said else {})}


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
