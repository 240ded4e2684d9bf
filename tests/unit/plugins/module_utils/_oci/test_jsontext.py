# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Foreign JSON: what is refused, and that reading it costs no more than its length."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci import jsontext
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_json, load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import parse_document
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Key(str):
    """A key that counts with how many others it is compared."""

    compared = 0

    def __hash__(self) -> int:
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return super().__eq__(other)


def comparisons(size: int) -> int:
    """How many comparisons it takes to find that the last of so many keys stands twice."""
    keys = [*(Key(f"k{number}") for number in range(size)), Key(f"k{size - 1}")]
    Key.compared = 0
    with pytest.raises(ValueError, match="stands twice"):
        jsontext.unique_keys([(key, 1) for key in keys])
    return Key.compared


def test_a_key_that_stands_twice_is_found_in_linear_time() -> None:
    once, twice = comparisons(2000), comparisons(4000)
    assert twice < 3 * once
    assert twice < 4 * 4000


@given(VALUES)
def test_what_is_written_is_read(value: t.Any) -> None:
    assert load_json(json.dumps(value).encode(), "it") == value


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"a": 1, "b": 2, "a": 3}', "key 'a' stands twice"),
        (b'{"x": {"a": 1, "a": 1}}', "key 'a' stands twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": 1e999}', "not a finite number"),
        (b'{"a": -1e999}', "not a finite number"),
        (b'{"a": %s}' % (b"9" * 65), "a number has 65 digits"),
        (b'{"a": -%s}' % (b"9" * 65), "a number has 65 digits"),
        (b'{"a": %s.5}' % (b"9" * 400_000), "a number has 400001 digits"),
        (b"[" * 101 + b"]" * 101, "nested more than 100 deep"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "nested more than 100 deep"),
        (b"[" * 100_000, "recursion|Expecting value|nested"),
        (b'{"a": "\xff"}', "utf-8"),
        (b"{} {}", "Extra data"),
        (b"", "Expecting value"),
    ],
)
def test_what_is_no_sound_json(raw: bytes, why: str) -> None:
    with pytest.raises(OciError, match="it is not valid JSON") as caught:
        load_json(raw, "it")
    assert caught.value.why
    assert len(str(caught.value)) < 600
    with pytest.raises(OciError, match=why):
        load_json(raw, "it")


def test_as_deep_as_it_may_be() -> None:
    assert load_json(b"[" * 100 + b"]" * 100, "it")
    assert load_json(b'{"a":[' * 50 + b"]}" * 50, "it")


def test_the_number_of_values_is_bounded() -> None:
    """Sixteen megabytes of empty lists would become hundreds of megabytes of objects."""
    limit = jsontext.VALUE_LIMIT
    assert len(load_json(b"[" + b",".join([b"0"] * (limit - 2)) + b"]", "it")) == limit - 2
    with pytest.raises(OciError, match=f"more than {limit} values"):
        load_json(b"[" + b",".join([b"[]"] * limit) + b"]", "it")


def test_a_long_key_is_not_told_as_a_whole() -> None:
    key = b'"' + b"k" * 1_000_000 + b'"'
    with pytest.raises(OciError, match="stands twice") as caught:
        load_object(b"{%s: 1, %s: 2}" % (key, key), "it")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("raw", [b"[]", b'"a"', b"1", b"null"])
def test_what_is_no_object(raw: bytes) -> None:
    with pytest.raises(OciError, match="it is not a JSON object"):
        load_object(raw, "it")


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"schemaVersion": [LONG]},
        {"schemaVersion": LONG},
        {"mediaType": LONG},
        {"config": {"mediaType": LONG}},
        {"config": {"mediaType": "a/b", "size": LONG}},
        {"config": {"mediaType": "a/b", "size": 1, "digest": LONG}},
        {"config": {"mediaType": "a/b", "size": 1, "digest": f"sha256:{LONG}"}},
        {"config": {"mediaType": "a/b", "size": 1, "digest": f"{LONG}:00"}},
        {"config": {"mediaType": "a/b", "size": [LONG] * 10, "digest": "sha256:" + "0" * 64}},
    ],
)
def test_errors_do_not_carry_the_document(wrong: t.Dict[str, t.Any]) -> None:
    good = {"mediaType": "a/b", "size": 1, "digest": "sha256:" + "0" * 64}
    document = {"schemaVersion": 2, "config": good, "layers": [], **wrong}
    with pytest.raises(OciError) as caught:
        parse_document(json.dumps(document).encode())
    assert len(str(caught.value)) < 1000
