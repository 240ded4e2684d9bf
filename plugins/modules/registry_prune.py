#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_prune
short_description: Drop what a mirror has pulled through
version_added: 0.1.0
author:
  - sealer.cluster contributors (@sealerio)
description:
  - Drops blobs that a mirror on this host has pulled through, what was not used for longest first, while it goes on
    serving. What is asked for later is fetched again.
  - Never touches what has a name, as cluster images with their container images and pushed images have. Those go with
    M(sealer.cluster.image_remove).
options:
  store:
    description:
      - Directory of the mirror's store.
    type: path
    default: /var/lib/sealer/store
  free:
    description:
      - How much to drop at least, for instance V(10G).
    type: str
  unused_days:
    description:
      - Drop what was not used for so many days.
    type: float
  everything:
    description:
      - Drop everything that was pulled through and has no name.
    type: bool
    default: false
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: With O(free), more is dropped every time.
seealso:
  - module: sealer.cluster.registry_info
  - module: sealer.cluster.image_remove
"""

EXAMPLES = r"""
- name: Nothing stays that no node has asked for in a month
  sealer.cluster.registry_prune:
    unused_days: 30

- name: Make room
  sealer.cluster.registry_prune:
    free: 20G
"""

RETURN = r"""
pruned:
  description: The blobs that were dropped, or would be.
  returned: success
  type: list
  elements: dict
  sample:
    - digest: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
      size: 31457280
bytes_freed:
  description: How many bytes that are.
  returned: success
  type: int
  sample: 31457280
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError, SealerError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.eviction import prune
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.keeping.report import NOTHING, pulled
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout

Json = t.Dict[str, t.Any]

_DAY = 24 * 3600.0


def run(params: Json, check_mode: bool) -> Json:
    """Drop, and tell."""
    wanted = _wanted(params)
    if not Layout.exists(params["store"]):
        return {"changed": False, "diff": {"before": NOTHING, "after": NOTHING}, "pruned": [], "bytes_freed": 0}
    layout = Layout.open(params["store"])
    before = pulled(layout)
    dropped = prune(layout, dry_run=check_mode, **wanted)
    freed = sum(blob.size for blob in dropped)
    after = {"blobs": before["blobs"] - len(dropped), "bytes": before["bytes"] - freed}
    return {
        "changed": bool(dropped),
        "diff": {"before": before, "after": after},
        "pruned": [{"digest": str(blob.digest), "size": blob.size} for blob in dropped],
        "bytes_freed": freed,
    }


def _wanted(params: Json) -> Json:
    if not params["free"] and params["unused_days"] is None and not params["everything"]:
        raise MirrorError("nothing says what to drop", fix="Give 'free' or 'unused_days', or set 'everything'.")
    try:
        free = human_to_bytes(params["free"]) if params["free"] else 0
    except ValueError as error:
        raise MirrorError(f"'free' cannot be {params['free']!r}", fix="Write it as in 10G or 500M.") from error
    days = params["unused_days"]
    if days is not None and days < 0:
        raise MirrorError(f"'unused_days' cannot be {days:g}", fix="Give a number from 0 on.")
    return {
        "bytes_to_free": free,
        "older_than": None if days is None else days * _DAY,
        "all_unpinned": params["everything"],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "default": "/var/lib/sealer/store"},
            "free": {"type": "str"},
            "unused_days": {"type": "float"},
            "everything": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module.params, module.check_mode))
    except (SealerError, OSError) as error:
        module.fail_json(msg=f"Nothing more can be pruned: {error}")


if __name__ == "__main__":
    main()
