# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host aliases: what is wrong with them, and the lines that they are in /etc/hosts.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.sealer.cluster.plugins.plugin_utils._addresses import is_address

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*", re.I)
_KEYS = {"ip", "hostnames"}
_SHAPE = "Each has an ip and a list of hostnames: {ip: 10.0.0.5, hostnames: [db.example.com]}"


class Taken(t.NamedTuple):
    """A name that stands for something already, and the addresses it may be given again."""

    what: str
    addresses: t.Collection[str] = ()


LOCALHOST = {"localhost": Taken("the host itself", ("127.0.0.1", "::1"))}


def alias_problems(aliases: t.Any, taken: t.Mapping[str, Taken]) -> list[str]:
    """A sentence for each problem. `taken` has names in lower case."""
    if isinstance(aliases, (str, bytes)) or not isinstance(aliases, t.Sequence):
        return [f"a list is wanted, and not {aliases!r}. {_SHAPE}"]
    return [problem for alias in aliases for problem in _problems(alias, {**LOCALHOST, **taken})]


def is_host_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None and not is_address(text)


def alias_lines(aliases: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """A line for each, without its end."""
    return [" ".join([str(alias["ip"]), *alias["hostnames"]]) for alias in aliases]


def _problems(alias: t.Any, taken: t.Mapping[str, Taken]) -> t.Iterator[str]:
    if not isinstance(alias, t.Mapping) or set(alias) != _KEYS:
        yield f"{_told(alias)} is no alias. {_SHAPE}"
        return
    address, names = str(alias["ip"]), alias["hostnames"]
    if not is_address(address):
        yield f"{address!r} is no IP address. Names are given to addresses only"
    if isinstance(names, str) or not isinstance(names, t.Sequence) or not names:
        yield f"{address} has no list of hostnames, but {names!r}. {_SHAPE}"
        return
    for name in map(str, names):
        found = taken.get(name.lower())
        if not is_host_name(name):
            yield f"{name!r} is no host name. Letters, digits, dashes and dots make one"
        elif found and is_address(address) and address not in found.addresses:
            yield f"{name} stands for {found.what} already, and cannot stand for {address}. Take another name"


def _told(alias: t.Any) -> str:
    return repr(dict(alias) if isinstance(alias, t.Mapping) else alias)
