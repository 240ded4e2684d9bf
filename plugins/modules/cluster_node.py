#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a node out of the API."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_node
short_description: Take a node out of a cluster's API
version_added: 0.1.0
description:
  - Runs on a control plane and deletes the Node object of a host that is no member any more, with its Lease.
  - A member of etcd that the host left behind and that does not answer any more is removed as well, and so is what k0s
    knows of the host as a control plane. k0s calls both as the host itself is called. They are known by the address
    that the node has in the API or in C(/etc/sealer/cluster.json), and by their name where it has none there.
  - Where no member of a control plane is found and others that do not answer are at no address of another node, that is
    a warning.
  - Does not touch the host itself. M(sealer.cluster.node_reset) does.
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
    description: Name of the node, as the inventory calls its host.
    type: str
    required: true
  kubeconfig:
    description: Kubeconfig of an administrator on the host where the module runs. By default the runtime's.
    type: path
  state:
    description: Only V(absent), for now.
    type: str
    choices: [absent]
    default: absent
"""

EXAMPLES = r"""
- name: Forget the host
  sealer.cluster.cluster_node:
    name: w1
    state: absent
  delegate_to: cp1
"""

RETURN = r"""
name:
  description: Name of the node.
  returned: success
  type: str
  sample: w1
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, membership, node_removal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd, place_here
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeconfig import kubeconfig_of_host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import read_state
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "kubeconfig": {"type": "path"},
            "state": {"type": "str", "choices": ["absent"], "default": "absent"},
        },
        supports_check_mode=True,
    )
    name = membership.node_name(module.params["name"])
    run = module_runner(module)
    try:
        kubectl, etcd = Kubectl(run, kubeconfig_of_host(module.params["kubeconfig"])), Etcd(run, place_here())
        with_controllers = os.path.exists(k0s.ADMIN_KUBECONFIG)
        found = node_removal.plan(name, kubectl, etcd, read_state() or {}, with_controllers)
        if not module.check_mode:
            found.carry_out(kubectl, etcd)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in found.warnings():
        module.warn(warning)
    before = "".join(f"{line}\n" for line in found.lines())
    module.exit_json(changed=bool(before), name=name, diff={"before": before, "after": ""})


if __name__ == "__main__":
    main()
