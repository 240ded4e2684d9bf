#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image as one file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_save
short_description: Save an image from a store as one file
description:
  - Writes an image with everything that belongs to it as an OCI archive, which M(sealer.cluster.image_load), skopeo and
    podman read.
  - The same image under the same name gives the same bytes.
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
    description: Name of the image.
    type: str
    required: true
  dest:
    description: File to write. Its directory has to exist.
    type: path
    required: true
  force:
    description: Write the file also when it holds this image already.
    type: bool
    default: false
notes:
  - What a file holds is read from its beginning and its length. Its blobs are verified when they are loaded, not here.
seealso:
  - module: sealer.cluster.image_load
"""

EXAMPLES = r"""
---
- name: Put an image on a disk to carry
  sealer.cluster.image_save:
    name: registry.example.com/clusters/shop:1.0
    dest: /media/disk/shop-1.0.tar
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
  description: The file.
  returned: success
  type: str
  sample: /media/disk/shop-1.0.tar
size:
  description: Bytes of the file.
  returned: success, outside check mode
  type: int
  sample: 524349440
diff:
  description: The digest that the file holds by name.
  returned: success
  type: dict
  sample:
    before: {}
    after:
      registry.example.com/clusters/shop:1.0: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import STORE_SPEC, ArgumentSpec, merged
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._image_results import image_result
from ansible_collections.sealer.cluster.plugins.module_utils._oci.archive import contents, save
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import from_environment
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

SPEC: ArgumentSpec = {
    "name": {"type": "str", "required": True},
    "dest": {"type": "path", "required": True},
    "force": {"type": "bool", "default": False},
}
TAR_BLOCK = 512
TAR_END = bytes(2 * TAR_BLOCK)


def save_image(layout: Layout, name: str, dest: str, force: bool, check_mode: bool) -> t.Dict[str, t.Any]:
    """Write the file where it is needed; gives what the module returns."""
    reference = Reference.parse(name)
    if os.path.isdir(dest) or not os.path.isdir(os.path.dirname(os.path.abspath(dest))):
        raise OciError(
            "the archive cannot be written there",
            where=dest,
            why="it is a directory" if os.path.isdir(dest) else "its directory does not exist",
        )
    with layout.session():
        descriptor = layout.resolve(reference)
        before = held(layout, dest, descriptor)
        after = {str(reference): str(descriptor.digest)}
        changed = force or before != after
        result = {
            "changed": changed,
            "dest": dest,
            "image": image_result(layout, str(reference), descriptor),
            "diff": {"before": before, "after": after},
        }
        if not check_mode:
            if changed:
                progress = from_environment("saving")
                save(layout, descriptor, reference, dest, progress)
                progress.done()
            result["size"] = os.path.getsize(dest)
    return result


def held(layout: Layout, dest: str, wanted: Descriptor) -> t.Dict[str, str]:
    """The digests by name in the file, as far as it is an archive that is long enough for the image."""
    if not os.path.exists(dest):
        return {}
    try:
        found = {str(reference): str(descriptor.digest) for reference, descriptor in contents(dest)}
    except OciError:
        return {}
    if str(wanted.digest) in found.values() and not is_long_enough(dest, layout.reachable(wanted)):
        return {}
    return found


def is_long_enough(path: str, blobs: t.Iterable[Descriptor]) -> bool:
    """Whether a tar of these blobs can have this length, and has its end."""
    needed = sum(TAR_BLOCK + -(-blob.size // TAR_BLOCK) * TAR_BLOCK for blob in blobs) + len(TAR_END)
    with open(path, "rb") as stream:
        if stream.seek(0, os.SEEK_END) < needed:
            return False
        stream.seek(-len(TAR_END), os.SEEK_END)
        return stream.read() == TAR_END


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, SPEC), supports_check_mode=True)
    params = module.params
    try:
        layout = Layout.open(params["store"] or default_store())
        result = save_image(layout, params["name"], os.path.abspath(params["dest"]), params["force"], module.check_mode)
    except SealerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
