# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths on the controller, as whoever typed the command means them."""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: controller_path
short_description: A path on the controller, made absolute
version_added: 0.1.0
description:
  - A relative path counts from the directory in which C(ansible-playbook) was started, as in a shell. Modules take it
    from the directory of the playbook, which for the playbooks of a collection is a directory of the collection.
  - C(~) is the home of the user who runs C(ansible-playbook).
  - An empty path stays empty, and so do paths on other hosts.
author:
  - sealer.cluster contributors (@sealerio)
positional: host
options:
  _input:
    description: The path.
    type: str
    required: true
  host:
    description: The host that the path is on. Paths on other hosts than the controller are returned as they are.
    type: str
    default: localhost
"""

EXAMPLES = r"""
- name: Build what is in the directory in which the command was typed
  sealer.cluster.image_build:
    path: "{{ '.' | sealer.cluster.controller_path }}"
    name: shop:1
"""

RETURN = r"""
_value:
  description: The path.
  type: str
  sample: /home/me/shop
"""

_CONTROLLER = frozenset({"localhost", "127.0.0.1", "::1"})


def controller_path(path: t.Any, host: str = "localhost") -> str:
    """The path, absolute where it is the controller's. Raises AnsibleFilterError for what is not text."""
    if not isinstance(path, str):
        raise AnsibleFilterError(f"controller_path wants a path, and not {path!r}")
    return os.path.abspath(os.path.expanduser(path)) if path and host in _CONTROLLER else path


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., str]]:
        return {"controller_path": controller_path}
