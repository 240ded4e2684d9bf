# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to tell of objects that stay in a cluster although the image does not have them any more.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.apps_plan import IMAGE_COMMANDS
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.objects import ObjectId, group_of

_MAX_TOLD = 20
_WITH_DATA = frozenset({"CustomResourceDefinition", "Namespace", "PersistentVolume", "PersistentVolumeClaim"})


def warnings_of(applications: t.Iterable[Json]) -> t.List[str]:
    """One sentence or two for each application that left something, with its objects and what removes them.

    applications: as Look.applications returns them.
    """
    return [_warning(item) for item in applications if item["stays"] or item["left"]]


def _warning(item: Json) -> str:
    owner = "The commands of the image" if item["name"] == IMAGE_COMMANDS else f"The application {item['name']}"
    if not item["left"]:
        return f"{owner} stays in the cluster: {item['stays']}. What its commands made is not known"
    head = f"stays in the cluster: {item['stays']}" if item["stays"] else "left objects in the cluster"
    shown = [_told(found, item["stays"]) for found in item["left"][:_MAX_TOLD]]
    more = len(item["left"]) - len(shown)
    objects = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    data = " (with all data in it)" if _WITH_DATA & {found["kind"] for found in item["left"]} else ""
    return f"{owner} {head}: {objects}. Nothing is removed. To remove all of it{data}: {_commands(item['left'])}"


def _told(found: Json, stays: str) -> str:
    name = str(ObjectId(group_of(found["api_version"]), found["kind"], found["namespace"], found["name"]))
    return name if stays else f"{name} ({found['source']}: {found['why']})"


def _commands(left: t.Sequence[Json]) -> str:
    """What a person would type to remove them."""
    names: t.Dict[str, t.List[str]] = {}
    for found in left[:_MAX_TOLD]:
        group = group_of(found["api_version"])
        kind = found["kind"].lower() + (f".{group}" if group else "")
        names.setdefault(found["namespace"], []).append(f"{kind}/{found['name']}")
    return "; ".join(
        "kubectl delete " + (f"--namespace={namespace} " if namespace else "") + " ".join(listed)
        for namespace, listed in sorted(names.items())
    )
