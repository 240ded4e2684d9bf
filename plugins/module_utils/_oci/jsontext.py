# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON as documents need it: read strictly, written in one way only.

Private to the collection: may change at any time.

Others write what is read here. Whatever they write, reading takes time in proportion to its length and a bounded
amount of memory.
"""

from __future__ import annotations

import json
import math
import typing as t
from collections import Counter

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import quoted

JsonObject = t.Dict[str, t.Any]

VALUE_LIMIT = 1_000_000
DEPTH_LIMIT = 100
DIGIT_LIMIT = 64


def canonical_json(value: t.Any) -> bytes:
    """The one way to write this value: sorted keys, no blanks, UTF-8."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise OciError("value cannot be written as JSON", why=str(error)) from error


def load_object(raw: bytes, what: str) -> JsonObject:
    """The JSON object in these bytes, see load_json. Raises OciError."""
    value = load_json(raw, what)
    if not isinstance(value, dict):
        raise OciError(f"{what} is not a JSON object")
    return value


def load_json(raw: bytes, what: str) -> t.Any:
    """The JSON value in these bytes. Raises OciError.

    Refused are anything but RFC 8259, keys that stand twice in an object, and documents with more than VALUE_LIMIT
    values, DEPTH_LIMIT levels or DIGIT_LIMIT digits in a number.
    """
    try:
        if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > VALUE_LIMIT:
            raise ValueError(f"it has more than {VALUE_LIMIT} values")
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=unique_keys,
            parse_int=_integer,
            parse_float=_real,
            parse_constant=_no_constant,
        )
        if raw.count(b"[") + raw.count(b"{") > DEPTH_LIMIT and _is_deeper(value, DEPTH_LIMIT):
            raise ValueError(f"it is nested more than {DEPTH_LIMIT} deep")
    except (ValueError, RecursionError) as error:
        raise OciError(f"{what} is not valid JSON", why=str(error)) from error
    return value


def unique_keys(pairs: t.List[t.Tuple[str, t.Any]]) -> JsonObject:
    """The object of these keys and values; raises ValueError where a key stands twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        ((twice, _count),) = Counter(key for key, _value in pairs).most_common(1)
        raise ValueError(f"key {quoted(twice)} stands twice in one object")
    return result


def _integer(text: str) -> int:
    _require_few_digits(text)
    return int(text)


def _real(text: str) -> float:
    _require_few_digits(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{quoted(text)} is not a finite number")
    return value


def _require_few_digits(text: str) -> None:
    count = len(text) - text.count("-") - text.count(".")
    if count > DIGIT_LIMIT:
        raise ValueError(f"a number has {count} digits, more than {DIGIT_LIMIT}")


def _is_deeper(value: t.Any, limit: int) -> bool:
    """Whether lists and objects are nested in each other more than that many levels deep."""
    level = [value]
    for _depth in range(limit + 1):
        level = [inner for inner in level if isinstance(inner, (dict, list))]
        if not level:
            return False
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return True


def _no_constant(name: str) -> t.Any:
    raise ValueError(f"{name} is not JSON")
