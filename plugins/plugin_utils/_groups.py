# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which groups of an inventory make a cluster.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError
from jinja2.runtime import Context

REGISTRY_GROUP = "sealer_registry"
KINDS = ("control_plane", "worker", "registry")

Groups = t.Mapping[str, t.Sequence[str]]
HostVars = t.Mapping[str, t.Mapping[str, t.Any]]
Names = t.Mapping[str, str]


class Convention(t.NamedTuple):
    """Groups that a project gives the two kinds of node. `apart`: a host of one group may not be in the other."""

    control_plane: str
    worker: str
    apart: bool = True


# An inventory follows the first of these that it has, and no other: a group of a second one has another meaning there.
CONVENTIONS = (
    Convention("kube_control_plane", "kube_node", apart=False),
    Convention("kube-master", "kube-node", apart=False),
    Convention("server", "agent"),
    Convention("masters", "nodes"),
    Convention("masters", "workers"),
    Convention("master", "node"),
    Convention("master", "workers"),
)


def convention_of(groups: Groups, names: Names) -> Convention:
    """The groups of this inventory. `names` holds those that variables name, by kind; others take their place."""
    control_plane, worker = names.get("control_plane"), names.get("worker")
    known = _found(groups, control_plane or "")
    apart = known.apart and not control_plane and not worker
    return Convention(control_plane or known.control_plane, worker or known.worker, apart)


def hosts_of(groups: Groups, *names: str) -> list[str]:
    """The hosts of groups, each once, in the order of the inventory. A group that is missing has none."""
    return list(dict.fromkeys(str(host) for name in names for host in groups.get(name) or ()))


def unused_groups(groups: Groups, names: Names) -> dict[str, list[str]]:
    """Groups with a name of another convention, with their hosts that are not in the cluster."""
    used = convention_of(groups, names)
    members = hosts_of(groups, used.control_plane, used.worker, names.get("registry") or REGISTRY_GROUP)
    others = dict.fromkeys(name for one in CONVENTIONS for name in (one.control_plane, one.worker))
    left = {name: [host for host in hosts_of(groups, name) if host not in members] for name in others}
    return {name: hosts for name, hosts in left.items() if hosts}


def named_groups(context: Context, groups: Groups) -> dict[str, str]:
    """The groups that variables name, by kind, as seen from a host, or from a play that has none yet.

    Raises AnsibleFilterError where hosts disagree.
    """
    hostvars, here = context.resolve_or_missing("hostvars"), context.resolve_or_missing("inventory_hostname")
    outside = isinstance(hostvars, t.Mapping) and here not in (groups.get("all") or ())
    names: dict[str, str] = {}
    for kind in KINDS:
        variable = f"sealer_{kind}_group"
        value = context.resolve_or_missing(variable)
        asked = groups.get(names.get("control_plane", "")) or groups.get("all") or ()
        names[kind] = value if isinstance(value, str) else _agreed(asked, hostvars, variable) if outside else ""
    return names


def _found(groups: Groups, control_plane: str) -> Convention:
    """The convention that the inventory has. `control_plane` is the group that a variable names, or empty."""
    group = control_plane or next((one.control_plane for one in CONVENTIONS if groups.get(one.control_plane)), "")
    rows = [one for one in CONVENTIONS if group in ("", one.control_plane)] or [CONVENTIONS[0]]
    return next((one for one in rows if groups.get(one.worker)), rows[0])


def _agreed(hosts: t.Iterable[str], hostvars: HostVars, variable: str) -> str:
    """The one value that these hosts have; nothing when none has any."""
    found = sorted({str(hostvars[host].get(variable) or "") for host in hosts if host in hostvars} - {""})
    if len(found) > 1:
        raise AnsibleFilterError(
            f"cluster_hosts: hosts of the inventory have different values of {variable}: {', '.join(found)}."
            f" Say which cluster is meant: -e {variable}={found[0]}"
        )
    return found[0] if found else ""
