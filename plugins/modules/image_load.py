#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images out of a file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_load
short_description: Load images from a file into a store
description:
  - Reads an OCI archive, as M(sealer.cluster.image_save), C(skopeo copy ... oci-archive:) and C(podman save --format
    oci-archive) write it.
  - It is read as a stream; nothing is unpacked beside the store. Everything is verified before an image gets its name.
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
    support: full
  idempotent:
    support: full
options:
  path:
    description: The file.
    type: path
    required: true
  name:
    description:
      - Name to give the image of a file that has only one, or has one of this name.
      - Without it, the file's names are taken.
    type: str
seealso:
  - module: sealer.cluster.image_save
"""

EXAMPLES = r"""
---
- name: Take an image from a disk
  sealer.cluster.image_load:
    path: /media/disk/shop-1.0.tar
"""

RETURN = r"""
images:
  description:
    - The images in the file, each as RV(image).
    - In check mode, one that is not in the store yet has C(name) and C(digest) only.
  returned: success
  type: list
  elements: dict
  sample: []
image:
  description: The image.
  returned: when the file has one image
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
diff:
  description: What the names stand for, and whether it is all there.
  returned: success
  type: dict
  sample:
    before: {registry.example.com/clusters/shop:1.0: null}
    after:
      registry.example.com/clusters/shop:1.0:
        digest: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        platforms: []
        whole: true
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import STORE_SPEC, ArgumentSpec, merged
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._image_results import (
    image_result,
    name_state_after,
    whole_state,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.archive import contents, load
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import from_environment
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

SPEC: ArgumentSpec = {"path": {"type": "path", "required": True}, "name": {"type": "str"}}


def load_images(store: str, path: str, name: t.Optional[str], check_mode: bool) -> t.Dict[str, t.Any]:
    """Load the file where it brings something; gives what the module returns."""
    wanted = Reference.parse(name) if name else None
    layout = Layout.open(store) if Layout.exists(store) else None
    named = contents(path, wanted)
    before = {str(reference): whole_state(layout, reference) for reference, _descriptor in named}
    after = {
        str(reference): {**name_state_after(layout, reference, descriptor), "whole": True}
        for reference, descriptor in named
    }
    if before != after and not check_mode:
        layout = Layout.open(store, create=True)
        progress = from_environment("loading")
        named = load(layout, path, progress, wanted)
        progress.done()
    images = [_told(layout, reference, descriptor) for reference, descriptor in named]
    result: t.Dict[str, t.Any] = {
        "changed": before != after,
        "images": images,
        "diff": {"before": before, "after": after},
    }
    return {**result, "image": images[0]} if len(images) == 1 else result


def _told(layout: t.Optional[Layout], reference: Reference, descriptor: Descriptor) -> t.Dict[str, t.Any]:
    if layout is None or not layout.has(descriptor.digest):
        return {"name": str(reference), "digest": str(descriptor.digest)}
    return image_result(layout, str(reference), descriptor)


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, SPEC), supports_check_mode=True)
    params = module.params
    try:
        result = load_images(
            params["store"] or default_store(), os.path.abspath(params["path"]), params["name"], module.check_mode
        )
    except SealerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
