# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How nodes may be called, which are called as their hosts in the inventory.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

# RFC 1123, as Kubernetes reads it. Each node has its name as a value of a label, too, which is no longer than this.
_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NODE_NAME_LENGTH = 63


def name_problems(hosts: t.Sequence[str]) -> list[str]:
    """A sentence for each host, or hosts, of which no node can have the name. It is in lower case."""
    by_node: dict[str, list[str]] = {}
    for host in hosts:
        by_node.setdefault(host.lower(), []).append(host)
    problems = [
        f"{' and '.join(alike)} would be one node, as Kubernetes knows lower case alone. Give each host its own name"
        for alike in by_node.values()
        if len(alike) > 1
    ]
    return problems + [
        f"{host} cannot be the name of a node: Kubernetes allows letters, digits, '-' and '.', beginning and ending"
        f" with a letter or digit, and {_NODE_NAME_LENGTH} characters. Give the host such a name in the inventory, and"
        " its address as ansible_host"
        for host in hosts
        if len(host) > _NODE_NAME_LENGTH or not _NODE_NAME.fullmatch(host.lower())
    ]
