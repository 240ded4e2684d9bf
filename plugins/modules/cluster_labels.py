#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give nodes their labels."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_labels
short_description: Give nodes their labels
version_added: 0.1.0
description:
  - Runs on a control plane, of any runtime, and makes the labels of nodes those that are wanted.
  - The API server remembers which labels a node has of this module, by server-side apply. Such a label is taken away
    once it is not wanted any more; those of others are never touched.
  - A wanted label that somebody else has given another value gets the wanted one.
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the labels that nodes have of this module.
  idempotent:
    support: full
options:
  labels:
    description:
      - The labels of each node, by its name, as the inventory calls its host. Nodes that are not named are left as they
        are.
    type: dict
    required: true
  kubeconfig:
    description: Kubeconfig of an administrator on the host where the module runs. By default the runtime's.
    type: path
  wait_timeout:
    description: How many seconds to wait for nodes that are not there yet.
    type: int
    default: 60
seealso:
  - plugin: sealer.cluster.node_labels
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Make a node the one for ingress
  sealer.cluster.cluster_labels:
    labels:
      w1:
        node-role.kubernetes.io/ingress: ""
        example.com/rack: r1
  delegate_to: cp1
"""

RETURN = r"""
labels:
  description: The labels that these nodes have of this module now, or would have.
  returned: success
  type: dict
  sample: {w1: {example.com/rack: r1}}
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import node_labels
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeconfig import kubeconfig_of_host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError


def _steps(module: AnsibleModule, wanted: t.Mapping[str, node_labels.Labels]) -> t.Sequence[node_labels.Step]:
    """What is done, or would be."""
    try:
        kubeconfig = kubeconfig_of_host(module.params["kubeconfig"])
    except ClusterError:
        if not module.check_mode:
            raise
        return node_labels.plan([], wanted)
    labeller = node_labels.Labeller(Kubectl(module_runner(module), kubeconfig))
    steps = labeller.plan(wanted, 0 if module.check_mode else module.params["wait_timeout"])
    if not module.check_mode:
        labeller.apply(steps)
    return steps


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "labels": {"type": "dict", "required": True},
            "kubeconfig": {"type": "path"},
            "wait_timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    try:
        wanted = node_labels.by_node(module.params["labels"])
        steps = _steps(module, wanted)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=any(step.changed for step in steps), labels=wanted, diff=node_labels.told(steps))


if __name__ == "__main__":
    main()
