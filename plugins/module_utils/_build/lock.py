# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock: which digest every name of an image was resolved to, and why it is in the cluster image.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import replace_file
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import load_object
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import quoted
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

_VERSION = 1
_FIX = "Correct or delete the file; the next build writes it anew"


@dataclass(frozen=True)
class LockedImage:
    """A container image: `digest` is of the document the name stood for, `manifest` of what runs on the platform."""

    reference: str
    digest: str
    manifest: str
    media_type: str
    platform: str
    size: int
    source: str
    why: t.Tuple[str, ...]

    @property
    def key(self) -> t.Tuple[str, str]:
        return self.reference, self.platform

    def to_json(self) -> t.Dict[str, t.Any]:
        return {
            "reference": self.reference,
            "digest": self.digest,
            "manifest": self.manifest,
            "mediaType": self.media_type,
            "platform": self.platform,
            "size": self.size,
            "from": self.source,
            "why": list(self.why),
        }

    @classmethod
    def from_json(cls, value: t.Mapping[str, t.Any]) -> LockedImage:
        texts = {key: _text(value[key]) for key in ("reference", "digest", "manifest", "mediaType", "platform", "from")}
        size, why = value["size"], value["why"]
        if not isinstance(size, int) or isinstance(size, bool) or size < 0 or not isinstance(why, list):
            raise ValueError(f"size or why of {texts['reference']} is wrong")
        if str(Reference.parse(texts["reference"])) != texts["reference"]:
            raise ValueError(f"{texts['reference']} is no full name")
        Digest.parse(texts["digest"])
        Digest.parse(texts["manifest"])
        Platform.parse(texts["platform"])
        return cls(
            texts["reference"],
            texts["digest"],
            texts["manifest"],
            texts["mediaType"],
            texts["platform"],
            size,
            texts["from"],
            tuple(_text(one) for one in why),
        )


@dataclass(frozen=True)
class LockedBase:
    """What FROM stood for."""

    reference: str
    digest: str


@dataclass(frozen=True)
class Lock:
    """Entries sorted by name and platform."""

    images: t.Tuple[LockedImage, ...] = ()
    base: t.Tuple[LockedBase, ...] = ()

    @classmethod
    def of(cls, images: t.Iterable[LockedImage], base: t.Iterable[LockedBase]) -> Lock:
        return cls(
            tuple(sorted(images, key=lambda one: one.key)),
            tuple(sorted(set(base), key=lambda one: (one.reference, one.digest))),
        )

    @classmethod
    def parse(cls, text: str, where: str) -> Lock:
        try:
            value = load_object(text.encode("utf-8"), "it")
            if value["schemaVersion"] != _VERSION:
                raise ValueError(f"schemaVersion is {quoted(value['schemaVersion'])}, known is {_VERSION}")
            images = [LockedImage.from_json(one) for one in value["images"]]
            base = [LockedBase(_text(one["reference"]), _text(one["digest"])) for one in value["base"]]
            for one in base:
                Digest.parse(one.digest)
        except (KeyError, TypeError, ValueError, AttributeError, OciError) as error:
            raise BuildError("the lock cannot be read", where=where, why=str(error) or repr(error), fix=_FIX) from error
        if len({one.key for one in images}) != len(images) or len({one.reference for one in base}) != len(base):
            raise BuildError("the lock names an image twice", where=where, fix=_FIX)
        return cls.of(images, base)

    def dump(self) -> str:
        document = {
            "schemaVersion": _VERSION,
            "base": [{"reference": one.reference, "digest": one.digest} for one in self.base],
            "images": [one.to_json() for one in self.images],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def image(self, reference: str, platform: Platform) -> t.Optional[LockedImage]:
        for one in self.images:
            if one.reference == reference and Platform.parse(one.platform).matches(platform):
                return one
        return None

    def base_digest(self, reference: str) -> t.Optional[str]:
        return next((one.digest for one in self.base if one.reference == reference), None)

    def of_platform(self, platform: Platform) -> Lock:
        return Lock(tuple(one for one in self.images if Platform.parse(one.platform).matches(platform)), self.base)

    def other_platforms(self, platforms: t.Collection[Platform]) -> t.List[LockedImage]:
        """Entries of platforms that are not among these."""
        return [
            one for one in self.images if not any(Platform.parse(one.platform).matches(other) for other in platforms)
        ]

    def lines(self) -> t.List[str]:
        """For a diff."""
        told = [f"{one.reference} {one.digest}" for one in self.base]
        return told + [f"{one.reference} {one.platform} {one.digest}" for one in self.images]


def read_lock(path: str) -> t.Optional[Lock]:
    """The lock in a file; None when there is no file."""
    try:
        with open(path, encoding="utf-8") as handle:
            return Lock.parse(handle.read(), path)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError("the lock cannot be read", where=path, why=str(error), fix=_FIX) from error


def write_lock(path: str, lock: Lock) -> None:
    """Replace the file in one step."""
    try:
        replace_file(path, lock.dump().encode(), _mode(path))
    except OSError as error:
        raise BuildError("the lock cannot be written", where=path, why=error.strerror or str(error)) from error


def _mode(path: str) -> int:
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        return 0o644


def _text(value: t.Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{quoted(value)} is no text")
    return value
