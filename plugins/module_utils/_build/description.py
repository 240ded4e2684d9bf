# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster image says about itself: applications, launch order, commands, defaults.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import printable, quoted

LABEL = "io.sealer.cluster"
APPLICATIONS = "application/apps"
KUBE, SHELL = "kube", "shell"
_VERSION = 1


@dataclass(frozen=True)
class Application:
    """An application: its files and the shell lines that start it, run in its directory."""

    name: str
    type: str
    files: t.Tuple[str, ...]
    cmds: t.Tuple[str, ...]
    env: t.Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"{APPLICATIONS}/{self.name}"

    def to_json(self) -> t.Dict[str, t.Any]:
        return {
            "name": self.name,
            "type": self.type,
            "path": self.path,
            "files": list(self.files),
            "env": dict(self.env),
            "cmds": list(self.cmds),
        }


@dataclass(frozen=True)
class Description:
    """The document in the label io.sealer.cluster."""

    applications: t.Tuple[Application, ...] = ()
    launch: t.Tuple[str, ...] = ()
    cmds: t.Tuple[str, ...] = ()
    env: t.Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> t.Dict[str, t.Any]:
        return {
            "schemaVersion": _VERSION,
            "applications": [one.to_json() for one in self.applications],
            "launch": list(self.launch),
            "cmds": list(self.cmds),
            "env": dict(self.env),
        }

    @classmethod
    def parse(cls, text: str, where: str) -> Description:
        """Read the label of a base image; BuildError when it is not what this version writes."""
        try:
            return cls._read(load_object(text.encode("utf-8"), "it"))
        except (OciError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise BuildError(
                f"the label {LABEL} cannot be read", where=where, why=printable(repr(error)), fix="Build the base image again"
            ) from error

    @classmethod
    def _read(cls, value: t.Dict[str, t.Any]) -> Description:
        if value["schemaVersion"] != _VERSION:
            raise ValueError(f"schemaVersion is {quoted(value['schemaVersion'])}, known is {_VERSION}")
        applications = tuple(
            Application(
                name=_text(one["name"]),
                type=_text(one["type"]),
                files=_texts(one["files"]),
                cmds=_texts(one["cmds"]),
                env=_mapping(one["env"]),
            )
            for one in value["applications"]
        )
        return cls(applications, _texts(value["launch"]), _texts(value["cmds"]), _mapping(value["env"]))

    def on_top_of(self, base: Description) -> Description:
        """Ours over a base's: its launch and commands come first, our application replaces one of the same name."""
        applications = {one.name: one for one in base.applications}
        applications.update((one.name, one) for one in self.applications)
        env = dict(base.env)
        env.update(self.env)
        launch = tuple(dict.fromkeys(base.launch + self.launch))
        return Description(tuple(applications.values()), launch, base.cmds + self.cmds, env)


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{quoted(value)} is no text")
    return value


def _texts(value: t.Any) -> t.Tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{quoted(value)} is no list")
    return tuple(_text(one) for one in value)


def _mapping(value: t.Any) -> t.Dict[str, str]:
    return {_text(key): _text(one) for key, one in value.items()}
