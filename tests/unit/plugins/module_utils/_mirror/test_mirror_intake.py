# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Request bodies: whole, in chunks, cut anywhere, broken."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.serving.intake import (
    LINE_LIMIT,
    TRAILER_LIMIT,
    BrokenBody,
    Input,
)
from hypothesis import given
from hypothesis import strategies as st


class Sender:
    """A client that sends these pieces, then ends."""

    def __init__(self, pieces: t.Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def receive(self) -> bytes:
        return next(self._pieces, b"")


def cut(data: bytes, size: int) -> t.List[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def chunked(parts: t.Sequence[bytes], extension: bytes = b"", trailers: bytes = b"") -> bytes:
    coded = b"".join(b"%x%s\r\n%s\r\n" % (len(part), extension, part) for part in parts)
    return coded + b"0\r\n" + trailers + b"\r\n"


@given(
    st.binary(max_size=300),
    st.integers(1, 50),
    st.integers(0, 60),
    st.integers(1, 70),
    st.sampled_from([b"", b"GET / HTTP/1.1\r\n"]),
)
def test_with_a_length(body: bytes, size: int, ahead: int, asked: int, behind: bytes) -> None:
    sent = body + behind
    rest = bytearray(sent[:ahead])
    given_input = Input(Sender(cut(sent[ahead:], size)), rest, len(body))
    parts = list(iter(lambda: given_input.read(asked), b""))
    assert b"".join(parts) == body
    assert all(len(part) == asked for part in parts[:-1])
    assert given_input.ended
    assert behind.startswith(bytes(rest))


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.integers(1, 30),
    st.one_of(st.just(-1), st.integers(1, 64)),
    st.sampled_from([b"", b";a=b", b" ; x"]),
    st.sampled_from([b"", b"Checksum: 1\r\n"]),
)
def test_in_chunks(parts: t.List[bytes], size: int, asked: int, extension: bytes, trailers: bytes) -> None:
    rest = bytearray()
    given_input = Input(Sender(cut(chunked(parts, extension, trailers), size)), rest, None)
    assert b"".join(iter(lambda: given_input.read(asked), b"")) == b"".join(parts)
    assert given_input.ended
    assert not rest


def test_what_follows_chunks_is_kept() -> None:
    rest = bytearray(chunked([b"abc"]) + b"GET")
    assert Input(Sender([]), rest, None).read() == b"abc"
    assert rest == b"GET"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"5\r\nab",
        b"5\r\nabcde",
        b"5\r\nabcdeX\r\n0\r\n\r\n",
        b"5\nabcde\n0\n\n",
        b"-5\r\nabcde\r\n0\r\n\r\n",
        b"0x5\r\nabcde\r\n0\r\n\r\n",
        b"+5\r\nabcde\r\n0\r\n\r\n",
        b" 5\r\nabcde\r\n0\r\n\r\n",
        b"5 5\r\nabcde\r\n0\r\n\r\n",
        b"\r\n5\r\nabcde\r\n0\r\n\r\n",
        b"00000000000000005\r\nabcde\r\n0\r\n\r\n",
        b"\xb2\r\nab\r\n0\r\n\r\n",
        b"5" * (LINE_LIMIT * 2),
        b"5;" + b"a" * LINE_LIMIT + b"\r\nabcde\r\n0\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * TRAILER_LIMIT,
        b"0\r\nA: b",
    ],
)
@pytest.mark.parametrize("size", [1, 4096])
def test_broken_chunks(sent: bytes, size: int) -> None:
    with pytest.raises(BrokenBody):
        Input(Sender(cut(sent, size)), bytearray(), None).read()


def test_an_end_before_the_length() -> None:
    with pytest.raises(BrokenBody, match="before the request's body was complete"):
        Input(Sender([b"abc"]), bytearray(), 5).read()


def test_nothing_is_read_beyond_what_is_asked_for() -> None:
    class Careful(Sender):
        asked = 0

        def receive(self) -> bytes:
            self.asked += 1
            return super().receive()

    sender = Careful([b"abcdef", b"ghi"])
    given_input = Input(sender, bytearray(), 9)
    assert (given_input.read(0), sender.asked) == (b"", 0)
    assert (given_input.read(6), sender.asked, given_input.ended) == (b"abcdef", 1, False)
    assert list(given_input) == [b"ghi"]
