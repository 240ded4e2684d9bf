#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start a cluster with kubeadm."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_init
short_description: Start a cluster with kubeadm on its first control plane
version_added: 0.1.0
description:
  - Runs C(kubeadm init) on a host that is not a node yet, and records the cluster in C(/etc/sealer/cluster.json)
    and in the Secret C(kube-system/sealer-cluster).
  - When kubeadm fails, what it did is undone. An attempt that was cut off is undone before the next one.
  - On a control plane of the same cluster only the record is kept true. Documents that differ from those the
    cluster was made with are reported as a warning, since kubeadm applies them at the start only.
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
  documents:
    description:
      - kubeadm's configuration documents, complete (InitConfiguration, ClusterConfiguration, KubeletConfiguration,
        KubeProxyConfiguration).
      - They are given to kubeadm in a file that only root can read and that is removed afterwards.
    type: list
    elements: dict
    required: true
  cri_socket:
    description: Socket of the container runtime, for undoing a failed start.
    type: str
    default: unix:///run/containerd/containerd.sock
seealso:
  - module: sealer.cluster.kubeadm_join
  - module: sealer.cluster.node_reset
"""

EXAMPLES = r"""
- name: Start the cluster
  sealer.cluster.kubeadm_init:
    name: demo
    image:
      reference: docker.io/library/demo:1
      digest: sha256:0f3c5ed4a5d2a0b5c6d7e8f90123456789abcdef0123456789abcdef01234567
    version: v1.35.4
    endpoint: 10.0.0.11:6443
    control_planes: [cp1]
    workers: [w1]
    documents:
      - apiVersion: kubeadm.k8s.io/v1beta4
        kind: InitConfiguration
      - apiVersion: kubeadm.k8s.io/v1beta4
        kind: ClusterConfiguration
        kubernetesVersion: v1.35.4
        controlPlaneEndpoint: 10.0.0.11:6443
"""

RETURN = r"""
initialised:
  description: Whether C(kubeadm init) was run, or would be run in check mode.
  returned: success
  type: bool
  sample: true
pending:
  description: Paths of the document fields that differ from those the cluster was made with.
  returned: success
  type: list
  elements: str
  sample: [ClusterConfiguration.networking.podSubnet]
kubeadm_output:
  description: The end of what kubeadm said, without tokens.
  returned: when it was run
  type: str
  sample: Your Kubernetes control-plane has initialized successfully!
ansible_facts:
  description: Facts that every runtime sets.
  returned: success
  type: dict
  contains:
    sealer_kubeconfig_path:
      description: Kubeconfig of the administrator on this host.
      type: str
      sample: /etc/kubernetes/admin.conf
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
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import kubeadm_init
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import only_run
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import pretty
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm import tail
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import (
    DEFAULT_CRI_SOCKET,
    ResetSettings,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC = merged(
    CLUSTER_SPEC,
    {
        "documents": {"type": "list", "elements": "dict", "required": True},
        "cri_socket": {"type": "str", "default": DEFAULT_CRI_SOCKET},
    },
)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = dict(module.params)
    settings = ResetSettings(cri_socket=params.pop("cri_socket"))
    request = kubeadm_init.InitRequest(settings=settings, **params)
    run = module_runner(module)
    kubectl = Kubectl(run, ADMIN_KUBECONFIG)
    try:
        with only_run(module.check_mode):
            todo = kubeadm_init.plan(request, kubectl)
            said = ""
            if todo.changed and not module.check_mode:
                said = kubeadm_init.apply(run, request, todo, kubectl)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    if todo.pending:
        module.warn(
            "The cluster keeps the kubeadm documents it was made with; these fields differ from what is asked now: "
            + ", ".join(todo.pending)
        )
    before = pretty(todo.before) if todo.before else ""
    module.exit_json(
        changed=todo.changed,
        initialised=todo.initialise,
        pending=list(todo.pending),
        diff={"before": before, "after": pretty(todo.after) if todo.changed else before},
        ansible_facts={
            "sealer_kubeconfig_path": ADMIN_KUBECONFIG,
            "sealer_api_endpoint": todo.after["endpoint"],
            "sealer_cluster_state": todo.after,
        },
        **({"kubeadm_output": tail(said)} if said else {}),
    )


if __name__ == "__main__":
    main()
