# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file of variables with passwords that are made once, and hashes of passwords.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError
from ansible_collections.sealer.cluster.plugins.module_utils._mirror.api.access import Hash

PUSH, NODES = "push", "nodes"
PASSWORD_BYTES = 24

_NAMES = {NODES: "sealer_registry_", PUSH: "sealer_registry_push_"}
_HEAD = """\
---
# Users of the cluster's registry, made by the Ansible collection sealer.cluster.
# Encrypt it with ansible-vault encrypt. Change a password here, and run the role registry again.
"""

Values = t.Mapping[str, t.Any]


class Login(t.NamedTuple):
    """A user and a password."""

    name: str
    password: str
    push: bool


def fresh_text() -> str:
    """A file with new passwords."""
    lines = [f'{prefix}username: {user}\n{prefix}password: "{_password()}"\n' for user, prefix in _NAMES.items()]
    return _HEAD + "".join(lines)


def write_once(path: str) -> None:
    """Make the file where there is none; of many who come at once, one makes it."""
    directory = os.path.dirname(path) or "."
    os.makedirs(directory, exist_ok=True)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(path):
            return
        partial = f"{path}.partial"
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(handle, "w", encoding="utf-8") as stream:
            os.fchmod(handle, 0o600)
            stream.write(fresh_text())
            stream.flush()
            os.fsync(handle)
        os.replace(partial, path)
    finally:
        os.close(lock)


def logins(values: t.Any, path: str) -> dict[str, Login]:
    """The users of NODES and PUSH out of the file's content."""
    if not isinstance(values, t.Mapping):
        raise MirrorError("the file of credentials holds no variables", where=path)
    found = {}
    for user, prefix in _NAMES.items():
        name, password = (values.get(prefix + part) for part in ("username", "password"))
        if not isinstance(name, str) or not isinstance(password, str) or not name or not password:
            raise MirrorError(
                f"the file of credentials lacks {prefix}username or {prefix}password",
                where=path,
                fix="Add them as texts; or move the file away to get new passwords",
            )
        found[user] = Login(str(name), str(password), user == PUSH)
    return found


def hashed(users: t.Iterable[Login], scope: str) -> dict[str, t.Any]:
    """What the mirror keeps of them. The salt follows from the names, so that the same users give the same hashes."""
    found: dict[str, t.Any] = {}
    for user in users:
        if user.name in found:
            raise MirrorError(f"the user {user.name} is there twice")
        if ":" in user.name or not user.name or not user.name.isprintable():
            raise MirrorError(f"{user.name!r} cannot be a user's name", why="it is empty or has a colon in it")
        salt = hashlib.sha256(f"sealer.cluster\0{scope}\0{user.name}".encode()).digest()[:16]
        found[user.name] = {"hash": str(Hash.of(user.password, salt)), "push": user.push}
    return found


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)
