# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of tags, patterns, and work that is shared."""

from __future__ import annotations

import pathlib
import re
import tempfile
import threading
import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.flights import Flights, Remembered
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.globs import matches_any
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.upstream.tags import TagRecord, Tags
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.tests.unit.plugins.module_utils._mirror.upstream_side import Clock
from hypothesis import given
from hypothesis import strategies as st

RECORDS = st.builds(
    TagRecord,
    st.binary().map(Digest.of),
    st.text(),
    st.integers(0, 1 << 62),
    st.text(),
    st.floats(0, 1e12),
    st.text(),
)
REFERENCES = st.builds(
    Reference,
    st.from_regex(r"[A-Za-z0-9]{1,20}(\.[a-z]{1,5}){0,2}(:[0-9]{1,5})?", fullmatch=True),
    st.from_regex(r"[a-z0-9]{1,20}((__|\.|-)[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,9}){0,3}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True),
)


@given(st.dictionaries(REFERENCES, RECORDS, max_size=6))
def test_what_is_put_is_found(wanted: dict[Reference, TagRecord]) -> None:
    with tempfile.TemporaryDirectory() as store:
        tags = Tags(store)
        for reference, record in wanted.items():
            tags.put(reference, record)
        assert {reference: tags.get(reference) for reference in wanted} == wanted
        assert tags.sweep(lambda _digest: True) == 0
        assert tags.sweep(lambda _digest: False) == len(wanted)
        assert [tags.get(reference) for reference in wanted] == [None] * len(wanted)
        for reference in wanted:
            tags.forget(reference)


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: repr(x).encode()))
def test_damaged_records_are_none(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as store:
        reference = Reference.parse("quay.io/a/b:1")
        path = pathlib.Path(store, "pulled", "tags", "quay.io", "a/b", "_tags", "1")
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        assert Tags(store).get(reference) is None
        assert Tags(store).sweep(lambda _digest: True) == 1
        assert not path.exists()


def test_a_place_that_cannot_be_written_to(tmp_path: pathlib.Path) -> None:
    (tmp_path / "pulled").touch()
    with pytest.raises(OciError, match="cannot remember a tag"):
        Tags(str(tmp_path)).put(Reference.parse("a"), TagRecord(Digest.of(b""), "", 0, "", 0, ""))


@pytest.mark.parametrize(("now", "age"), [(100.0, 0.0), (160.0, 60.0), (99.0, None)])
def test_ages(now: float, age: float | None) -> None:
    assert TagRecord(Digest.of(b""), "", 0, "", 100.0, "").age(now) == age


@given(st.text(), st.lists(st.text(max_size=8), max_size=4))
def test_patterns_match_as_shells_do(text: str, patterns: list[str]) -> None:
    def simple(pattern: str) -> str:
        return "".join(".*" if char == "*" else "." if char == "?" else re.escape(char) for char in pattern)

    expected = any(re.fullmatch(f"(?s:{simple(pattern)})", text) for pattern in patterns)
    assert matches_any(text, patterns) is expected
    assert matches_any(text, ["*"])


def test_work_is_done_once_for_all_and_anew_afterwards() -> None:
    flights: Flights[int] = Flights("test")
    go_on, done = threading.Event(), []

    def work() -> int:
        go_on.wait(20)
        done.append(1)
        return len(done)

    first, shared = flights.join("x", work)
    second, shared_too = flights.join("x", work)
    assert (first is second, shared, shared_too) == (True, False, True)
    assert not first.wait(0)
    go_on.set()
    assert first.wait(20) and first.result() == 1
    while flights.join("x", work)[1]:
        pass
    assert len(done) <= 2


def test_all_are_told_what_went_wrong() -> None:
    flights: Flights[int] = Flights("test")

    def fail() -> t.NoReturn:
        raise OciError("no")

    flight, _shared = flights.join("x", fail)
    assert flight.wait(20)
    for _waiter in range(2):
        with pytest.raises(OciError, match="no"):
            flight.result()


def test_patience_counts_from_the_beginning_of_the_work() -> None:
    clock = Clock()
    flights: Flights[int] = Flights("test", clock)
    go_on = threading.Event()
    flight, _shared = flights.join("x", lambda: int(go_on.wait(20)))
    clock.now += 30
    assert not flight.wait(29)
    go_on.set()
    assert flight.wait(60)


def test_what_is_remembered_is_bounded() -> None:
    clock = Clock()
    remembered: Remembered[int] = Remembered(3, clock)
    for number in range(5):
        remembered.put(str(number), number, 10)
    assert [remembered.get(str(number)) for number in range(5)] == [None, None, (2,), (3,), (4,)]
    clock.now += 10
    assert remembered.get("4") is None
    remembered.put("x", 1, 10)
    remembered.drop("x")
    assert remembered.get("x") is None
