# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON as documents need it: read strictly, written in one way only.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError

JsonObject = t.Dict[str, t.Any]


def canonical_json(value: t.Any) -> bytes:
    """The one way to write this value: sorted keys, no blanks, UTF-8."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise OciError("value cannot be written as JSON", why=str(error)) from error


def load_object(raw: bytes, what: str) -> JsonObject:
    """The JSON object in these bytes; duplicate keys and anything but RFC 8259 are refused."""
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise OciError(f"{what} is not valid JSON", why=str(error)) from error
    if not isinstance(value, dict):
        raise OciError(f"{what} is not a JSON object")
    return value


def _unique(pairs: t.List[t.Tuple[str, t.Any]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _value in pairs]
        raise ValueError(f"key {max(keys, key=keys.count)!r} stands twice in one object")
    return result


def _no_constant(name: str) -> t.Any:
    raise ValueError(f"{name} is not JSON")
