# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Labels and roles of nodes: how a role is a label, and what is wrong with them.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sealer.cluster.plugins.plugin_utils._host_aliases import is_host_name

ROLE_PREFIX = "node-role.kubernetes.io/"
# Labels that runtimes look after themselves.
_RUNTIMES = ("control-plane", "etcd", "master")
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def role_labels(roles: t.Iterable[t.Any]) -> dict[str, str]:
    return {f"{ROLE_PREFIX}{role}": "" for role in roles}


def label_problems(labels: t.Any) -> list[str]:
    """A sentence for each problem of sealer_node_labels."""
    if not isinstance(labels, t.Mapping):
        return [f"a mapping is wanted, and not {labels!r}. Write {{example.com/rack: r1}}"]
    return [problem for key, value in labels.items() for problem in _problems(str(key), value)]


def role_problems(roles: t.Any) -> list[str]:
    """A sentence for each problem of sealer_node_roles."""
    if isinstance(roles, (str, bytes)) or not isinstance(roles, t.Sequence):
        return [f"a list is wanted, and not {roles!r}. Write [ingress]"]
    wrong = [f"{role!r} cannot be the name of a role" for role in roles if not _WORD.fullmatch(str(role))]
    return wrong + [
        f"{role} is a role that the runtime gives. Put the host into the group instead"
        for role in roles
        if role in _RUNTIMES
    ]


def _problems(key: str, value: t.Any) -> t.Iterator[str]:
    prefix, slash, name = key.rpartition("/")
    if not _WORD.fullmatch(name) or (slash and not is_host_name(prefix)):
        yield f"{key!r} cannot be the name of a label"
    elif key.startswith(ROLE_PREFIX):
        yield f"{key} is a role, which no kubelet may give its own node. Write sealer_node_roles: [{name}]"
    elif isinstance(value, bool) or not isinstance(value, (str, int, float)):
        yield f"{key} has the value {value!r}, which is no text. Put it in quotes"
    elif value != "" and not _WORD.fullmatch(str(value)):
        yield f"{key} cannot have the value {value!r}. Letters, digits, dashes, dots and underscores make one"
