# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Option families shared by modules; the doc fragments of the same names document them.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import copy
import typing as t

ArgumentSpec = t.Dict[str, t.Dict[str, t.Any]]

STORE_SPEC: ArgumentSpec = {"store": {"type": "path"}}

REGISTRY_SPEC: ArgumentSpec = {
    "registries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "host": {"type": "str", "required": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "ca_path": {"type": "path"},
            "client_cert": {"type": "path"},
            "client_key": {"type": "path"},
            "insecure": {"type": "bool", "default": False},
            "mirrors": {"type": "list", "elements": "str", "default": []},
        },
        "required_together": [["username", "password"]],
    },
    "authfile": {"type": "path"},
    "parallel": {"type": "int", "default": 8},
}

CLUSTER_SPEC: ArgumentSpec = {
    "name": {"type": "str", "required": True},
    "image": {
        "type": "dict",
        "options": {"reference": {"type": "str", "required": True}, "digest": {"type": "str", "required": True}},
    },
    "version": {"type": "str", "required": True},
    "endpoint": {"type": "str", "required": True},
    "control_planes": {"type": "list", "elements": "str", "default": []},
    "workers": {"type": "list", "elements": "str", "default": []},
    "addresses": {"type": "dict", "default": {}},
    "pod_subnet": {"type": "str", "default": ""},
    "service_subnet": {"type": "str", "default": ""},
}


def merged(*families: ArgumentSpec) -> ArgumentSpec:
    """One argument spec out of several families, safe to change.

    Raises ValueError when two families bring the same option.
    """
    result: ArgumentSpec = {}
    for family in families:
        twice = sorted(set(result) & set(family))
        if twice:
            raise ValueError(f"options named by two families: {', '.join(twice)}")
        result.update(copy.deepcopy(family))
    return result
