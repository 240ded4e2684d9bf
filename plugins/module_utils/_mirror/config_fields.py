# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading one object of the configuration, strictly: every key is known, every value of its kind.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.url import Url, split_login

_GLOB = re.compile(r"[A-Za-z0-9*?\[\]!._:/-]+")
_HOST_PATTERN = re.compile(r"[A-Za-z0-9*?\[\].:_-]+")
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?::[0-9]{1,5})?")
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*")

_Value = t.TypeVar("_Value")


class Fields:
    """Takes the values out of one JSON object; ``done`` says what nobody asked for."""

    def __init__(self, value: t.Any, where: str = "") -> None:
        if not isinstance(value, dict):
            name = f"setting {where!r}" if where else "configuration"
            raise MirrorError(f"the mirror's {name} is not a JSON object")
        self._left = dict(value)
        self._where = where

    def done(self) -> None:
        """Refuse the keys that are left."""
        if self._left:
            raise MirrorError(f"unknown settings: {', '.join(self.name(key) for key in sorted(self._left))}")

    def name(self, key: str) -> str:
        """The setting's full name."""
        return f"{self._where}.{key}" if self._where else key

    def has(self, key: str) -> bool:
        """Whether a value is given and not taken yet."""
        return self._left.get(key) is not None

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """Any text without control characters."""
        value = self._take(key, default)
        if required and not value:
            raise MirrorError(f"the setting {self.name(key)!r} is missing")
        self.require(key, value, isinstance(value, str) and (value.isprintable() or not value), "a text")
        return str(value)

    def path(self, key: str, *, required: bool = False) -> str:
        """A path, with environment variables filled in."""
        value = self._take(key, "")
        if required and not value:
            raise MirrorError(f"the setting {self.name(key)!r} is missing")
        self.require(key, value, isinstance(value, str) and "\0" not in value, "a path")
        return os.path.expandvars(str(value))

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._take(key, default)
        self.require(key, value, isinstance(value, bool), "true or false")
        return bool(value)

    def count(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number."""
        value = self._take(key, default)
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
        self.require(key, value, good, f"a number from {least} to {most}")
        return int(value)

    def number(self, key: str, default: float, most: float) -> float:
        """A number that is not negative, with or without a fraction."""
        value = self._take(key, default)
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= most
        self.require(key, value, good, f"a number from 0 to {most:g}")
        return float(value)

    def choice(self, key: str, default: str, allowed: t.Sequence[str]) -> str:
        """One of these words."""
        value = self._take(key, default)
        self.require(key, value, value in allowed, f"one of {', '.join(allowed)}")
        return str(value)

    def texts(self, key: str, good: t.Callable[[str], bool], what: str, *, required: bool = False) -> t.Tuple[str, ...]:
        """A list of texts of one kind, none of them twice."""
        value = self._take(key, [])
        if required and not value:
            raise MirrorError(f"the setting {self.name(key)!r} is missing")
        fits = isinstance(value, list) and all(isinstance(item, str) and good(item) for item in value)
        self.require(key, value, fits, f"a list of {what}")
        self.unique(key, value)
        return tuple(value)

    def objects(self, key: str, read: t.Callable[[Fields], _Value]) -> t.Tuple[_Value, ...]:
        """A list of objects, each read by itself."""
        value = self._take(key, [])
        self.require(key, value, isinstance(value, list), "a list of objects")
        found = []
        for position, item in enumerate(value):
            fields = Fields(item, f"{self.name(key)}[{position}]")
            found.append(read(fields))
            fields.done()
        return tuple(found)

    def unique(self, key: str, values: t.Sequence[str]) -> None:
        """Refuse a value that stands twice."""
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise MirrorError(f"the setting {self.name(key)!r} names {twice[0]!r} twice")

    def together(self, one: str, other: str, values: t.Tuple[str, str]) -> None:
        """Refuse one of two settings without the other."""
        if bool(values[0]) != bool(values[1]):
            raise MirrorError(f"the settings {self.name(one)!r} and {self.name(other)!r} go together")

    def require(self, key: str, value: t.Any, good: bool, what: str) -> None:
        """Refuse the value unless it is good."""
        if not good:
            raise MirrorError(f"the setting {self.name(key)!r} has to be {what}", why=f"it is {value!r}")

    def _take(self, key: str, default: t.Any) -> t.Any:
        value = self._left.pop(key, None)
        return default if value is None else value


def is_address(text: str) -> bool:
    """Whether this is ``host:port`` to listen on."""
    host, _colon, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and int(port) < 65536


def is_url(text: str) -> bool:
    """Whether this is the address of a registry: scheme, host, and perhaps a path that goes before repositories."""
    try:
        path = Url.parse(text).target.strip("/")
    except OciError:
        return False
    return "#" not in text and (not path or all(_PATH_PART.fullmatch(part) for part in path.split("/")))


def is_proxy(text: str) -> bool:
    """Whether this is the address of an HTTP proxy, perhaps with a login."""
    try:
        return split_login(text)[0].target == "/"
    except OciError:
        return False


def is_registry(text: str) -> bool:
    """Whether this can be a registry's name: a host, perhaps with a port."""
    try:
        Reference(text, "any", "any")
        Url.parse(f"https://{text}")
    except OciError:
        return False
    return True


def is_host_pattern(text: str) -> bool:
    """Whether this is a host name in which ``*`` and ``?`` stand for anything."""
    return _HOST_PATTERN.fullmatch(text) is not None


def is_repository_pattern(text: str) -> bool:
    """Whether this is a repository's name in which ``*`` and ``?`` stand for anything."""
    return _GLOB.fullmatch(text) is not None


def is_instance(text: str) -> bool:
    """Whether this can stand in a Via header."""
    return _INSTANCE.fullmatch(text) is not None
