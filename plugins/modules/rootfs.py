#!/usr/bin/python
# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring the root file system of a cluster image to a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rootfs
short_description: Bring the root file system of a cluster image to a host
version_added: 0.1.0
description:
  - Takes the layers by digest from a store on the host, else from mirrors or another registry, and checks them while
    they are unpacked.
  - The tree gets a directory named by its digest; C(current) beside it is switched to it in one step when it is whole.
  - The programs in it are linked into directories of the host; where anything else has one of their names, nothing is
    switched.
  - Only the current tree is kept.
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
  state:
    description: Whether the tree and its links are there.
    type: str
    choices: [present, absent]
    default: present
  manifest:
    description: Digest of the image manifest of this host's platform. Required with O(state=present).
    type: str
  reference:
    description:
      - Name of the cluster image, by which mirrors are asked. Required with O(state=present).
      - Where another registry than the cluster's mirrors is in O(mirrors), the name that the image has there.
    type: str
  store:
    description: Directory of a store on this host, used for what it has.
    type: path
  mirrors:
    description:
      - URLs of mirrors, or of the registry in O(reference), asked in this order.
      - A download that breaks off goes on where it was, at the same one or the next.
    type: list
    elements: str
    default: []
  ca_path:
    description:
      - File with the certificate authorities to trust for O(mirrors). Without it and O(ca_certificate), those that the
        host trusts.
    type: path
  ca_certificate:
    description: The certificate authorities themselves, in PEM form, instead of O(ca_path).
    type: str
  username:
    description:
      - User to log in with at O(mirrors) that do not answer everybody, in the way that they ask for it, also by tokens.
        Nobody else is told, but the token servers that they name, which have to speak HTTPS if they do.
    type: str
  password:
    description: The user's password.
    type: str
  links:
    description: Which directories of the tree are linked where, file by file.
    type: list
    elements: dict
    default: [{'from': bin, to: /usr/local/bin}, {'from': cni/bin, to: /opt/cni/bin}]
    suboptions:
      from:
        description: Directory in the tree.
        type: str
        required: true
      to:
        description: Directory of the host.
        type: str
        required: true
  directory:
    description: Where trees are kept.
    type: path
    default: /var/lib/sealer/rootfs
  journal:
    description: The file that remembers what was there before, as in M(sealer.cluster.host_config).
    type: path
    default: /var/lib/sealer/host.json
seealso:
  - module: sealer.cluster.host_config
"""

EXAMPLES = r"""
- name: Bring the tree from the mirrors
  sealer.cluster.rootfs:
    manifest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    reference: registry.example.com/clusters/shop:1.0
    mirrors: [https://10.0.0.11:5000, https://10.0.0.12:5000]
    ca_path: /etc/sealer/pki/ca.crt

- name: Bring it from a registry of yours
  sealer.cluster.rootfs:
    manifest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    reference: harbor.example.com/site/registry.example.com/clusters/shop:1.0
    mirrors: [https://harbor.example.com]
    username: robot
    password: "{{ vault_harbor_password }}"

- name: Take it away
  sealer.cluster.rootfs:
    state: absent
"""

RETURN = r"""
digest:
  description: Digest of the manifest.
  returned: when O(state=present)
  type: str
  sample: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
path:
  description: Where the tree is.
  returned: when O(state=present)
  type: str
  sample: /var/lib/sealer/rootfs/9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
bytes:
  description: Bytes that were fetched from mirrors or another registry.
  returned: when O(state=present)
  type: int
  sample: 262144000
rootfs_links:
  description: The links into the tree; empty in check mode as long as the tree is not there.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [/usr/local/bin/kubeadm, /usr/local/bin/kubelet]
"""

import contextlib

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._cluster import rootfs_tree
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.commands import module_runner
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host import Host, Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_journal import (
    DEFAULT_JOURNAL,
    Journal,
    locked,
)
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.host_steward import Steward
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.registry_access import Registry
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.rootfs_source import Source
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

ARGUMENT_SPEC: Json = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "manifest": {"type": "str"},
    "reference": {"type": "str"},
    "store": {"type": "path"},
    "mirrors": {"type": "list", "elements": "str", "default": []},
    "ca_path": {"type": "path"},
    "ca_certificate": {"type": "str"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "links": {
        "type": "list",
        "elements": "dict",
        "default": [{"from": "bin", "to": "/usr/local/bin"}, {"from": "cni/bin", "to": "/opt/cni/bin"}],
        "options": {"from": {"type": "str", "required": True}, "to": {"type": "str", "required": True}},
    },
    "directory": {"type": "path", "default": rootfs_tree.DEFAULT_DIRECTORY},
    "journal": {"type": "path", "default": DEFAULT_JOURNAL},
}


def apply(host: Host, params: Json) -> Json:
    """Bring the tree, or take it away; what the module returns."""
    journal = Journal.read(params["journal"])
    if params["state"] == "absent":
        gone = Steward(host, journal, rootfs_tree.OWNER).absent()
        return {"changed": gone.changed, "diff": gone.diff}
    mappings = [rootfs_tree.Mapping(link["from"], link["to"]) for link in params["links"]]
    request = rootfs_tree.RootfsRequest(Digest.parse(params["manifest"]), params["directory"], mappings)
    access = {name: params[name] for name in ("username", "password", "ca_path", "ca_certificate")}
    registries = [Registry(url, **access) for url in params["mirrors"]]
    source = Source(Reference.parse(params["reference"]), store=params["store"], registries=registries)
    found = rootfs_tree.Rootfs(host, journal, request).present(source)
    return {
        "changed": found.outcome.changed,
        "diff": found.outcome.diff,
        "digest": str(request.manifest),
        "path": request.path,
        "bytes": source.downloaded,
        "rootfs_links": found.links,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", ("manifest", "reference"))],
        required_together=[("username", "password")],
        mutually_exclusive=[("ca_path", "ca_certificate")],
        supports_check_mode=True,
    )
    host = Host(module_runner(module), check=module.check_mode)
    try:
        with contextlib.nullcontext() if module.check_mode else locked(module.params["journal"]):
            result = apply(host, module.params)
    except (SealerError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in host.warnings:
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
