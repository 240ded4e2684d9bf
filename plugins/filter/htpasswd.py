# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file of users and hashes of their passwords, as web servers and registries read it."""

from __future__ import annotations

import base64
import hashlib
import typing as t

from ansible.errors import AnsibleFilterError

try:
    import bcrypt
except ImportError as error:
    BCRYPT_IMPORT_ERROR: ImportError | None = error
else:
    BCRYPT_IMPORT_ERROR = None

DOCUMENTATION = r"""
name: htpasswd
short_description: A file of users and hashes of their passwords
version_added: 0.1.0
description:
  - Makes what Apache's C(htpasswd) makes with bcrypt, the only kind that CNCF distribution takes.
  - The salts follow from O(scope) and the users' names, so that the same users give the same file, on all hosts and in
    each run.
author:
  - sealer.cluster contributors (@sealerio)
requirements:
  - bcrypt >= 4.0, < 6 (on the controller)
positional: scope, cost
options:
  _input:
    description: The users, each with a C(name) and a C(password) of at most 72 bytes.
    type: list
    elements: dict
    required: true
  scope:
    description: What these users are of. The same password is hashed differently elsewhere.
    type: str
    default: ""
  cost:
    description:
      - How much work a hash is, from V(4) to V(31); each step doubles it. A server does this work for each request
        with a password.
    type: int
    default: 5
"""

EXAMPLES = r"""
- name: The registry has its users
  ansible.builtin.copy:
    content: "{{ [{'name': 'ci', 'password': ci_password}] | sealer.cluster.htpasswd('shop') }}"
    dest: /etc/registry/htpasswd
    mode: "0600"
  no_log: true
"""

RETURN = r"""
_value:
  description: The file's content, one line a user. It is empty without users.
  type: str
  sample: "ci:$2b$05$JYnvYbQV3bbLxsIZ0KUPIeWcYFmnpgZ6fWIhZy6vB5pBnJqpTHCXW\n"
"""

# bcrypt looks at so many bytes of a password and at no more.
MOST_BYTES = 72
COSTS = range(4, 32)

# Both are digits for six bits each, in another order.
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_TO_BCRYPT = str.maketrans(_BASE64, "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


def htpasswd(users: t.Any, scope: str = "", cost: int = 5) -> str:
    """The file for these users."""
    if BCRYPT_IMPORT_ERROR is not None:
        raise AnsibleFilterError("htpasswd needs the Python package bcrypt where Ansible runs") from BCRYPT_IMPORT_ERROR
    if isinstance(users, (str, t.Mapping)) or not isinstance(users, t.Sequence):
        raise AnsibleFilterError("htpasswd wants a list of users")
    if int(cost) not in COSTS:
        raise AnsibleFilterError(f"htpasswd: the cost has to be from {COSTS[0]} to {COSTS[-1]}, and is {cost}")
    lines: dict[str, str] = {}
    for user in users:
        name, password = _checked(user)
        if name in lines:
            raise AnsibleFilterError(f"htpasswd: the user {name} is there twice")
        lines[name] = f"{name}:{_hash(password, _salt(scope, name), int(cost))}\n"
    return "".join(lines.values())


def _checked(user: t.Any) -> tuple[str, bytes]:
    name, password = (user.get(key) if isinstance(user, t.Mapping) else None for key in ("name", "password"))
    if not isinstance(name, str) or not isinstance(password, str) or not password:
        raise AnsibleFilterError("htpasswd: each user needs a 'name' and a 'password', which are texts")
    if not name or not name.isprintable() or ":" in name or name != name.strip() or name.startswith("#"):
        raise AnsibleFilterError(
            f"htpasswd: {name!r} cannot be a user's name: it is empty, has a colon or a control character in it, or "
            "a space or # at an end"
        )
    encoded = password.encode()
    if len(encoded) > MOST_BYTES or b"\0" in encoded:
        raise AnsibleFilterError(
            f"htpasswd: the password of {name} cannot be hashed: bcrypt takes at most {MOST_BYTES} bytes, and no NUL"
        )
    return name, encoded


def _salt(scope: str, name: str) -> str:
    digest = hashlib.sha256(f"sealer.cluster\0{scope}\0{name}".encode()).digest()
    return base64.b64encode(digest[:16]).decode().rstrip("=").translate(_TO_BCRYPT)


def _hash(password: bytes, salt: str, cost: int) -> str:
    return bcrypt.hashpw(password, f"$2b${cost:02d}${salt}".encode()).decode()


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"htpasswd": htpasswd}
