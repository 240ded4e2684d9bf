#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mirror_program
short_description: Put the mirror's program on a host
version_added: 0.1.0
author:
  - sealer.cluster contributors (@sealerio)
description:
  - Makes the program of the mirror, which serves a store of container images to the nodes of a cluster, and sends it to
    the host when what is there differs.
  - The program is one file that needs nothing on the host but Python 3.8 or later. It is made on the controller from
    this collection alone. The Python packages inside it ship with the collection, pinned by version and hash in
    C(meta/mirror-requirements.txt), so the same collection makes the same file on every controller.
options:
  dest:
    description:
      - Where the program goes on the host. Directories that are missing are made.
    type: path
    required: true
  python:
    description:
      - The host's Python that is to run the program. When it is given and too old for it, the module fails before it
        sends anything.
    type: path
extends_documentation_fragment:
  - sealer.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
notes:
  - This is an action plugin; nothing but core modules runs on the host.
seealso:
  - module: sealer.cluster.tls_request
"""

EXAMPLES = r"""
- name: The mirror's program is there
  sealer.cluster.mirror_program:
    dest: /usr/local/lib/sealer/mirror.pyz
  register: program

- name: It runs
  ansible.builtin.command:
    argv:
      - "{{ program.path }}"
      - --help
  changed_when: false
"""

RETURN = r"""
path:
  description: Where the program is on the host.
  returned: success
  type: str
  sample: /usr/local/lib/sealer/mirror.pyz
sha256:
  description: Hash of the program, also in check mode.
  returned: success
  type: str
  sample: 6f62d0ec61fa7e858c79a5f9c25092b40f5534fee08df5e0560ec9c6159e5b81
size:
  description: Size of the program in bytes.
  returned: success
  type: int
  sample: 379608
packages:
  description: Python packages inside the program, with their versions.
  returned: success
  type: dict
  sample:
    gunicorn: 23.0.0
    prometheus_client: 0.21.1
    urllib3: 2.2.3
"""
