# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A user's document laid over ours."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: merge_documents
short_description: Lay documents over a document, so that everything can be overridden and removed
version_added: 0.1.0
description:
  - Mappings are merged key by key, at any depth. Lists and single values are replaced as a whole.
  - V(false), V(0) and empty values override like any other. A null removes the key.
author:
  - sealer.cluster contributors (@sealerio)
positional: overlays
options:
  _input:
    description: The document underneath.
    type: dict
    required: true
  overlays:
    description: Documents to lay over it, one after the other.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Change one field and remove another
  ansible.builtin.debug:
    msg: "{{ ours | sealer.cluster.merge_documents(theirs) }}"
  vars:
    ours:
      networking: {podSubnet: 10.244.0.0/16, dnsDomain: cluster.local}
      failSwapOn: true
    theirs:
      networking: {dnsDomain: null}
      failSwapOn: false
"""

RETURN = r"""
_value:
  description: The merged document.
  type: dict
  sample: {networking: {podSubnet: 10.244.0.0/16}, failSwapOn: false}
"""

Document = t.Mapping[str, t.Any]


def _plain(value: t.Any) -> t.Any:
    if isinstance(value, t.Mapping):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return value


def _merged(below: t.Any, above: t.Any) -> t.Any:
    if not isinstance(below, t.Mapping) or not isinstance(above, t.Mapping):
        return _plain(above)
    result = dict(below)
    for key, value in above.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result[key], value) if key in result else _plain(value)
    return result


def merge_documents(document: Document, *overlays: Document) -> dict[str, t.Any]:
    """The document with all overlays on it."""
    result: t.Any = document
    for position, layer in enumerate((document, *overlays)):
        if not isinstance(layer, t.Mapping):
            place = "below" if position == 0 else f"number {position} above it"
            raise AnsibleFilterError(f"merge_documents wants mappings, and the document {place} is none")
    for overlay in overlays:
        result = _merged(result, overlay)
    return dict(result)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., dict[str, t.Any]]]:
        return {"merge_documents": merge_documents}
