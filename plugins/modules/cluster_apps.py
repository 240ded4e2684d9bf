#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Launch the applications of a cluster image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_apps
short_description: Launch the applications of a cluster image and wait until they are up
version_added: 0.1.0
description:
  - Runs on the first control plane. Runs the commands of the applications in the launch list, each in the directory
    of its application, then the commands of the image in the directory of the root file system.
  - A plain C(kubectl apply -f FILE) is run when C(kubectl diff) tells a difference. Any other command is run once,
    and again when the files of its application, its environment, the command itself or one before it changes; this
    is recorded in C(/etc/sealer/applications.json).
  - Then waits until the nodes are ready and the Deployments, DaemonSets, StatefulSets and Jobs are available that
    were applied, that commands made or changed, or that are in C(kube-system).
author:
  - sealer.cluster contributors (@sealerio)
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Where the cluster cannot tell yet what a file would change, for it makes a namespace or a kind of its own,
        the command is shown instead.
  idempotent:
    support: full
options:
  description:
    description: The description of the image, as RV(sealer.cluster.image_info#module:image.description).
    type: dict
    required: true
  image_digest:
    description: Digest of the image; its own commands are run again when that changes.
    type: str
    required: true
  rootfs:
    description: Directory of the unpacked image.
    type: path
    default: /var/lib/sealer/rootfs/current
  kubeconfig:
    description: Kubeconfig of an administrator on the host.
    type: path
    default: /etc/kubernetes/admin.conf
  env:
    description: Environment of all commands, above what the image sets.
    type: dict
    default: {}
  secret_env:
    description: Like O(env), for passwords and the like, over it. The values are kept out of logs and results.
    type: dict
    default: {}
  launch:
    description: Applications to launch instead of those that the image launches, in this order.
    type: list
    elements: str
    default: []
  nodes:
    description: Names of the nodes that have to be ready in the end.
    type: list
    elements: str
    default: []
  wait:
    description: Whether to wait.
    type: bool
    default: true
  wait_timeout:
    description: How many seconds one command may take, and how long to wait in the end.
    type: int
    default: 600
"""

EXAMPLES = r"""
- name: Launch what the image brings
  sealer.cluster.cluster_apps:
    description: "{{ preflight_image_info.image.description }}"
    image_digest: "{{ preflight_image_info.image.digest }}"
    nodes: [cp1, w1]
"""

RETURN = r"""
launched:
  description: The commands that were run, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: ["web: kubectl apply -f web.yaml"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import apps_plan
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps import Launcher
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.kubectl import ADMIN_KUBECONFIG, Kubectl
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

ARGUMENT_SPEC = {
    "description": {"type": "dict", "required": True},
    "image_digest": {"type": "str", "required": True},
    "rootfs": {"type": "path", "default": "/var/lib/sealer/rootfs/current"},
    "kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG},
    "env": {"type": "dict", "default": {}},
    "secret_env": {"type": "dict", "default": {}, "no_log": True},
    "launch": {"type": "list", "elements": "str", "default": []},
    "nodes": {"type": "list", "elements": "str", "default": []},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 600},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    params = module.params
    run = module_runner(module)
    try:
        steps = apps_plan.plan(
            params["description"],
            rootfs=params["rootfs"],
            image_digest=params["image_digest"],
            env={
                **apps_plan.environment("env", params["env"]),
                **apps_plan.environment("secret_env", params["secret_env"]),
            },
            launch=params["launch"],
        )
        launcher = Launcher(
            run,
            Kubectl(run, params["kubeconfig"]),
            rootfs=params["rootfs"],
            timeout=params["wait_timeout"],
            check=module.check_mode,
        )
        outcome = launcher.launch(steps)
        if params["wait"] and not module.check_mode:
            launcher.wait(params["nodes"])
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome.launched),
        launched=outcome.launched,
        diff={"before": "".join(outcome.before), "after": "".join(outcome.after)},
    )


if __name__ == "__main__":
    main()
