#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build a cluster image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_build
short_description: Build a cluster image from a Kubefile
description:
  - Reads a Kubefile and makes a cluster image of it in the store.
    It brings files, applications and every container image that they run.
  - Known instructions are C(FROM), C(COPY), C(ARG), C(ENV), C(LABEL), C(APP), C(APPCMDS), C(APPENV), C(LAUNCH), C(CMDS)
    and C(CMD). Any other one is an error that tells its line and column.
  - Each element of C(APPCMDS) and C(CMDS) is one whole shell line, and so is what stands behind C(CMD).
  - Container images are found in Kubernetes documents (files with the suffixes C(.yaml), C(.yml) and C(.json)) and in
    lists with the file name C(imageList), one name a line. Names in other places, templates for instance, are given in
    O(images).
  - C(Kubefile.lock) beside the Kubefile records which digest each name was resolved to; a later build takes the same.
    Put it under version control.
  - The same files, the same lock and the same options give the same digest, wherever they are built.
    Times in the image are those of E(SOURCE_DATE_EPOCH), else 1970. Files get the mode 0755 if their owner may execute
    them, else 0644, and belong to user and group 0, unless C(COPY --chmod) or C(COPY --chown) say otherwise.
  - Files are copied onto those of the base image as C(buildah) does it. Its directories keep their modes and owners,
    and its links are followed. A warning tells when a directory is replaced, replaces something else, or gets another
    mode or owner.
author:
  - sealer.cluster contributors (@sealerio)
version_added: 0.1.0
requirements:
  - PyYAML >= 6.0, < 7
  - urllib3 >= 2.0, < 3
extends_documentation_fragment:
  - sealer.cluster.attributes
  - sealer.cluster.store
  - sealer.cluster.registries
attributes:
  check_mode:
    support: full
    details: >-
      Nothing is written. Manifests are read from registries where images are not in the store, but no layers, except
      those of the base image where files are copied onto it, as what it has decides where they go.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the image in the store, with its tag.
    type: str
    required: true
  path:
    description:
      - Directory of the build context. Only files in it can be copied.
      - Those named in its file C(.sealignore), which has the grammar of C(.dockerignore), are left out.
    type: path
    required: true
  file:
    description:
      - The Kubefile. Counted from O(path), V(Kubefile) without it.
      - The lock is beside it, with C(.lock) added to its name.
    type: str
  platforms:
    description: Platforms to build for. Without it, that of this host.
    type: list
    elements: str
    default: []
  build_args:
    description: Values of variables that the Kubefile declares by C(ARG).
    type: dict
    default: {}
  labels:
    description: Labels of the image, over those of the Kubefile.
    type: dict
    default: {}
  images:
    description: Container images to bring along besides those found.
    type: list
    elements: str
    default: []
  images_files:
    description: Files with such images, one a line, C(#) begins a comment. Counted from O(path).
    type: list
    elements: str
    default: []
  ignore_images:
    description: Container images to leave out, and texts that look like an image but are none.
    type: list
    elements: str
    default: []
  pull:
    description:
      - V(missing) asks a registry for what is not in the store. The lock is followed; but a base image that the store
        has under its name, and a container image that the lock says is from the store, are taken as they are there now,
        and the lock is changed if needed.
      - V(always) asks the registries anew for every name but those that the base image brings, whatever the lock has.
      - V(never) asks no registry.
    type: str
    choices: [missing, always, never]
    default: missing
  frozen:
    description: Fail when an image is not in the lock, or when the lock would change.
    type: bool
    default: false
seealso:
  - module: sealer.cluster.image_push
  - module: sealer.cluster.image_save
  - module: sealer.cluster.image_info
"""

EXAMPLES = r"""
---
- name: Build a cluster image
  sealer.cluster.image_build:
    name: registry.example.com/clusters/shop:1.0
    path: "{{ playbook_dir }}/shop"
  register: shop

- name: Say why each container image is in it
  ansible.builtin.debug:
    msg: "{{ item.reference }}: {{ item.why | join(', ') }}"
  loop: "{{ shop.images }}"

- name: Build the same again in a pipeline, for two platforms, from what the lock says
  sealer.cluster.image_build:
    name: registry.example.com/clusters/shop:1.0
    path: "{{ playbook_dir }}/shop"
    platforms: [linux/amd64, linux/arm64]
    build_args:
      KUBERNETES_VERSION: 1.35.4
    frozen: true
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
    size:
      description: Bytes of all its blobs, each counted once.
      type: int
      sample: 524288000
    platforms:
      description: Platforms that it is made for.
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
images:
  description: The container images in it, those of the base image included.
  returned: success
  type: list
  elements: dict
  sample:
    - reference: registry.k8s.io/pause:3.10.1
      digest: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      platform: linux/amd64
      size: 320000
      why: ["manifests/imageList:4"]
lock_file:
  description: Path of the lock.
  returned: success
  type: str
  sample: shop/Kubefile.lock
stats:
  description: What the build cost.
  returned: success
  type: dict
  contains:
    bytes_downloaded:
      description: Bytes that came from registries.
      type: int
      sample: 1024
    bytes_reused:
      description: Bytes of container images that were in the store, and of layers that were packed before.
      type: int
      sample: 320000
    requests:
      description: Requests to registries.
      type: int
      sample: 4
    seconds:
      description: How long it took.
      type: float
      sample: 1.5
"""

import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import REGISTRY_SPEC, STORE_SPEC, merged
from ansible_collections.sealer.cluster.plugins.module_utils._build.builder import build
from ansible_collections.sealer.cluster.plugins.module_utils._build.discovery import HAS_YAML, YAML_IMPORT_ERROR
from ansible_collections.sealer.cluster.plugins.module_utils._build.options import request_from
from ansible_collections.sealer.cluster.plugins.module_utils._build.remote import Remote
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.auth import RegistrySettings
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import HAS_URLLIB3, URLLIB3_IMPORT_ERROR
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import from_environment

OPTIONS: t.Dict[str, t.Dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "path": {"type": "path", "required": True},
    "file": {"type": "str"},
    "platforms": {"type": "list", "elements": "str", "default": []},
    "build_args": {"type": "dict", "default": {}},
    "labels": {"type": "dict", "default": {}},
    "images": {"type": "list", "elements": "str", "default": []},
    "images_files": {"type": "list", "elements": "str", "default": []},
    "ignore_images": {"type": "list", "elements": "str", "default": []},
    "pull": {"type": "str", "choices": ["missing", "always", "never"], "default": "missing"},
    "frozen": {"type": "bool", "default": False},
}


def run(params: t.Mapping[str, t.Any], check_mode: bool) -> t.Dict[str, t.Any]:
    """What the module returns."""
    started = time.monotonic()
    request = request_from(params, os.environ)
    store = params["store"] or default_store()
    layout = None if check_mode and not Layout.exists(store) else Layout.open(store, create=not check_mode)
    settings = [RegistrySettings.from_option(one) for one in params["registries"]]
    client = RegistryClient(settings, params["authfile"], parallel=request.parallel)
    progress = from_environment("build")
    try:
        result = build(request, layout, Remote(client, request.parallel, progress), progress, write=not check_mode)
    finally:
        client.close()
    return {
        "changed": result.changed,
        "image": result.image,
        "images": result.images,
        "lock_file": result.lock_file,
        "diff": result.diff,
        "stats": {
            "bytes_downloaded": client.bytes_downloaded,
            "bytes_reused": result.bytes_reused,
            "requests": client.requests,
            "seconds": round(time.monotonic() - started, 3),
        },
        "warnings": result.warnings,
    }


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, REGISTRY_SPEC, OPTIONS), supports_check_mode=True)
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    if not HAS_URLLIB3:
        module.fail_json(msg=missing_required_lib("urllib3>=2.0,<3"), exception=URLLIB3_IMPORT_ERROR)
    try:
        result = run(module.params, module.check_mode)
    except SealerError as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
