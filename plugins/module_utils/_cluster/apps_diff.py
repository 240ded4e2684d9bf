# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest changes, as texts: the output of kubectl diff, or the manifest where there is nothing to compare.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._cluster.jsonfile import Json, pretty
from ansible_collections.sealer.cluster.plugins.module_utils._cluster.pod_state import told

# Values that the API server makes up for each dry run.
_VOLATILE = re.compile(r"^\s*(uid|creationTimestamp|resourceVersion|generation): ")
_SECRET_PARTS = ("data", "stringData")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_HEADER = re.compile(r"^diff .*/(?P<object>[^/\s]+)$")


def before_and_after(unified: str) -> t.Tuple[str, str]:
    """Both sides of a unified diff of many objects."""
    before: t.List[str] = []
    after: t.List[str] = []
    in_hunk = False
    for line in unified.splitlines():
        header = _HEADER.match(line)
        if header:
            in_hunk = False
            before.append(f"# {header.group('object')}")
            after.append(f"# {header.group('object')}")
        elif line.startswith("@@"):
            in_hunk = True
        elif in_hunk and line[:1] in (" ", "-", "+") and not _VOLATILE.match(line[1:]):
            if line[0] != "+":
                before.append(line[1:])
            if line[0] != "-":
                after.append(line[1:])
    return _text(before), _text(after)


def _text(lines: t.Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def manifest_text(documents: t.Sequence[Json], why: str) -> str:
    """The objects of a manifest as they would be applied, without the values of Secrets.

    why: what kubectl diff said instead of comparing them; it may quote what a Secret holds.
    """
    quotes = any(document.get("kind") == "Secret" for document in documents)
    first = "" if quotes else next((line for line in why.splitlines() if line.strip()), "")
    head = told("kubectl diff cannot compare these yet", first)
    return f"# {head}\n" + "".join(map(pretty, map(_shown, documents)))


def _shown(document: Json) -> Json:
    if document.get("kind") != "Secret":
        return document
    shown: Json = {
        key: dict.fromkeys(value, "***") if key in _SECRET_PARTS and isinstance(value, dict) else value
        for key, value in document.items()
    }
    annotations = (document.get("metadata") or {}).get("annotations")
    if annotations:
        kept = {name: text for name, text in annotations.items() if name != _LAST_APPLIED}
        shown["metadata"] = {**document["metadata"], "annotations": kept}
    return shown
