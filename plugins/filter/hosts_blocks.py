# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines for /etc/hosts."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.sealer.cluster.plugins.plugin_utils._host_aliases import Taken, alias_lines, alias_problems

DOCUMENTATION = r"""
name: hosts_blocks
short_description: The name of the API and host aliases, as lines for /etc/hosts
version_added: 0.1.0
description:
  - Makes of them what M(sealer.cluster.host_config) takes as its O(sealer.cluster.host_config#module:blocks).
  - Aliases that are none, or that take the name of the API, are an error.
author:
  - sealer.cluster contributors (@sealerio)
positional: name, aliases
options:
  _input:
    description: The addresses of the API, in order. None where its name is not for C(/etc/hosts).
    type: list
    elements: str
    required: true
  name:
    description: The name of the API.
    type: str
    required: true
  aliases:
    description: Other names, each with C(ip) and C(hostnames).
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Write them
  sealer.cluster.host_config:
    owner: names
    blocks: "{{ ['10.0.0.11'] | sealer.cluster.hosts_blocks('apiserver.cluster.local', sealer_host_aliases) }}"
  vars:
    sealer_host_aliases:
      - ip: 10.0.0.5
        hostnames: [db.example.com, db]
"""

RETURN = r"""
_value:
  description: One block, or none where there are no lines.
  type: list
  elements: dict
  sample:
    - path: /etc/hosts
      content: "10.0.0.11 apiserver.cluster.local\n10.0.0.5 db.example.com db\n"
"""


def hosts_blocks(
    addresses: t.Sequence[str], name: str, aliases: t.Sequence[t.Mapping[str, t.Any]] = ()
) -> list[dict[str, str]]:
    """The lines, for one file."""
    problems = alias_problems(aliases, {name.lower(): Taken("the API")} if addresses else {})
    if problems:
        raise AnsibleFilterError("Host aliases: " + "; ".join(problems))
    lines = [*(f"{address} {name}" for address in addresses), *alias_lines(aliases)]
    return [{"path": "/etc/hosts", "content": "".join(f"{line}\n" for line in lines)}] if lines else []


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., list[dict[str, str]]]]:
        return {"hosts_blocks": hosts_blocks}
