# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Strict content digests, and a reader that cannot be used without checking one.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import hashlib
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import quoted

CHUNK = 1024 * 1024

_LENGTHS = {"sha256": 64, "sha512": 128}
_HEX_DIGITS = frozenset("0123456789abcdef")


class DigestMismatch(OciError):
    """Content is not what its digest or its size says."""


class Hasher(t.Protocol):
    """The part of a hashlib object that is used here."""

    def update(self, data: t.Union[bytes, memoryview], /) -> None: ...

    def hexdigest(self) -> str: ...


class Readable(t.Protocol):
    """Whatever can be read from: a file, a tar member, a response."""

    def read(self, size: int = ..., /) -> bytes: ...


@dataclass(frozen=True, order=True)
class Digest:
    """An algorithm and the lower-case hex of exactly its length."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        length = _LENGTHS.get(self.algorithm)
        if length is None:
            raise OciError(
                f"unknown digest algorithm {quoted(self.algorithm)}",
                why=f"only {' and '.join(sorted(_LENGTHS))} are known",
            )
        if len(self.hex) != length or not _HEX_DIGITS.issuperset(self.hex):
            raise OciError(
                f"invalid digest {quoted(f'{self.algorithm}:{self.hex}')}",
                why=f"{self.algorithm} takes {length} lower-case hex digits",
            )

    @classmethod
    def parse(cls, text: str) -> Digest:
        """The digest written as ``sha256:<hex>``."""
        algorithm, separator, hexadecimal = text.partition(":")
        if not separator:
            raise OciError(f"invalid digest {quoted(text)}", why="it has to be written as algorithm:hex")
        return cls(algorithm, hexadecimal)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> Digest:
        """The digest of these bytes."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def hasher(self) -> Hasher:
        """A fresh hash of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def check(digest: Digest, size: t.Optional[int], found_hex: str, found_size: int, where: str = "") -> None:
    """Raise DigestMismatch unless what was found is what was promised."""
    if size is not None and found_size != size:
        raise DigestMismatch(
            f"content of {digest} has the wrong size", where=where, why=f"{found_size} bytes, not {size}"
        )
    if found_hex != digest.hex:
        raise DigestMismatch(
            f"content does not match {digest}", where=where, why=f"its digest is {digest.algorithm}:{found_hex}"
        )


class VerifyingReader:
    """Reads a stream and raises DigestMismatch when it ends as anything but what was promised.

    Where the size is known, the last bytes are handed out only after they are checked.
    """

    def __init__(self, stream: Readable, digest: Digest, size: t.Optional[int] = None) -> None:
        self._stream = stream
        self._digest = digest
        self._size = size
        self._hash = digest.hasher()
        self._seen = 0

    def read(self, size: int = -1) -> bytes:
        """Up to that many bytes, everything when negative; empty only at a good end."""
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        data = self._stream.read(size)
        self._hash.update(data)
        self._seen += len(data)
        ended = (not data and size > 0) or self._seen == self._size
        if ended or (self._size is not None and self._seen > self._size):
            check(self._digest, self._size, self._hash.hexdigest(), self._seen)
        return data
