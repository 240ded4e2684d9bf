#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gather the parts of a base image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: base_image
short_description: Gather the programs and container images of a base image
description:
  - Reads the file C(parts.yml) in O(path), gets every program that it names, and fills O(dest) with a build context for
    M(sealer.cluster.image_build), programs under C(parts/ARCHITECTURE/).
  - Programs are downloaded from their publishers' releases and checked against the publishers' checksum files; or they
    are built from their Go modules with the Go of this machine, or taken from Debian packages. In the second way,
    container images are made from those programs and put into the store, under the names they have in the registries.
    In the first way, M(sealer.cluster.image_build) pulls them from their registries.
  - Where the parts list repeats the sums that a second source published (C(sums)), the publisher's have to agree with
    them before anything is downloaded. The guide C(docs/parts.md) describes the format of parts lists.
  - The parts lock records what each part was gathered from, in which way, and the sum it had.
    The same source with another sum is an error.
  - Everything is kept in O(cache). A download or a build that broke off goes on there.
    Parts lists that name the same program of the same version, flags and modules share one build.
    The first build of Kubernetes takes about ten minutes on two cores and 13 GB of disk for Go's own caches.
  - Run on the controller, it says at least every half minute what it is at, and for how long.
author:
  - sealer.cluster contributors (@sealerio)
version_added: 0.1.0
requirements:
  - PyYAML >= 6.0, < 7
  - go, gcc, apt-get and dpkg-deb, for building only
extends_documentation_fragment:
  - sealer.cluster.attributes
  - sealer.cluster.store
attributes:
  check_mode:
    support: full
    details:
      - Nothing is downloaded, built or written.
      - With O(update=true) it cannot be known whether a publisher replaced a release.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: Directory with C(parts.yml) and what that names.
    type: path
    required: true
  dest:
    description: Directory to fill. Files in it that O(path) has no say in, for instance C(Kubefile.lock), stay.
    type: path
    required: true
  platforms:
    description: Platforms to gather for. Without it, that of this host. Programs can be built for that one only.
    type: list
    elements: str
    default: []
  source:
    description:
      - How to get the parts.
      - V(auto) does it as the parts lock says. When there is none, it asks each publisher's site once, and builds if
        one of them does not answer. Where nothing is to be downloaded but images, their registries are asked.
    type: str
    choices: [auto, download, build]
    default: auto
  mirrors:
    description: Other places to download from. The first whose O(mirrors[].from) an address begins with is taken.
    type: list
    elements: dict
    default: []
    suboptions:
      from:
        description: Beginning of the publishers' addresses.
        type: str
        required: true
      to:
        description: What to put in its place.
        type: str
        required: true
  cache:
    description: Directory where downloads and built programs are kept.
    type: path
    default: ~/.cache/sealer/parts
  lock:
    description: The parts lock. Without it, C(parts.lock) in O(dest).
    type: path
  update:
    description: Take no notice of what the parts lock says, and write it anew.
    type: bool
    default: false
  parallel:
    description: How many downloads run at the same time.
    type: int
    default: 4
seealso:
  - module: sealer.cluster.image_build
"""

EXAMPLES = r"""
---
- name: Gather Kubernetes, in whichever way is possible here
  sealer.cluster.base_image:
    path: images/kubernetes
    dest: /var/tmp/kubernetes

- name: Build the base image
  sealer.cluster.image_build:
    name: registry.example.com/base/kubernetes:v1.35.4
    path: /var/tmp/kubernetes

- name: Download the releases for two platforms, through a mirror, with sums pinned under version control
  sealer.cluster.base_image:
    path: images/kubernetes
    dest: /var/tmp/kubernetes
    source: download
    platforms: [linux/amd64, linux/arm64]
    lock: images/kubernetes/parts.lock
    mirrors:
      - from: https://github.com/
        to: https://mirror.example.com/github/
"""

RETURN = r"""
source:
  description: How the parts were had, V(download) or V(build).
  returned: success
  type: str
  sample: download
programs:
  description: The programs. In check mode, those that are pinned already.
  returned: success
  type: list
  elements: dict
  sample:
    - part: kubernetes
      program: kubeadm
      path: bin/kubeadm
      platform: linux/amd64
      version: 1.35.4
      way: download
      source: https://dl.k8s.io/release/v1.35.4/bin/linux/amd64/kubeadm
      recipe: fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9
      sourceSha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      sha256: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      size: 73400320
images:
  description: The container images that were made here. In check mode, those that are pinned already.
  returned: success
  type: list
  elements: dict
  sample:
    - reference: registry.k8s.io/pause:3.10.1
      platform: linux/amd64
      recipe: fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9
      digest: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
      size: 320000
      packages: []
left_out:
  description: Optional parts and images that could not be had, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - part: crictl
      platform: linux/amd64
      why: its source is no Go module that can be had
lock_file:
  description: Path of the parts lock.
  returned: success
  type: str
  sample: /var/tmp/kubernetes/parts.lock
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import STORE_SPEC, merged
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_gather import Request, gather
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_reading import HAS_YAML, YAML_IMPORT_ERROR
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import from_environment

OPTIONS: t.Dict[str, t.Dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    "dest": {"type": "path", "required": True},
    "platforms": {"type": "list", "elements": "str", "default": []},
    "source": {"type": "str", "choices": ["auto", "download", "build"], "default": "auto"},
    "mirrors": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"from": {"type": "str", "required": True}, "to": {"type": "str", "required": True}},
    },
    "cache": {"type": "path", "default": "~/.cache/sealer/parts"},
    "lock": {"type": "path"},
    "update": {"type": "bool", "default": False},
    "parallel": {"type": "int", "default": 4},
}


def request_from(params: t.Mapping[str, t.Any]) -> Request:
    """What the options ask for."""
    if params["parallel"] < 1:
        raise BuildError("parallel is less than 1")
    dest = os.path.abspath(params["dest"])
    return Request(
        path=os.path.abspath(params["path"]),
        dest=dest,
        platforms=[Platform.parse(text) for text in params["platforms"]] or [Platform.host()],
        source=params["source"],
        mirrors=[(one["from"], one["to"]) for one in params["mirrors"]],
        cache=os.path.abspath(params["cache"]),
        store=params["store"] or default_store(),
        lock=os.path.abspath(params["lock"] or os.path.join(dest, "parts.lock")),
        parallel=params["parallel"],
        update=params["update"],
    )


def run(params: t.Mapping[str, t.Any], check_mode: bool) -> t.Dict[str, t.Any]:
    """What the module returns."""
    request = request_from(params)
    progress = from_environment("gather parts")
    try:
        result = gather(request, progress, check_mode)
    finally:
        progress.done()
    told = result.lock.to_json()
    return {
        "changed": result.changed,
        "diff": {"before": result.before, "after": result.after},
        "source": told["way"],
        "programs": told["programs"],
        "images": told["images"],
        "left_out": told["leftOut"],
        "lock_file": request.lock,
    }


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, OPTIONS), supports_check_mode=True)
    if not HAS_YAML:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=YAML_IMPORT_ERROR)
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except SealerError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
