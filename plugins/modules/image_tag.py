#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Further names for an image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_tag
short_description: Give an image in a store further names
description:
  - Gives an image one or several further names. The names it has stay.
  - A name that stood for another image stands for this one afterwards.
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
  name:
    description: Name that the image has.
    type: str
    required: true
  target:
    description: Names to give it.
    type: list
    elements: str
    required: true
seealso:
  - module: sealer.cluster.image_push
  - module: sealer.cluster.image_remove
"""

EXAMPLES = r"""
---
- name: Name an image after the site's registry, to push it there
  sealer.cluster.image_tag:
    name: registry.example.com/clusters/shop:1.0
    target:
      - registry.site.example/shop:1.0
      - registry.site.example/shop:latest
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
diff:
  description: What the target names stand for.
  returned: success
  type: dict
  sample:
    before: {registry.site.example/shop:1.0: null}
    after:
      registry.site.example/shop:1.0:
        digest: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        platforms: []
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import STORE_SPEC, ArgumentSpec, merged
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._image_results import (
    image_result,
    name_state,
    name_state_after,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

SPEC: ArgumentSpec = {
    "name": {"type": "str", "required": True},
    "target": {"type": "list", "elements": "str", "required": True},
}


def tag(layout: Layout, name: str, targets: t.Sequence[str], check_mode: bool) -> t.Dict[str, t.Any]:
    """Name the image; gives what the module returns."""
    reference = Reference.parse(name)
    wanted = [Reference.parse(target) for target in targets]
    with layout.session():
        descriptor = layout.resolve(reference)
        names = layout.names()
        before = {str(target): name_state(names.get(str(target))) for target in wanted}
        after = {str(target): name_state_after(layout, target, descriptor) for target in wanted}
        if not check_mode:
            for target in wanted:
                layout.tag(target, descriptor)
        image = image_result(layout, str(reference), descriptor)
    return {"changed": before != after, "image": image, "diff": {"before": before, "after": after}}


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, SPEC), supports_check_mode=True)
    params = module.params
    try:
        layout = Layout.open(params["store"] or default_store())
        result = tag(layout, params["name"], params["target"], module.check_mode)
    except SealerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
