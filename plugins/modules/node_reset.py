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
  - Takes the member of etcd of a control plane out, stops the node, and removes its containers. Any container runtime
    of kubeadm's is asked by C(kubeadm reset). That sees empty directories in place of the host's, as it would empty
    what is mounted there as well. C(k0s reset) would, too, and is not run.
  - Removes what then is left of pods and of the node. These are processes, mounts, network links, rules of iptables
    and nftables, CNI configuration, directories and cgroups. Puts back the kernel settings that the kubelet and
    kube-proxy changed.
  - Only what the node made is touched. What was there before the host became one is known from
    C(/var/lib/sealer/kubeadm.json), C(k0s.json) or C(k3s.json).
  - No directory is entered in which something is mounted that was not there before, and no link is followed. Mounts,
    chains and links of others, network namespaces in which their processes are, directories of which a part is theirs,
    and C(/run/containerd) while somebody else listens there, stay, and are told in RV(kept).
  - A host that this collection did not make a node of is left alone, unless O(force=true). So is one on which another
    kubelet runs; that is an error.
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
  keep_quorum:
    description:
      - The cluster goes on without this host. Where too few members of etcd that answer would stay, it is an error, and
        nothing is changed.
    type: bool
    default: false
  force:
    description:
      - Reset the host even if nothing is recorded of it. Then everything in the directories of Kubernetes is
        removed, but for what is mounted there.
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
kept:
  description: What stays though it is where a node's things are or is called like them, and why, one line each.
  returned: success
  type: list
  elements: str
  sample: ["/var/lib/etcd/nas: nfs4 of nas:/export is mounted there, and not by the node"]
runtime_output:
  description: The end of what C(kubeadm reset) said.
  returned: when it was run
  type: str
  sample: "[reset] Stopping the kubelet service"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import only_run
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubeadm import tail
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_reset import Cleared, NodeReset
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.node_survey import (
    DEFAULT_CNI_FILES,
    DEFAULT_CRI_SOCKET,
    DEFAULT_LINKS,
    ResetSettings,
    printable,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.traces import BY_RUNTIME
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC: Json = {
    "runtime": {"type": "str", "choices": sorted(BY_RUNTIME), "default": "kubeadm"},
    "cri_socket": {"type": "str", "default": DEFAULT_CRI_SOCKET},
    "cni_files": {"type": "list", "elements": "str", "default": list(DEFAULT_CNI_FILES)},
    "links": {"type": "list", "elements": "str", "default": list(DEFAULT_LINKS)},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "keep_quorum": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


def run_module(module: AnsibleModule) -> Json:
    """Do it; the result of the module."""
    params = dict(module.params)
    traces = BY_RUNTIME[params.pop("runtime")]
    node = NodeReset(module_runner(module), ResetSettings(**params), traces)
    found, done = node.survey(), Cleared()
    if node.foreign:
        module.warn("This host is a node that sealer.cluster did not make; it is left alone. Use force to reset it.")
    lines = found.lines()
    if lines:
        node.refuse()
    if lines and not module.check_mode:
        done = node.clear()
    if done.hindrance:
        module.warn(f"The member of etcd could not leave: {done.hindrance}")
    kept = list(map(printable, [*found.kept, *done.met]))
    for line in kept:
        module.warn(f"Left as it is: {line}")
    return {
        "changed": bool(lines),
        "removed": lines,
        "kept": kept,
        "diff": {"before": text_of([*lines, *kept]), "after": text_of(kept)},
        **({"runtime_output": tail(done.said)} if done.said else {}),
    }


def text_of(lines: t.Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        with only_run(module.check_mode):
            result = run_module(module)
    except (SealerError, OSError) as error:
        module.fail_json(msg=printable(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
