#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the action plugin of this name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_deliver
short_description: Send a cluster image from the controller's store to a host's store
description:
  - Sends what a host's store lacks of an image over Ansible's own connection; no port on the controller is needed.
  - Only missing blobs travel, in few large files called parcels. What came before a run broke off is not sent again.
  - Everything is checked on arrival, and the image gets its name on the host when all of it is there.
author:
  - sealer.cluster contributors (@sealerio)
version_added: 0.1.0
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  image:
    description: Name of the image in the controller's store.
    type: str
    required: true
  store:
    description:
      - Directory of the store on the controller.
      - Without it, E(SEALER_STORE) decides, then C(/var/lib/sealer/store) for root and
        C(~/.local/share/sealer/store) for everybody else.
    type: path
  host_store:
    description: Directory of the store on the host; it is made when it is missing.
    type: path
    default: /var/lib/sealer/store
  platforms:
    description:
      - Platforms to deliver the image for, for instance C(linux/amd64); all that the image has when empty.
      - Platforms delivered earlier stay.
    type: list
    elements: str
    default: []
  parcel_size:
    description:
      - How many bytes of blobs travel in one file, for instance V(64M).
      - The temporary directories of controller and host need that much room.
      - A transfer that breaks off loses at most that much.
    type: bytes
    default: 64M
notes:
  - The file is made in the directory of Ansible's local temporary files, and arrives in that of its remote ones.
    Both are removed at the end. What a killed run left behind is removed by the next one.
  - Hosts need Python's standard library only.
seealso:
  - module: sealer.cluster.image_build
  - module: sealer.cluster.image_pull
"""

EXAMPLES = r"""
---
- name: Bring an image to the registry hosts
  sealer.cluster.image_deliver:
    image: registry.example.com/clusters/shop:1.0
  become: true

- name: Bring it for the platforms of the hosts only, over a bad line
  sealer.cluster.image_deliver:
    image: registry.example.com/clusters/shop:1.0
    platforms: [linux/amd64]
    parcel_size: 8M
  become: true
"""

RETURN = r"""
image:
  description: Full name of the image.
  returned: success
  type: str
  sample: registry.example.com/clusters/shop:1.0
digest:
  description: Digest of the image.
  returned: success
  type: str
  sample: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
platforms:
  description: Platforms that the image is on the host for; all of them when empty.
  returned: success
  type: list
  elements: str
  sample: [linux/amd64]
bytes_sent:
  description: Bytes of blobs that were sent; in check mode, that would be.
  returned: success
  type: int
  sample: 524288000
bytes_reused:
  description: Bytes of blobs that the host had already.
  returned: success
  type: int
  sample: 73400320
parcels:
  description: How many files were sent.
  returned: success
  type: int
  sample: 8
diff:
  description: What the name stood for on the host, for which platforms, and how many bytes were missing.
  returned: success
  type: dict
  sample:
    before: {digest: null, image: registry.example.com/clusters/shop:1.0, missing_bytes: 524288000, platforms: null}
    after:
      digest: sha256:4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945
      image: registry.example.com/clusters/shop:1.0
      missing_bytes: 0
      platforms: [linux/amd64]
"""
