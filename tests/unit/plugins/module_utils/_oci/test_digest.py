# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests are strict, and nothing is read past a wrong one."""

from __future__ import annotations

import hashlib
import io
import pickle

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest, DigestMismatch, VerifyingReader
from hypothesis import given
from hypothesis import strategies as st

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.binary(max_size=300), st.sampled_from(["sha256", "sha512"]))
def test_a_digest_survives_its_text(data: bytes, algorithm: str) -> None:
    digest = Digest.of(data, algorithm)
    assert Digest.parse(str(digest)) == digest
    assert digest.hex == hashlib.new(algorithm, data).hexdigest()
    assert pickle.loads(pickle.dumps(digest)) == digest
    assert len({digest, Digest.parse(str(digest))}) == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "algorithm:hex"),
        ("sha256", "algorithm:hex"),
        ("sha256:", "64 lower-case hex"),
        (EMPTY, "algorithm:hex"),
        (f"sha256:{EMPTY.upper()}", "64 lower-case hex"),
        (f"sha256:{EMPTY[:-1]}", "64 lower-case hex"),
        (f"sha256:{EMPTY}0", "64 lower-case hex"),
        (f"sha256:{EMPTY}\n", "64 lower-case hex"),
        (f" sha256:{EMPTY}", "unknown digest algorithm"),
        (f"sha512:{EMPTY}", "128 lower-case hex"),
        (f"SHA256:{EMPTY}", "unknown digest algorithm"),
        ("md5:d41d8cd98f00b204e9800998ecf8427e", "unknown digest algorithm"),
        (f"sha256:../../{EMPTY[6:]}", "64 lower-case hex"),
    ],
)
def test_what_is_no_digest_is_refused(text: str, why: str) -> None:
    with pytest.raises(OciError, match=why):
        Digest.parse(text)


def test_digests_sort_by_algorithm_and_hex() -> None:
    digests = [Digest.of(bytes([number]), algorithm) for algorithm in ("sha512", "sha256") for number in range(20)]
    assert [str(digest) for digest in sorted(digests)] == sorted(map(str, digests))


@given(st.binary(max_size=400), st.integers(1, 90), st.booleans())
def test_a_verifying_reader_gives_the_stream(data: bytes, step: int, sized: bool) -> None:
    reader = VerifyingReader(io.BytesIO(data), Digest.of(data), len(data) if sized else None)
    assert b"".join(iter(lambda: reader.read(step), b"")) == data


@given(st.binary(min_size=1, max_size=200), st.binary(max_size=200), st.integers(1, 90))
def test_other_bytes_are_never_read_to_the_end(data: bytes, other: bytes, step: int) -> None:
    if data == other:
        other += b"x"
    for size in (None, len(data)):
        reader = VerifyingReader(io.BytesIO(other), Digest.of(data), size)
        with pytest.raises(DigestMismatch):
            while reader.read(step):
                pass


def test_the_last_bytes_of_a_known_size_are_checked_before_they_are_given() -> None:
    reader = VerifyingReader(io.BytesIO(b"abcX"), Digest.of(b"abcd"), 4)
    assert reader.read(3) == b"abc"
    with pytest.raises(DigestMismatch, match="does not match"):
        reader.read(1)


def test_an_endless_stream_is_cut_at_its_size() -> None:
    class Endless:
        def __init__(self) -> None:
            self.given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return b"x" * size

    stream = Endless()
    with pytest.raises(DigestMismatch, match="wrong size"):
        VerifyingReader(stream, Digest.of(b"x"), 10).read()
    assert stream.given < 4 << 20
