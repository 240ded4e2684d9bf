#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An image out of a registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
short_description: Pull an image from a registry into a store
description:
  - Brings an image with everything that belongs to it into a store, byte for byte as the registry has it.
  - What the store has is not fetched again, and a transfer that broke off goes on where it ended.
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
    details: The registry is asked for the image's digest and nothing else.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the image.
    type: str
    required: true
  platforms:
    description:
      - Platforms to pull the image for, for instance C(linux/amd64); all that it has when empty.
      - The index comes whole in any case, so its digest stays. Platforms pulled earlier stay too.
    type: list
    elements: str
    default: []
  pull:
    description:
      - V(always) asks the registry what the name stands for.
      - V(missing) takes what the store has under this name, if it is all there for these platforms.
    type: str
    choices: [always, missing]
    default: always
seealso:
  - module: sealer.cluster.image_push
  - module: sealer.cluster.image_load
"""

EXAMPLES = r"""
---
- name: Pull an image
  sealer.cluster.image_pull:
    name: registry.example.com/clusters/shop:1.0

- name: Pull from a site's registry with its own certificate authority
  sealer.cluster.image_pull:
    name: registry.site.example:5000/shop:1.0
    platforms: [linux/amd64]
    registries:
      - host: registry.site.example:5000
        username: robot
        password: "{{ vault_registry_password }}"
        ca_path: /etc/ssl/site-ca.pem
"""

RETURN = r"""
image:
  description: The image.
  returned: success, in check mode when it is in the store
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
stats:
  description: What it took.
  returned: success
  type: dict
  contains:
    bytes_downloaded:
      description: Bytes that came from registries.
      type: int
      sample: 524288000
    bytes_reused:
      description: Bytes of blobs that were in the store.
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
  description: What the name stands for in the store, and whether it is all there.
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

import dataclasses
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import (
    REGISTRY_SPEC,
    STORE_SPEC,
    ArgumentSpec,
    merged,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._image_results import (
    image_result,
    name_state_after,
    whole_state,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.client import RegistryClient
from ansible_collections.sealer.cluster.plugins.module_utils._oci.failure import HAS_URLLIB3, URLLIB3_IMPORT_ERROR
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Index, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import from_environment
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transfer import Stats, chosen, pull
from ansible_collections.sealer.cluster.plugins.module_utils._registries import registry_client

SPEC: ArgumentSpec = {
    "name": {"type": "str", "required": True},
    "platforms": {"type": "list", "elements": "str", "default": []},
    "pull": {"type": "str", "choices": ["always", "missing"], "default": "always"},
}
State = t.Optional[t.Dict[str, t.Any]]


def pull_image(client: RegistryClient, params: t.Mapping[str, t.Any], check_mode: bool) -> t.Dict[str, t.Any]:
    """Pull what is missing; gives what the module returns."""
    started = time.monotonic()
    reference = Reference.parse(params["name"])
    platforms = [Platform.parse(text) for text in params["platforms"]]
    store = params["store"] or default_store()
    layout = Layout.open(store) if Layout.exists(store) else None
    before = whole_state(layout, reference, platforms)
    after = _kept(layout, reference, before, platforms) if params["pull"] == "missing" else None
    if after is None:
        found = _asked(client, reference)
        _require_platforms(layout, reference, found, platforms)
        after = {**name_state_after(layout, reference, found, platforms), "whole": True}
    stats = Stats()
    if before != after and not check_mode:
        layout = Layout.open(store, create=True)
        progress = from_environment("pulling")
        stats = pull(client, layout, reference, platforms or None, params["parallel"], progress).stats
        progress.done()
    seconds = round(time.monotonic() - started, 3)
    result: t.Dict[str, t.Any] = {
        "changed": before != after,
        "stats": {**dataclasses.asdict(stats), "requests": client.requests, "seconds": seconds},
        "diff": {"before": {str(reference): before}, "after": {str(reference): after}},
    }
    entry = layout.names().get(str(reference)) if layout else None
    if layout is not None and entry is not None and str(entry.digest) == after["digest"]:
        result["image"] = image_result(layout, str(reference), entry)
    return result


def _kept(layout: t.Optional[Layout], reference: Reference, before: State, platforms: t.Sequence[Platform]) -> State:
    """What the store has, where that is enough."""
    entry = layout.names().get(str(reference)) if layout else None
    if layout is None or entry is None or before is None:
        return None
    wanted = {**name_state_after(layout, reference, entry, platforms), "whole": True}
    return before if before == wanted else None


def _asked(client: RegistryClient, reference: Reference) -> Descriptor:
    found = client.head_manifest(reference)
    if found is None:
        raise OciError(
            f"the registry has no image {reference}",
            fix="Correct the name, or push the image first.",
        )
    return found


def _require_platforms(
    layout: t.Optional[Layout], reference: Reference, found: Descriptor, platforms: t.Sequence[Platform]
) -> None:
    """Refuse platforms that the image has not, where its index is known here; else the transfer finds out."""
    if layout is not None and layout.has(found.digest):
        document = layout.read_document(found)
        if isinstance(document, Index):
            chosen(reference, document, platforms)


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, REGISTRY_SPEC, SPEC), supports_check_mode=True)
    if not HAS_URLLIB3:
        module.fail_json(msg=missing_required_lib("urllib3>=2.0,<3"), exception=URLLIB3_IMPORT_ERROR)
    try:
        with registry_client(module.params) as client:
            result = pull_image(client, module.params, module.check_mode)
    except SealerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
