#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image into a registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_push
short_description: Push an image from a store to a registry
description:
  - Brings an image with everything that belongs to it to a registry, byte for byte, so that its digest stays.
  - What the registry has is not sent again; what another repository of it has is mounted from there.
author:
  - sealer.cluster contributors (@sealerio)
version_added: 0.1.0
requirements:
  - urllib3 >= 2.0, < 3
extends_documentation_fragment:
  - sealer.cluster.attributes
  - sealer.cluster.store
  - sealer.cluster.registries
attributes:
  check_mode:
    support: full
    details: The registry is asked for what the name stands for there and nothing else.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the image in the store.
    type: str
    required: true
  dest:
    description: Name to give it in the registry; O(name) when it is not given.
    type: str
seealso:
  - module: sealer.cluster.image_pull
  - module: sealer.cluster.image_tag
"""

EXAMPLES = r"""
---
- name: Push an image where its name says
  sealer.cluster.image_push:
    name: registry.example.com/clusters/shop:1.0

- name: Push it to a site's registry
  sealer.cluster.image_push:
    name: registry.example.com/clusters/shop:1.0
    dest: registry.site.example:5000/shop:1.0
    registries:
      - host: registry.site.example:5000
        ca_path: /etc/ssl/site-ca.pem
"""

RETURN = r"""
image:
  description: The image.
  returned: success
  type: dict
  contains:
    name:
      description: Full name.
      type: str
      sample: registry.example.com/clusters/shop:1.0
    digest:
      description: Digest of its index.
      type: str
      sample: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
    kind:
      description: V(cluster-image), or V(container-image) for one that only pods run.
      type: str
      sample: cluster-image
    size:
      description: Bytes of all its blobs, each counted once.
      type: int
      sample: 524288000
    platforms:
      description: Platforms that it is in the store for.
      type: list
      elements: str
      sample: [linux/amd64]
    labels:
      description: Labels of its root file system.
      type: dict
      sample: {io.sealer.runtime: kubeadm, io.sealer.runtime.version: v1.35.4}
    runtime:
      description: What runs Kubernetes in it, V(kubeadm), V(k3s) or V(k0s); null when it brings none.
      type: str
      sample: kubeadm
    rootfs:
      description: By platform, the root file system; C(size) is that of its manifest, C(total_size) of all its blobs.
      type: dict
      sample:
        linux/amd64:
          digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
          size: 1024
          total_size: 262144000
    description:
      description: Its applications, their launch order and commands.
      type: dict
      sample: {schemaVersion: 1, applications: [], launch: [], cmds: [], env: {}}
    container_images:
      description: The container images inside it, with C(size) as the bytes of all blobs of each.
      type: list
      elements: dict
      sample:
        - reference: registry.k8s.io/pause:3.10.1
          digest: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
          platform: linux/amd64
          size: 320000
dest:
  description: Name of the image in the registry.
  returned: success
  type: str
  sample: registry.site.example:5000/shop:1.0
stats:
  description: What it took.
  returned: success
  type: dict
  contains:
    bytes_pushed:
      description: Bytes that were sent.
      type: int
      sample: 524288000
    bytes_mounted:
      description: Bytes that the registry took from another of its repositories.
      type: int
      sample: 0
    bytes_reused:
      description: Bytes that were there.
      type: int
      sample: 73400320
    requests:
      description: HTTP requests that were sent.
      type: int
      sample: 42
    seconds:
      description: Time that it took.
      type: float
      sample: 12.5
diff:
  description: The digest that the name stands for in the registry.
  returned: success
  type: dict
  sample:
    before: {registry.site.example:5000/shop:1.0: null}
    after:
      registry.site.example:5000/shop:1.0: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import (
    REGISTRY_SPEC,
    STORE_SPEC,
    ArgumentSpec,
    merged,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._image_results import image_result
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import HAS_URLLIB3, URLLIB3_IMPORT_ERROR
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import from_environment
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import push
from ansible_collections.sealer.cluster.plugins.module_utils._registries import registry_client

SPEC: ArgumentSpec = {"name": {"type": "str", "required": True}, "dest": {"type": "str"}}


def push_image(client: RegistryClient, params: t.Mapping[str, t.Any], check_mode: bool) -> t.Dict[str, t.Any]:
    """Push what the registry has not; gives what the module returns."""
    started = time.monotonic()
    reference = Reference.parse(params["name"])
    dest = Reference.parse(params["dest"] or params["name"])
    layout = Layout.open(params["store"] or default_store())
    with layout.session():
        descriptor = layout.resolve(reference)
        image = image_result(layout, str(reference), descriptor)
        there = client.head_manifest(dest, mirrors=False)
        before = {str(dest): str(there.digest) if there else None}
        after = {str(dest): str(descriptor.digest)}
        stats = {"bytes_pushed": 0, "bytes_mounted": 0, "bytes_reused": 0}
        if before != after and not check_mode:
            progress = from_environment("pushing")
            done = push(client, layout, descriptor, dest, params["parallel"], progress)
            progress.done()
            stats = {"bytes_pushed": done.pushed, "bytes_mounted": done.mounted, "bytes_reused": done.skipped}
    return {
        "changed": before != after,
        "dest": str(dest),
        "image": image,
        "stats": {**stats, "requests": client.requests, "seconds": round(time.monotonic() - started, 3)},
        "diff": {"before": before, "after": after},
    }


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, REGISTRY_SPEC, SPEC), supports_check_mode=True)
    if not HAS_URLLIB3:
        module.fail_json(msg=missing_required_lib("urllib3>=2.0,<3"), exception=URLLIB3_IMPORT_ERROR)
    try:
        with registry_client(module.params) as client:
            result = push_image(client, module.params, module.check_mode)
    except SealerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
