#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell which applications are in a cluster, and whether they are ready."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_apps_info
short_description: Tell which applications are in a cluster, and whether they are ready
version_added: 0.1.0
description:
  - Runs on a control plane. Tells what M(sealer.cluster.cluster_apps) launched, the state of each object, and what is
    left over of applications that are not in the image any more, of which a warning tells as well.
  - It looks once and waits for nothing.
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  applications:
    description: Names of the applications of which objects are told; all when empty.
    type: list
    elements: str
    default: []
  nodes:
    description: Names of the nodes that should be ready.
    type: list
    elements: str
    default: []
  members:
    description:
      - Names of all nodes that the inventory has. Another node in the cluster is reported. Where it is empty, none is.
    type: list
    elements: str
    default: []
  diagnosis:
    description: Whether to tell the last warnings about what is not ready, and the last lines of the logs of its pods.
    type: bool
    default: false
  restarts:
    description:
      - Whether to count how often the containers of objects that are ready were started again. This takes a question
        more for each namespace.
    type: bool
    default: false
  kubeconfig:
    description: Kubeconfig of an administrator on the host.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: sealer.cluster.cluster_apps
"""

EXAMPLES = r"""
- name: Look at the applications
  sealer.cluster.cluster_apps_info:
    diagnosis: true
  register: info

- name: Show what is not ready
  ansible.builtin.debug:
    msg: "{{ info.applications | map(attribute='objects') | flatten | rejectattr('state', '==', 'current') }}"
"""

RETURN = r"""
applications:
  description: The applications, by name. The commands of the image itself are called C(cluster image).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the application.
      type: str
      sample: web
    image:
      description: Digest of the image that it was launched from last.
      type: str
      sample: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
    stays:
      description: Why nothing launches it any more although it is in the cluster; empty where the image launches it.
      type: str
      sample: the image does not have it any more
    objects:
      description:
        - Its objects, of an application that the image launches. C(state) is V(current), V(in progress) or V(failed).
        - C(pods) are those that are not ready. C(events), and C(logs) of a pod, are there with O(diagnosis=true).
          C(restarts) of the pods of the present version are null without O(restarts=true).
      type: list
      elements: dict
      sample:
        - api_version: apps/v1
          kind: Deployment
          namespace: shop
          name: web
          source: application/apps/web/20-deployment.yaml
          state: in progress
          why: 0 of 1 new pods are available
          pods:
            - name: web-7d764666f9-4v84k
              node: w1
              is_new: true
              why: ["container web: CrashLoopBackOff, 6 restarts, last exit code 1"]
              crash_loops: {web: 6}
              logs: [{container: web, lines: ["no database"]}]
          events: ["BackOff: Back-off restarting failed container web"]
          restarts: 6
    left:
      description: Objects in the cluster that it brought, and that no application has any more. Nothing removes them.
      type: list
      elements: dict
      sample:
        - api_version: v1
          kind: ConfigMap
          namespace: shop
          name: old-page
          source: application/apps/web/10-config-map.yaml
          why: none of its manifests has it any more
nodes:
  description: Of O(nodes) those that are not ready.
  returned: success
  type: list
  elements: dict
  sample: [{name: w1, why: kubelet stopped posting node status.}]
system:
  description: Workloads in C(kube-system) that are not ready, each as in RV(applications[].objects).
  returned: success
  type: list
  elements: dict
  sample: []
notes:
  description: What is worth knowing of nodes, as pressure, or that one is in no inventory. Each is a warning as well.
  returned: success
  type: list
  elements: str
  sample: ["Node w2 has DiskPressure: kubelet has disk pressure"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_left import warnings_of
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_look import Look
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_record import AppsRecord
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC = {
    "applications": {"type": "list", "elements": "str", "default": []},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "members": {"type": "list", "elements": "str", "default": []},
    "diagnosis": {"type": "bool", "default": False},
    "restarts": {"type": "bool", "default": False},
    "kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    kubectl = Kubectl(module_runner(module), params["kubeconfig"])
    try:
        options = {name: params[name] for name in ("diagnosis", "restarts")}
        look = Look(kubectl, AppsRecord.load(kubectl), **options)
        seen = look.at(params["applications"], params["nodes"], params["members"])
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in [*warnings_of(seen["applications"]), *seen["notes"]]:
        module.warn(warning)
    module.exit_json(changed=False, **seen)


if __name__ == "__main__":
    main()
