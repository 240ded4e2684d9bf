#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and blobs taken out of a store."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_remove
short_description: Remove images from a store
description:
  - Takes names away, and then all blobs that no name needs any more.
  - A name that is not there is not an error.
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
    description: Names of the images to remove; none to remove unneeded blobs only.
    type: list
    elements: str
    default: []
  prune:
    description:
      - Whether to remove the blobs that no name needs, also those left by images that lost their name earlier and by
        transfers that broke off.
      - It waits until nobody writes to the store.
    type: bool
    default: true
seealso:
  - module: sealer.cluster.image_info
"""

EXAMPLES = r"""
---
- name: Remove an old version
  sealer.cluster.image_remove:
    name: registry.example.com/clusters/shop:0.9

- name: Clean up
  sealer.cluster.image_remove:
"""

RETURN = r"""
removed:
  description: Names that were removed.
  returned: success
  type: list
  elements: str
  sample: [registry.example.com/clusters/shop:0.9]
bytes_freed:
  description: Bytes of the blobs that were removed; in check mode, that would be.
  returned: success
  type: int
  sample: 524288000
diff:
  description: What the names stand for, and how many bytes of blobs nobody needs once they are gone.
  returned: success
  type: dict
  sample:
    before:
      names:
        registry.example.com/clusters/shop:0.9:
          digest: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
          platforms: []
      unneeded_bytes: 524288000
    after:
      names: {registry.example.com/clusters/shop:0.9: null}
      unneeded_bytes: 0
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.sealer.cluster.plugins.module_utils._argspec import STORE_SPEC, ArgumentSpec, merged
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._image_results import name_state
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout, default_store
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout_index import is_derived
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

SPEC: ArgumentSpec = {
    "name": {"type": "list", "elements": "str", "default": []},
    "prune": {"type": "bool", "default": True},
}


def remove(layout: t.Optional[Layout], names: t.Sequence[str], prune: bool, check_mode: bool) -> t.Dict[str, t.Any]:
    """Remove names and blobs; gives what the module returns. A store that is not there has none."""
    references = [Reference.parse(name) for name in names]
    known = layout.names() if layout else {}
    before = {str(reference): _removable_state(known.get(str(reference)), reference) for reference in references}
    removed = [name for name, state in before.items() if state is not None]
    freed = unneeded_bytes(layout, removed) if layout and prune else 0
    if layout and not check_mode:
        for reference in references:
            layout.untag(reference)
        if prune:
            layout.prune()
    return {
        "changed": bool(removed or freed),
        "removed": removed,
        "bytes_freed": freed,
        "diff": {
            "before": {"names": before, "unneeded_bytes": freed},
            "after": {"names": dict.fromkeys(before), "unneeded_bytes": 0},
        },
    }


def _removable_state(entry: t.Optional[Descriptor], reference: Reference) -> t.Optional[t.Dict[str, t.Any]]:
    if entry is not None and is_derived(entry):
        raise OciError(
            f"{reference} cannot be removed alone",
            why="it belongs to a cluster image in the store",
            fix="Remove the cluster image.",
        )
    return name_state(entry)


def unneeded_bytes(layout: Layout, removed: t.Collection[str]) -> int:
    """Bytes that nobody needs once these names are gone: what nobody needs now, and what only they need."""
    own = {name: entry for name, entry in layout.names().items() if not is_derived(entry)}
    kept = {blob.digest for name, entry in own.items() if name not in removed for blob in layout.reachable(entry)}
    lost = {
        blob.digest: blob.size
        for name in removed
        for blob in layout.reachable(own[name])
        if blob.digest not in kept and layout.has(blob.digest)
    }
    return sum(lost.values()) + sum(blob.size for blob in layout.prune(dry_run=True))


def main() -> None:
    module = AnsibleModule(argument_spec=merged(STORE_SPEC, SPEC), supports_check_mode=True)
    params = module.params
    store = params["store"] or default_store()
    try:
        layout = Layout.open(store) if Layout.exists(store) else None
        result = remove(layout, params["name"], params["prune"], module.check_mode)
    except SealerError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
