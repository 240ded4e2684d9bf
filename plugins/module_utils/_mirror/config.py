# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror's configuration: one small JSON file.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass, fields

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError

_MOST_WORKERS = 4


@dataclass(frozen=True)
class Config:
    """What the mirror serves, where it listens, and with what certificate.

    In paths, environment variables are filled in: ``$CREDENTIALS_DIRECTORY`` is where systemd puts a service's secrets.
    Without certificate and key the mirror speaks plain HTTP, which is for tests and for a proxy on the same host.
    """

    store: str
    listen: t.List[str]
    certificate: str = ""
    key: str = ""
    workers: int = 0
    threads: int = 32
    access_log: bool = True

    @classmethod
    def load(cls, path: str) -> Config:
        """The configuration in this file, checked; raises MirrorError."""
        try:
            with open(path, encoding="utf-8") as stream:
                value = json.load(stream)
        except (OSError, ValueError) as error:
            raise MirrorError("the mirror's configuration cannot be read", where=path, why=str(error)) from error
        try:
            return cls(**_checked(value))
        except MirrorError as error:
            raise MirrorError(error.what, where=path, why=error.why) from error

    @property
    def worker_count(self) -> int:
        """How many processes serve; as many as processors, but few, when the file leaves it open."""
        return self.workers or min(_MOST_WORKERS, len(os.sched_getaffinity(0)))


def _checked(value: t.Any) -> t.Dict[str, t.Any]:
    if not isinstance(value, dict):
        raise MirrorError("the mirror's configuration is not a JSON object")
    unknown = sorted(set(value) - {field.name for field in fields(Config)})
    if unknown:
        raise MirrorError(f"unknown settings: {', '.join(unknown)}")
    for name in ("store", "listen"):
        if not value.get(name):
            raise MirrorError(f"the setting {name!r} is missing")
    for name in ("store", "certificate", "key"):
        _require(name, value.get(name, ""), lambda item: isinstance(item, str), "a path")
    _require("listen", value["listen"], _is_address_list, 'a list of "address:port"')
    _require("workers", value.get("workers", 0), lambda item: _is_count(item, 0, 64), "a number from 0 to 64")
    _require("threads", value.get("threads", 1), lambda item: _is_count(item, 1, 1024), "a number from 1 to 1024")
    _require("access_log", value.get("access_log", True), lambda item: isinstance(item, bool), "true or false")
    if bool(value.get("certificate")) != bool(value.get("key")):
        raise MirrorError("the settings 'certificate' and 'key' go together")
    paths = {name: os.path.expandvars(value[name]) for name in ("store", "certificate", "key") if name in value}
    return {**value, **paths}


def _require(name: str, value: t.Any, good: t.Callable[[t.Any], bool], what: str) -> None:
    if not good(value):
        raise MirrorError(f"the setting {name!r} has to be {what}", why=f"it is {value!r}")


def _is_count(value: t.Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_address_list(value: t.Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and _is_address(item) for item in value)


def _is_address(text: str) -> bool:
    host, _colon, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and int(port) < 65536
