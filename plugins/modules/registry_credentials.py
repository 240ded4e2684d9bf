#!/usr/bin/python

# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_credentials
short_description: Passwords for a mirror's users, made once and kept on the controller
version_added: 0.1.0
author:
  - sealer.cluster contributors (@sealerio)
description:
  - Makes two users with random passwords, one who may push and one for the nodes, and keeps them in a file of variables
    on the controller, readable for its owner alone. A file that is there is used as it is, also when it was encrypted
    with C(ansible-vault) since.
  - Returns what a mirror has to know of all users, which is hashes (scrypt), not passwords.
  - The file's variables are C(sealer_registry_username), C(sealer_registry_password), C(sealer_registry_push_username)
    and C(sealer_registry_push_password), so that plays can read it as a file of variables too.
options:
  path:
    description:
      - The file on the controller. Without it, no users are made.
    type: path
  users:
    description: More users, whose passwords are known already.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user, without a colon.
        type: str
        required: true
      password:
        description: The user's password.
        type: str
        required: true
      push:
        description: Whether the user may push and delete images.
        type: bool
        default: false
  for_nodes:
    description:
      - Whether nodes have to log in. If not, no password is returned.
    type: bool
    default: true
  scope:
    description:
      - What these users are of, for instance a cluster's name. The same password is hashed differently elsewhere.
    type: str
    default: ''
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
  - This is an action plugin; nothing runs on the host.
  - Set C(no_log) on the task, as passwords are in its result.
"""

EXAMPLES = r"""
- name: The users of the mirrors are known
  sealer.cluster.registry_credentials:
    path: "{{ inventory_dir }}/registry-credentials.yml"
    users:
      - name: ci
        password: "{{ ci_password }}"
        push: true
  register: credentials
  no_log: true
"""

RETURN = r"""
users:
  description: All users by name, as a mirror's file of users has them. In check mode without those to be made.
  returned: success
  type: dict
  sample:
    push:
      hash: scrypt$14$8$1$c2FsdHNhbHRzYWx0c2FsdA==$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=
      push: true
username:
  description:
    - Name of the user for the nodes; empty when O(path) is not given, O(for_nodes) is V(false), or in check mode while
      there is no file.
  returned: success
  type: str
  sample: nodes
password:
  description: Password of the user for the nodes.
  returned: success
  type: str
  sample: VALUE_SPECIFIED_IN_NO_LOG_PARAMETER
"""
