# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts lock: what each part was gathered from, and the sum it had.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_sums import SUM
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

_VERSION = 1
_FIX = "Delete the file to gather everything anew."
_NAMES = {"source_sha256": "sourceSha256"}


@dataclass(frozen=True)
class PinnedProgram:
    """One program on one architecture.

    ``source`` is a URL, a Go package with its toolchain, or a Debian package. ``recipe`` is a sum of all that decides
    the program's bytes: build flags and sums of modules too.
    """

    part: str
    program: str
    path: str
    platform: str
    version: str
    way: str
    source: str
    recipe: str
    source_sha256: str
    sha256: str
    size: int

    @property
    def key(self) -> t.Tuple[str, str]:
        """What there is one of."""
        return self.program, self.platform


@dataclass(frozen=True)
class PinnedImage:
    """One container image that was made here. ``recipe`` is a sum of all that it was made from."""

    reference: str
    platform: str
    recipe: str
    digest: str
    size: int
    packages: t.Tuple[str, ...]

    @property
    def key(self) -> t.Tuple[str, str]:
        """What there is one of."""
        return self.reference, self.platform


@dataclass(frozen=True)
class LeftOut:
    """A part, or an image by its reference, that could not be had."""

    part: str
    platform: str
    why: str


@dataclass(frozen=True)
class PartsLock:
    """All pins of one gathering."""

    way: str
    programs: t.Tuple[PinnedProgram, ...] = ()
    images: t.Tuple[PinnedImage, ...] = ()
    left_out: t.Tuple[LeftOut, ...] = ()

    def program(self, name: str, platform: str) -> t.Optional[PinnedProgram]:
        """The pin of a program, if there is one."""
        return next((pin for pin in self.programs if pin.key == (name, platform)), None)

    def image(self, reference: str, platform: str) -> t.Optional[PinnedImage]:
        """The pin of an image, if there is one."""
        return next((pin for pin in self.images if pin.key == (reference, platform)), None)

    def to_json(self) -> t.Dict[str, t.Any]:
        """As it stands in the file."""
        return {
            "schemaVersion": _VERSION,
            "way": self.way,
            "programs": [_told(pin) for pin in sorted(self.programs, key=lambda pin: pin.key)],
            "images": [_told(pin) for pin in sorted(self.images, key=lambda pin: pin.key)],
            "leftOut": [asdict(part) for part in sorted(self.left_out, key=lambda part: (part.part, part.platform))],
        }

    def dump(self) -> str:
        """The text of the file."""
        return json.dumps(self.to_json(), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def parse(cls, text: str, where: str) -> PartsLock:
        """The pins in a file."""
        try:
            value = json.loads(text)
            if value["schemaVersion"] != _VERSION:
                raise ValueError(f"schemaVersion is {value['schemaVersion']!r}, known is {_VERSION}")
            return cls(
                way=_text(value["way"]),
                programs=tuple(_program(entry) for entry in value["programs"]),
                images=tuple(_image(entry) for entry in value["images"]),
                left_out=tuple(
                    LeftOut(**{key: _text(entry[key]) for key in _keys(LeftOut)}) for entry in value["leftOut"]
                ),
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise BuildError("the parts lock cannot be read", where=where, why=why, fix=_FIX) from error


def read_parts_lock(path: str) -> t.Optional[PartsLock]:
    """The lock in a file; None when there is no file."""
    try:
        with open(path, encoding="utf-8") as handle:
            return PartsLock.parse(handle.read(), path)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError("the parts lock cannot be read", where=path, why=str(error), fix=_FIX) from error


def _keys(kind: t.Any) -> t.List[str]:
    return list(kind.__dataclass_fields__)


def _told(pin: t.Any) -> t.Dict[str, t.Any]:
    fields = {_NAMES.get(key, key): value for key, value in asdict(pin).items()}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in fields.items()}


def _program(entry: t.Mapping[str, t.Any]) -> PinnedProgram:
    values = {key: _text(entry[_NAMES.get(key, key)]) for key in _keys(PinnedProgram) if key != "size"}
    _sum(values["sha256"])
    if values["source_sha256"]:
        _sum(values["source_sha256"])
    return PinnedProgram(**values, size=_number(entry["size"]))


def _image(entry: t.Mapping[str, t.Any]) -> PinnedImage:
    values = {key: _text(entry[key]) for key in ("reference", "platform", "recipe", "digest")}
    packages = tuple(_text(package) for package in entry["packages"])
    return PinnedImage(**values, size=_number(entry["size"]), packages=packages)


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _sum(value: str) -> None:
    if not SUM.fullmatch(value):
        raise ValueError(f"{value!r} is not a sha256 sum")


def _number(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a size")
    return value
