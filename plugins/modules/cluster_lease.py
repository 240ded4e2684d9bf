#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hold the lease of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lease
short_description: Hold the lease of a cluster, so that one run at a time changes it
version_added: 0.1.0
description:
  - Acquires a lease on a host until this run of C(ansible-playbook) ends, and fails while another run has it. Take it
    on all control planes before anything of the cluster is changed, as the playbooks of this collection do.
  - A process on the controller renews the lease every ten seconds, and ends it within seconds after the run has ended,
    however it did. Where that process ends together with the run, as in a container whose first process is
    C(ansible-playbook), the lease counts for O(duration) seconds more.
  - The lease of a run that is dead is replaced. Where the dead run was one of this controller, that is at once; else
    where the lease has not been renewed for O(duration) seconds, for which this module waits.
  - A run whose lease was replaced, as when its controller slept for longer, is interrupted once the controller is back.
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
    details: No lease is acquired. RV(holder) tells who has it, if somebody does.
  diff_mode:
    support: none
    details: There is nothing that stays.
  idempotent:
    support: full
    details: Never reports a change, as the lease ends with the run.
options:
  duration:
    description: For how many seconds a lease counts after it was renewed. Less than 20 leaves no room for a slow host.
    type: int
    default: 45
  directory:
    description: Directory on the host that the lease is in. It is removed with the lease.
    type: path
    default: /run/sealer-lease
  holder:
    description: Who acquires the lease. Set by the action plugin of this module.
    type: dict
  replaced:
    description: Identity of a holder that is taken for dead. Set by the action plugin of this module.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Let no other run change the cluster meanwhile
  sealer.cluster.cluster_lease:
  loop: "{{ groups | sealer.cluster.cluster_hosts('control_plane') }}"
  delegate_to: "{{ item }}"
  become: true
  run_once: true
  ignore_unreachable: true
"""

RETURN = r"""
holder:
  description: The run that has the lease, this one where the module succeeded. Empty in check mode where nobody has it.
  returned: always
  type: dict
  sample:
    identity: 7b1c7e0e5d3b4f0f9d1a4f3f3a3c2b10
    user: alice
    machine: laptop
    process: 4711
    acquired: "2026-11-30T12:03:04Z"
renewed:
  description: How many seconds ago another run renewed the lease.
  returned: when another run has the lease
  type: float
  sample: 3.2
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.lease import DEFAULT_DIRECTORY, Holder, Lease
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC: t.Dict[str, t.Any] = {
    "duration": {"type": "int", "default": 45},
    "directory": {"type": "path", "default": DEFAULT_DIRECTORY},
    "holder": {"type": "dict"},
    "replaced": {"type": "str", "default": ""},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    lease = Lease(module.params["directory"])
    try:
        if module.check_mode:
            holder, held = None, lease.held_by_another()
        else:
            holder = Holder.from_json(module.params["holder"])
            held = lease.acquire(holder, module.params["replaced"], module.params["duration"])
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    if held is not None:
        module.exit_json(changed=False, holder=held.holder.to_json(), renewed=held.renewed)
    module.exit_json(changed=False, holder=holder.to_json() if holder else {})


if __name__ == "__main__":
    main()
