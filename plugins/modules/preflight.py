#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell everything that is wrong with a host, before anything is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight
short_description: Tell everything that is wrong with a host, before anything is changed
version_added: 0.1.0
description:
  - Looks at root rights, Python, systemd, architecture, host name, clock, swap, ports, disk space, at installations of
    Kubernetes and container runtimes that this collection did not make, and whether registries answer this host.
  - Fails with all problems together, each with its reason and what to do about it. Changes nothing.
  - Passes again on a host where this collection has installed a cluster.
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
  platforms:
    description: Platforms that the image is made for. Empty accepts every host.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports that have to be free, or held by what this collection runs.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: Number of the port.
        type: int
        required: true
      why:
        description: Who will listen there.
        type: str
        required: true
  disk:
    description:
      - Bytes that paths will hold in the end.
      - What is below them already is subtracted, then those on the same file system are added up.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: The path, which need not exist.
        type: path
        required: true
      bytes:
        description: How much it will hold.
        type: int
        required: true
  swap_allowed:
    description: Whether the kubelet is told to run with swap.
    type: bool
    default: false
  controller_time:
    description: Seconds since the epoch, by the clock of the controller. Without it, clocks are not compared.
    type: float
  time_skew:
    description: Seconds by which clocks may differ. Time that the task waited for its turn counts, too.
    type: float
    default: 120
  service_subnets:
    description: Networks of Services. The kernel must have a route to each; no packet is sent.
    type: list
    elements: str
    default: []
  registries:
    description: Registries that this host will take images from, instead of mirrors that are still to be installed.
    type: list
    elements: dict
    default: []
    suboptions:
      url:
        description: URL of the registry. It has to answer, with a certificate that can be trusted.
        type: str
        required: true
      username:
        description: User that it has to let in.
        type: str
      password:
        description: The user's password.
        type: str
      ca_certificate:
        description: The certificate authorities to trust there, in PEM form; those of the host unless set.
        type: str
  cluster:
    description:
      - The cluster that the host is to be a node of. A host that belongs to another one, or to one of another runtime,
        is refused. Not given for a host that becomes no node.
    type: dict
    suboptions:
      name:
        description: Name of the cluster.
        type: str
        required: true
      runtime:
        description: Name and version of the runtime, C(name) and C(version).
        type: dict
        required: true
      endpoint:
        description: Address and port of the API.
        type: str
        required: true
      networks:
        description: Networks of C(pods) and C(services).
        type: dict
        required: true
      node:
        description: Name of the host's node. A host that is another node of the cluster is refused.
        type: str
        default: ""
      role:
        description: What the host is to be in the cluster. A host that is the other one already is refused.
        type: str
        choices: ["", control_plane, worker]
        default: ""
  recorded:
    description:
      - What a control plane has recorded of its cluster, of the same form. Empty where there is none yet. What is set
        when a cluster is made and differs from O(cluster) is refused.
    type: dict
    default: {}
  registry:
    description: Whether the host is to serve images. Where it is not, a mirror that is there is a warning.
    type: bool
  problems:
    description: Problems found elsewhere, as in the inventory, to be told with the others.
    type: list
    elements: str
    default: []
  warnings:
    description: What was found elsewhere and is no hindrance.
    type: list
    elements: str
    default: []
  journal:
    description: The file that remembers what this collection made, as in M(sealer.cluster.host_config).
    type: path
    default: /var/lib/sealer/host.json
seealso:
  - module: sealer.cluster.host_config
"""

EXAMPLES = r"""
- name: Look before installing
  sealer.cluster.preflight:
    platforms: [linux/amd64]
    ports:
      - port: 6443
        why: the API server
    disk:
      - path: /var/lib/containerd
        bytes: 2000000000
"""

RETURN = r"""
problems:
  description: What is wrong, also when it fails.
  returned: always
  type: list
  elements: str
  sample: []
"""

import platform
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import membership
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host, Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import DEFAULT_JOURNAL, Journal
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.preflight_checks import (
    Port,
    Space,
    Wanted,
    examine,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.registry_access import Registry
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError

_PORT = {"port": {"type": "int", "required": True}, "why": {"type": "str", "required": True}}
_REGISTRY = {
    "url": {"type": "str", "required": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "str"},
}
_CLUSTER = {
    "name": {"type": "str", "required": True},
    "runtime": {"type": "dict", "required": True},
    "endpoint": {"type": "str", "required": True},
    "networks": {"type": "dict", "required": True},
    "node": {"type": "str", "default": ""},
    "role": {"type": "str", "choices": ["", membership.CONTROL_PLANE, membership.WORKER], "default": ""},
}
_DISK = {"path": {"type": "path", "required": True}, "bytes": {"type": "int", "required": True}}
ARGUMENT_SPEC: Json = {
    "platforms": {"type": "list", "elements": "str", "default": []},
    "ports": {"type": "list", "elements": "dict", "default": [], "options": _PORT},
    "disk": {"type": "list", "elements": "dict", "default": [], "options": _DISK},
    "swap_allowed": {"type": "bool", "default": False},
    "controller_time": {"type": "float"},
    "time_skew": {"type": "float", "default": 120},
    "service_subnets": {"type": "list", "elements": "str", "default": []},
    "registries": {"type": "list", "elements": "dict", "default": [], "options": _REGISTRY},
    "cluster": {"type": "dict", "options": _CLUSTER},
    "recorded": {"type": "dict", "default": {}},
    "registry": {"type": "bool"},
    "problems": {"type": "list", "elements": "str", "default": []},
    "warnings": {"type": "list", "elements": "str", "default": []},
    "journal": {"type": "path", "default": DEFAULT_JOURNAL},
}


def wanted(params: Json) -> Wanted:
    """What the options ask for."""
    return Wanted(
        platforms=params["platforms"],
        ports=[Port(item["port"], item["why"]) for item in params["ports"]],
        spaces=[Space(item["path"], item["bytes"]) for item in params["disk"]],
        swap_allowed=params["swap_allowed"],
        controller_time=params["controller_time"],
        time_skew=params["time_skew"],
        service_subnets=params["service_subnets"],
        registries=[Registry(**given) for given in params["registries"]],
        cluster=params["cluster"],
        recorded=params["recorded"],
        registry=params["registry"],
    )


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    host = Host(module_runner(module), check=True)
    try:
        journal = Journal.read(module.params["journal"])
        found = examine(host, journal, wanted(module.params), time.time(), platform.node())
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error), problems=[str(error)])
    for warning in module.params["warnings"] + found.warnings:
        module.warn(warning)
    problems = module.params["problems"] + [str(problem) for problem in found.problems]
    if problems:
        told = "".join(f"\n{number}. {problem}" for number, problem in enumerate(problems, 1))
        module.fail_json(msg=f"This host is not ready for a cluster. Nothing was changed.{told}", problems=problems)
    module.exit_json(changed=False, problems=[])


if __name__ == "__main__":
    main()
