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
  document:
    description: kubeadm's JoinConfiguration, complete but for the discovery.
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
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import kubeadm_join
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.documents import without_secrets
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import pretty
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm import tail
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import (
    DEFAULT_CRI_SOCKET,
    ResetSettings,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "endpoint": {"type": "str", "required": True},
            "ca": {"type": "str", "required": True},
            "token": {"type": "str", "no_log": True},
            "document": {"type": "dict", "required": True},
            "cri_socket": {"type": "str", "default": DEFAULT_CRI_SOCKET},
        },
        supports_check_mode=True,
    )
    params = dict(module.params)
    settings = ResetSettings(cri_socket=params.pop("cri_socket"))
    request = kubeadm_join.JoinRequest(settings=settings, **params)
    try:
        changed = kubeadm_join.needs_to_join(request)
        said = ""
        if changed and not module.check_mode:
            said = kubeadm_join.join(module_runner(module), request, module.tmpdir)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    membership = pretty({"cluster": request.name, "join": without_secrets(request.document)}) if changed else ""
    module.exit_json(
        changed=changed,
        diff={"before": "", "after": membership},
        ansible_facts={"sealer_api_endpoint": request.endpoint} if request.endpoint else {},
        **({"kubeadm_output": tail(said)} if said else {}),
    )


if __name__ == "__main__":
    main()
