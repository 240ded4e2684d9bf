#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host's side of a delivery."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_receive
short_description: Take parts of a cluster image into a host's store
description:
  - This is the host's side of M(sealer.cluster.image_deliver), which calls it; there is no use for it in playbooks.
  - Takes in a parcel when one is given, names the image when asked to, and tells which blobs the store still lacks.
author:
  - sealer.cluster contributors (@sealerio)
version_added: 0.1.0
extends_documentation_fragment:
  - sealer.cluster.attributes
  - sealer.cluster.store
attributes:
  check_mode:
    support: full
    details: Nothing is taken in and nothing is named; what is missing is told.
  diff_mode:
    support: none
    details: M(sealer.cluster.image_deliver) gives the difference.
  idempotent:
    support: full
options:
  image:
    description: Name of the image.
    type: str
    required: true
  descriptor:
    description: The image's index.
    type: dict
    required: true
    suboptions:
      media_type:
        description: Its media type.
        type: str
        required: true
      digest:
        description: Its digest.
        type: str
        required: true
      size:
        description: Its size in bytes.
        type: int
        required: true
  platforms:
    description: Platforms that the image is delivered for; all of them when empty.
    type: list
    elements: str
    default: []
  wanted:
    description: All blobs that the image needs for these platforms.
    type: list
    elements: dict
    required: true
    suboptions:
      digest:
        description: Digest of the blob.
        type: str
        required: true
      size:
        description: Its size in bytes.
        type: int
        required: true
  parcel:
    description: A parcel to take in.
    type: dict
    suboptions:
      path:
        description: Where it lies on the host.
        type: path
        required: true
      sha256:
        description: SHA-256 sum of the file.
        type: str
        required: true
  commit:
    description: Whether to name the image once all its blobs are there.
    type: bool
    default: false
  leftovers:
    description: Where broken-off deliveries may have left a parcel, which is removed.
    type: dict
    suboptions:
      directory:
        description: Directory of temporary directories.
        type: path
        required: true
      name:
        description: Name of the parcel file.
        type: str
        required: true
seealso:
  - module: sealer.cluster.image_deliver
"""

EXAMPLES = r"""
- name: Ask what a store lacks of an image (M(sealer.cluster.image_deliver) does it)
  sealer.cluster.image_receive:
    image: registry.example.com/clusters/shop:1.0
    descriptor:
      media_type: application/vnd.oci.image.index.v1+json
      digest: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
      size: 2
    wanted:
      - digest: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
        size: 2
"""

RETURN = r"""
missing:
  description: Blobs that the store lacks.
  returned: success
  type: list
  elements: dict
  contains:
    digest:
      description: Digest of the blob.
      type: str
      sample: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
    size:
      description: Its size in bytes.
      type: int
      sample: 1048576
    offset:
      description: How many of its bytes came with earlier parcels.
      type: int
      sample: 524288
current:
  description: What the image's name stands for in the store; not there when it has no such name.
  returned: when the name is known
  type: dict
  contains:
    digest:
      description: Digest of the image.
      type: str
      sample: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
    platforms:
      description: Platforms that it is there for; all of them when empty.
      type: list
      elements: str
      sample: [linux/amd64]
space:
  description: Free bytes of the file systems that a delivery writes to, where they can be told.
  returned: success
  type: dict
  contains:
    store:
      description: Where the store lies.
      type: int
      sample: 10737418240
    temporary:
      description: Where parcels arrive; only with O(leftovers).
      type: int
      sample: 10737418240
received:
  description: Bytes that were new to the store.
  returned: success
  type: int
  sample: 67108864
"""

import glob
import os
import shutil
import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import STORE_SPEC, ArgumentSpec, merged
from ansible_collections.sealer.cluster.plugins.module_utils._errors import SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import os_errors
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_walk import wanted_platforms
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._parcel import missing_blobs, take_parcel

SPEC: ArgumentSpec = {
    "image": {"type": "str", "required": True},
    "descriptor": {
        "type": "dict",
        "required": True,
        "options": {
            "media_type": {"type": "str", "required": True},
            "digest": {"type": "str", "required": True},
            "size": {"type": "int", "required": True},
        },
    },
    "platforms": {"type": "list", "elements": "str", "default": []},
    "wanted": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"digest": {"type": "str", "required": True}, "size": {"type": "int", "required": True}},
    },
    "parcel": {
        "type": "dict",
        "options": {"path": {"type": "path", "required": True}, "sha256": {"type": "str", "required": True}},
    },
    "commit": {"type": "bool", "default": False},
    "leftovers": {
        "type": "dict",
        "options": {"directory": {"type": "path", "required": True}, "name": {"type": "str", "required": True}},
    },
}


def receive(params: t.Mapping[str, t.Any], check_mode: bool) -> t.Dict[str, t.Any]:
    """Take in, name, and tell what is missing."""
    path = params["store"] or default_store()
    reference = Reference.parse(params["image"])
    leftovers = params["leftovers"]
    received, named = 0, False
    warnings = remove_leftovers(leftovers["directory"], leftovers["name"]) if leftovers and not check_mode else []
    if not check_mode and (params["parcel"] or params["commit"]):
        layout = Layout.open(path, create=True)
        if params["parcel"]:
            received = _take(layout, params["parcel"])
        if params["commit"]:
            platforms = [Platform.parse(text) for text in params["platforms"]]
            named = layout.tag(reference, _descriptor(params["descriptor"]), platforms)
    found = Layout.open(path) if Layout.exists(path) else None
    wanted = [(str(blob["digest"]), int(blob["size"])) for blob in params["wanted"]]
    space = {"store": free_bytes(path)}
    if leftovers:
        space["temporary"] = free_bytes(leftovers["directory"])
    return {
        "changed": bool(received or named),
        "received": received,
        "missing": [asdict(blob) for blob in missing_blobs(found, wanted)],
        "space": space,
        "warnings": warnings,
        **_current(found, reference),
    }


def _take(layout: Layout, parcel: t.Mapping[str, str]) -> int:
    with os_errors("cannot read the parcel", parcel["path"]), open(parcel["path"], "rb") as stream, layout.session():
        return take_parcel(layout, stream, parcel["sha256"])


def _descriptor(raw: t.Mapping[str, t.Any]) -> Descriptor:
    return Descriptor(raw["media_type"], Digest.parse(raw["digest"]), raw["size"])


def _current(layout: t.Optional[Layout], reference: Reference) -> t.Dict[str, t.Any]:
    entry = layout.names().get(str(reference)) if layout else None
    if entry is None:
        return {}
    platforms = [str(platform) for platform in wanted_platforms(entry)]
    return {"current": {"digest": str(entry.digest), "platforms": platforms}}


def remove_leftovers(directory: str, name: str) -> t.List[str]:
    """Remove the temporary directories in which a broken-off delivery of ours left a parcel; gives what stayed."""
    stayed = []
    for pattern in ("ansible-tmp-*", os.path.join("ansible-local-*", "ansible-tmp-*")):
        for parcel in glob.glob(os.path.join(glob.escape(directory), pattern, name)):
            parent = os.path.dirname(parcel)
            try:
                if not os.path.islink(parent):
                    shutil.rmtree(parent)
            except OSError as error:
                stayed.append(f"{parent}: cannot remove what a broken-off delivery left: {error.strerror}")
    return stayed


def free_bytes(path: str) -> t.Optional[int]:
    """What is free where a path is, or will be; None where files have no size."""
    existing = os.path.abspath(path)
    while not os.path.exists(existing):
        existing = os.path.dirname(existing)
    with os_errors("cannot ask for free space", existing):
        found = os.statvfs(existing)
    return found.f_bavail * found.f_frsize if found.f_blocks else None


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, SPEC), supports_check_mode=True)
    try:
        result = receive(module.params, module.check_mode)
    except SealerError as error:
        module.fail_json(msg=str(error))
    for warning in result.pop("warnings"):
        module.warn(warning)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
