# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may pull and who may push: users out of a small file, by HTTP Basic.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import logging
import os
import threading
import typing as t
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.answers import Refused
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.blocking import ANYWHERE, LOGIN, Blocking

CHALLENGE = ("WWW-Authenticate", 'Basic realm="sealer", charset="UTF-8"')

_LOG_COST, _BLOCK, _PARALLEL = 14, 8, 1
_KEY_BYTES = 32
_SALT_BYTES = 16
_MOST_MEMORY = 256 * 1024 * 1024
_REMEMBERED = 1024
_LARGEST = 4 * 1024 * 1024

_Signature = t.Tuple[int, int, int]


@dataclass(frozen=True)
class Hash:
    """What is kept of a password: scrypt's settings, a salt and a key, written as ``scrypt$14$8$1$<salt>$<key>``."""

    log_cost: int
    block: int
    parallel: int
    salt: bytes
    key: bytes

    @classmethod
    def of(cls, password: str, salt: bytes = b"") -> Hash:
        """The hash of a password, with a fresh salt."""
        made = cls(_LOG_COST, _BLOCK, _PARALLEL, salt or os.urandom(_SALT_BYTES), bytes(_KEY_BYTES))
        return cls(_LOG_COST, _BLOCK, _PARALLEL, made.salt, made.derive(password.encode("utf-8")))

    @classmethod
    def parse(cls, text: str) -> Hash:
        """The hash that is written so; raises ValueError."""
        name, *fields = text.split("$")
        if name != "scrypt" or len(fields) != 5:
            raise ValueError("a hash has to be written as scrypt$LOG2_OF_N$R$P$SALT$KEY")
        log_cost, block, parallel = (int(item) for item in fields[:3])
        salt, key = (base64.b64decode(item, validate=True) for item in fields[3:])
        if not (1 <= log_cost <= 17 and 1 <= block <= 16 and 1 <= parallel <= 4 and salt and 16 <= len(key) <= 64):
            raise ValueError("a hash has settings that are out of bounds")
        return cls(log_cost, block, parallel, salt, key)

    def derive(self, password: bytes) -> bytes:
        """The key of this password with the same settings and salt; takes a while by design."""
        cost = 1 << self.log_cost
        return hashlib.scrypt(
            password, salt=self.salt, n=cost, r=self.block, p=self.parallel, maxmem=_MOST_MEMORY, dklen=len(self.key)
        )

    def fits(self, password: bytes) -> bool:
        """Whether it is the hash of this password."""
        return hmac.compare_digest(self.derive(password), self.key)

    def __str__(self) -> str:
        salt, key = (base64.b64encode(item).decode("ascii") for item in (self.salt, self.key))
        return f"scrypt${self.log_cost}${self.block}${self.parallel}${salt}${key}"


@dataclass(frozen=True)
class User:
    """Somebody who is known here."""

    name: str
    hash: Hash
    push: bool = False


class Users:
    """The users' file, read again whenever it changes."""

    def __init__(self, path: str, log: logging.Logger) -> None:
        self._path = path
        self._log = log
        self._lock = threading.Lock()
        self._signature: t.Optional[_Signature] = None
        self._users: t.Optional[t.Mapping[str, User]] = None

    def read(self) -> t.Mapping[str, User]:
        """The users by name. A file that cannot be read any more leaves those that were; raises MirrorError without."""
        with self._lock:
            try:
                found = os.stat(self._path)
                signature = (found.st_mtime_ns, found.st_size, found.st_ino)
                if self._users is None or signature != self._signature:
                    self._users = _load(self._path)
                    self._signature = signature
            except (OSError, ValueError, RecursionError) as error:
                if self._users is None:
                    raise MirrorError("the users cannot be read", where=self._path, why=str(error)) from error
                self._log.error("the users cannot be read again, those before stay: %s: %s", self._path, error)
            return self._users


class Access:
    """Decides who may do what. Threads may share it."""

    def __init__(self, users_file: str, anonymous_pull: bool, log: logging.Logger) -> None:
        self._users = Users(users_file, log) if users_file else None
        self._anonymous_pull = anonymous_pull
        self._secret = os.urandom(32)
        self._known: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def can_push(self) -> bool:
        """Whether anybody may push at all."""
        return self._users is not None

    @property
    def anonymous(self) -> bool:
        """Whether pulls need no name."""
        return self._users is None or self._anonymous_pull

    def pull(self, header: t.Optional[str], blocking: Blocking = ANYWHERE, client: str = "") -> t.Optional[User]:
        """Who pulls, None for nobody known; Refused (401) unless they may.

        To hash a password takes a while: whether this thread may is asked of ``blocking``, for the client's address.
        """
        if self._users is None:
            return None
        user = self._user(header, blocking, client) if header is not None else None
        if user is None and not self._anonymous_pull:
            raise _unauthorized("authentication required")
        return user

    def push(self, header: t.Optional[str], blocking: Blocking = ANYWHERE, client: str = "") -> User:
        """Who pushes or deletes; Refused (401 or 403) unless they may."""
        user = None if header is None or self._users is None else self._user(header, blocking, client)
        if user is None:
            raise _unauthorized("authentication required")
        if not user.push:
            raise Refused(HTTPStatus.FORBIDDEN, "DENIED", f"user {user.name} may pull only")
        return user

    def _user(self, header: str, blocking: Blocking, client: str) -> t.Optional[User]:
        """Whom the header proves; None for empty credentials, as some clients send for nobody."""
        users = self._users.read() if self._users is not None else {}
        name, password = _credentials(header)
        if not name and not password:
            return None
        user = users.get(name)
        if user is None or not self._is_right(user, password, blocking, client):
            raise _unauthorized("user and password do not fit")
        return user

    def _is_right(self, user: User, password: bytes, blocking: Blocking, client: str) -> bool:
        """Whether it is the user's password. Only what was found right is remembered, under a keyed hash."""
        told = b"\0".join((user.name.encode("utf-8"), str(user.hash).encode("ascii"), password))
        mark = hmac.new(self._secret, told, hashlib.sha256).digest()
        with self._lock:
            if mark in self._known:
                self._known.move_to_end(mark)
                return True
        blocking.enter(LOGIN, client)
        right = user.hash.fits(password)
        if right:
            with self._lock:
                self._known[mark] = user.name
                while len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return right


def _load(path: str) -> t.Dict[str, User]:
    with open(path, "rb") as stream:
        value = json.loads(stream.read(_LARGEST))
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return {name: _user(name, entry) for name, entry in value.items()}


def _user(name: str, entry: t.Any) -> User:
    push = entry.get("push", False) if isinstance(entry, dict) else None
    if not isinstance(push, bool) or not isinstance(entry.get("hash"), str) or set(entry) - {"hash", "push"}:
        raise ValueError(f"user {name!r} has to be an object of 'hash' and 'push'")
    if not name or ":" in name or not name.isprintable():
        raise ValueError(f"{name!r} cannot be a user's name")
    try:
        return User(name, Hash.parse(entry["hash"]), push)
    except ValueError as error:
        raise ValueError(f"user {name!r}: {error}") from error


def _credentials(header: str) -> t.Tuple[str, bytes]:
    scheme, _blank, token = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError("another scheme")
        name, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
        if not colon:
            raise ValueError("no password")
        return name.decode("utf-8"), password
    except (ValueError, binascii.Error) as error:
        raise _unauthorized("the credentials are not those of HTTP Basic") from error


def _unauthorized(what: str) -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", what, headers=[CHALLENGE])
