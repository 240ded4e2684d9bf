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
    knows of the host as a control plane.
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
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import k0s, membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.etcd import Etcd, place_here
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeconfig import kubeconfig_of_host
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError


def _kinds() -> t.Sequence[str]:
    """What a host may be in the cluster: k0s keeps an object for each control plane besides."""
    return ("node", k0s.CONTROLLERS) if os.path.exists(k0s.ADMIN_KUBECONFIG) else ("node",)


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
        objects = [kind for kind in _kinds() if kubectl.get(kind, name) is not None]
        members = etcd.left_by(name) if etcd.stacked else []
        if not module.check_mode:
            for member in members:
                etcd.remove(member)
            for kind in objects:
                kubectl.delete(kind, name)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    before = [f"member {member.called} of etcd\n" for member in members]
    before += [f"{kind.partition('.')[0]} {name}\n" for kind in objects]
    module.exit_json(changed=bool(before), name=name, diff={"before": "".join(before), "after": ""})


if __name__ == "__main__":
    main()
