#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a node a plain host again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_reset
short_description: Make a node of a cluster a plain host again
version_added: 0.1.0
description:
  - Runs C(kubeadm reset), or takes the member of k0s or k3s out of etcd and runs C(k0s reset) or stops k3s, which has
    no reset of its own. Removes what that leaves, which are containers of pods, mounts, network links, rules of
    iptables and nftables, CNI configuration, directories, cgroups, and puts back the kernel settings that the kubelet
    and kube-proxy changed.
  - Only what Kubernetes made is touched. What was there before the host became a node is known from
    C(/var/lib/sealer/kubeadm.json), C(k0s.json) or C(k3s.json).
  - A host that this collection did not make a node of is left alone, unless O(force=true).
  - Fails when something is still there at the end.
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
  runtime:
    description: What made a node of the host.
    type: str
    choices: [k0s, k3s, kubeadm]
    default: kubeadm
    version_added: 0.2.0
  cri_socket:
    description: Socket of the container runtime. k0s and k3s have their own.
    type: str
    default: unix:///run/containerd/containerd.sock
  cni_files:
    description: Files in C(/etc/cni/net.d) that the network application wrote. Others stay.
    type: list
    elements: str
    default: [10-flannel.conflist]
  links:
    description:
      - Names of network links that the network application makes, as shell patterns. Links that were there before
        stay.
    type: list
    elements: str
    default: [cni0, flannel.*, flannel-v6.*, kube-ipvs0]
  addresses:
    description:
      - Addresses that pods give to network links of the host, as a virtual address. Those that were there before stay.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  force:
    description:
      - Reset the host even if nothing is recorded of it. Then everything in the directories of Kubernetes is
        removed.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Make the host what it was
  sealer.cluster.node_reset:
"""

RETURN = r"""
removed:
  description: What was removed, or would be in check mode, one line each.
  returned: success
  type: list
  elements: str
  sample: [service kubelet.service, link cni0, path /etc/kubernetes]
runtime_output:
  description: The end of what the runtime said to its own reset.
  returned: when it was run
  type: str
  sample: "[reset] Deleted contents of the etcd data directory: /var/lib/etcd"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm import tail
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import (
    DEFAULT_CNI_FILES,
    DEFAULT_CRI_SOCKET,
    DEFAULT_LINKS,
    NodeReset,
    ResetSettings,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import BY_RUNTIME
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "runtime": {"type": "str", "choices": sorted(BY_RUNTIME), "default": "kubeadm"},
            "cri_socket": {"type": "str", "default": DEFAULT_CRI_SOCKET},
            "cni_files": {"type": "list", "elements": "str", "default": list(DEFAULT_CNI_FILES)},
            "links": {"type": "list", "elements": "str", "default": list(DEFAULT_LINKS)},
            "addresses": {"type": "list", "elements": "str", "default": []},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    said = ""
    params = dict(module.params)
    traces = BY_RUNTIME[params.pop("runtime")]
    try:
        node = NodeReset(module_runner(module), ResetSettings(**params), traces)
        found = node.survey().lines()
        if node.foreign:
            module.warn(
                "This host is a node that sealer.cluster did not make; it is left alone. Use force to reset it."
            )
        if found and not module.check_mode:
            said = node.clear()
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(found),
        removed=found,
        diff={"before": "".join(f"{line}\n" for line in found), "after": ""},
        **({"runtime_output": tail(said)} if said else {}),
    )


if __name__ == "__main__":
    main()
