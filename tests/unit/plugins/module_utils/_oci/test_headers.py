# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What headers of foreign servers say."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.headers import (
    HEADER_LIMIT,
    content_range,
    next_page,
    number,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("0", 0),
        (" 17 ", 17),
        ("9" * 18, int("9" * 18)),
        ("9" * 19, None),
        ("9" * 60_000, None),
        ("\xb2", None),
        ("٣", None),
        ("-1", None),
        ("+1", None),
        ("1_0", None),
        ("1, 1", None),
        ("", None),
        (None, None),
    ],
)
def test_numbers(header: t.Optional[str], expected: t.Optional[int]) -> None:
    assert number(header) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 0-9/*", (0, None)),
        (" bytes 0-0/1 ", (0, 1)),
        ("bytes 5-9", None),
        ("bytes */10", None),
        ("items 0-1/2", None),
        (f"bytes {'9' * 60_000}-1/2", None),
        (f"bytes 0-1/{'9' * 60_000}", None),
        ("", None),
        (None, None),
    ],
)
def test_ranges(header: t.Optional[str], expected: t.Optional[t.Tuple[int, t.Optional[int]]]) -> None:
    assert content_range(header) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('</v2/a/tags/list?last=x&n=2>; rel="next"', "/v2/a/tags/list?last=x&n=2"),
        ("<https://r.example/x?n=1>;rel=next", "https://r.example/x?n=1"),
        ('<a>; rel="prev", <b>; title="x, <c>; rel=next"; REL="Last Next"', "b"),
        ('<a>; rel="prev"', ""),
        ('<a>; title="rel=next"', ""),
        ("<a>; anext=1; rel=nextpage", ""),
        ("<a", ""),
        ("rel=next", ""),
        ("", ""),
    ],
)
def test_next_pages(header: str, expected: str) -> None:
    assert next_page(header) == expected


def test_a_header_without_end_is_not_searched() -> None:
    """Of a list that is cut short nobody would know, so it is an error."""
    with pytest.raises(OciError, match="Link"):
        next_page("<" * (HEADER_LIMIT + 1))


@given(st.text('<>;,="\\ relnxt', max_size=200))
def test_any_link_is_read_without_failing(header: str) -> None:
    assert next_page(header) in header
