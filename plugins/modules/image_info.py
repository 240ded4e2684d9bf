#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in a store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_info
short_description: Tell what images are in a store
description:
  - Tells about one image, or about all that have a name of their own in the store.
  - A store that does not exist is an empty one.
author:
  - sealer.cluster contributors (@sealerio)
version_added: 0.1.0
extends_documentation_fragment:
  - sealer.cluster.attributes
  - sealer.cluster.store
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: Nothing is changed.
  idempotent:
    support: full
options:
  name:
    description: Name of the image to tell about. Without it, all images are told.
    type: str
  must_exist:
    description: Fail when the image called O(name) is not in the store, and tell which names are near.
    type: bool
    default: false
seealso:
  - module: sealer.cluster.image_build
  - module: sealer.cluster.image_pull
"""

EXAMPLES = r"""
---
- name: Look at an image
  sealer.cluster.image_info:
    name: registry.example.com/clusters/shop:1.0
  register: shop

- name: Say which container images it brings
  ansible.builtin.debug:
    msg: "{{ shop.image.container_images | map(attribute='reference') }}"
  when: shop.exists

- name: List the store
  sealer.cluster.image_info:
"""

RETURN = r"""
exists:
  description: Whether the image is in the store.
  returned: when O(name) is given
  type: bool
  sample: true
image:
  description: The image.
  returned: when O(name) is given and the image is in the store
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
images:
  description: The images, each as RV(image).
  returned: success
  type: list
  elements: dict
  sample: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import STORE_SPEC, merged
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._image_results import image_result, list_images
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference


def info(store: str, name: t.Optional[str], must_exist: bool = False) -> t.Dict[str, t.Any]:
    """What the module returns.

    Raises OciError when the image must exist and does not.
    """
    reference = Reference.parse(name) if name else None
    layout = Layout.open(store) if Layout.exists(store) else None
    if reference is None:
        return {"images": list_images(layout) if layout else []}
    if must_exist:
        (layout or Layout.open(store)).resolve(reference)
    found = layout.find(reference) if layout else None
    if layout is None or found is None:
        return {"exists": False, "images": []}
    image = image_result(layout, str(reference), found)
    return {"exists": True, "image": image, "images": [image]}


def main() -> None:
    spec = merged(STORE_SPEC, {"name": {"type": "str"}, "must_exist": {"type": "bool", "default": False}})
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    params = module.params
    try:
        result = info(params["store"] or default_store(), params["name"], params["must_exist"])
    except SealerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
