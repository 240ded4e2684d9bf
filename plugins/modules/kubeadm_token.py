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
  - Runs on a control plane. Makes a bootstrap token that soon expires, when one of the hosts named is not a working
    node yet.
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
      - Once all nodes named are ready, no token is made.
options:
  nodes:
    description: Names of the nodes that the cluster shall have.
    type: list
    elements: str
    required: true
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
    nodes: [w1, w2]
  delegate_to: cp1
  run_once: true
  no_log: true
  register: credentials
"""

RETURN = r"""
missing:
  description: Which of the nodes are not there or not ready.
  returned: success
  type: list
  elements: str
  sample: [w1]
token:
  description: The token, or V(none) when no node is missing, and in check mode.
  returned: success
  type: str
  sample: abcdef.0123456789abcdef
endpoint:
  description: Address and port of the API server.
  returned: success
  type: str
  sample: 10.0.0.11:6443
ca:
  description: CA certificate of the cluster in PEM form.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE-----..."
ca_hash:
  description: SHA-256 of that certificate.
  returned: success
  type: str
  sample: 7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import kubeadm_token
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.state import STATE_PATH, read_state
from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError, SealerError


def no_cluster_yet(nodes: t.List[str]) -> t.Dict[str, object]:
    """The answer of check mode on a host that is still bare."""
    return {"missing": sorted(set(nodes)), "token": None, "endpoint": "", "ca": "", "ca_hash": ""}


def credentials(module: AnsibleModule) -> t.Dict[str, object]:
    nodes = list(module.params["nodes"])
    if module.check_mode and not os.path.exists(ADMIN_KUBECONFIG):
        return no_cluster_yet(nodes)
    ca = kubeadm_token.certificate_authority()
    state = read_state()
    if state is None:
        raise ClusterError(
            "this control plane has no record of its cluster",
            where=STATE_PATH,
            fix="Run the init entry point of the kubeadm role on it, which writes the record",
        )
    run = module_runner(module)
    missing = kubeadm_token.missing_nodes(nodes, Kubectl(run, ADMIN_KUBECONFIG, module.tmpdir).items("nodes"))
    token = kubeadm_token.create_token(run, module.params["ttl"]) if missing and not module.check_mode else None
    return {
        "missing": missing,
        "token": token,
        "endpoint": state["endpoint"],
        "ca": ca,
        "ca_hash": kubeadm_token.fingerprint(ca),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "ttl": {"type": "str", "default": "15m0s"},
        },
        supports_check_mode=True,
    )
    try:
        found = credentials(module)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    after = f"bootstrap token for {module.params['ttl']}\n" if found["missing"] else ""
    module.exit_json(changed=bool(found["missing"]), diff={"before": "", "after": after}, **found)


if __name__ == "__main__":
    main()
