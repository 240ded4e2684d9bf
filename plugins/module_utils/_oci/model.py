# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Image documents: platforms, descriptors, manifests and indexes, with their original bytes.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import platform as host_platform
import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.jsontext import (
    JsonObject,
    canonical_json,
    load_object,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import (
    DOCUMENT_TYPES,
    INDEX_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import quoted

__all__ = ["Descriptor", "Index", "Manifest", "Platform", "canonical_json", "parse_document"]

_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_DEFAULT_VARIANTS = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}(?:;.*)?")
_SIZE_LIMIT = 1 << 63


@dataclass(frozen=True, order=True)
class Platform:
    """What a manifest runs on."""

    os: str
    architecture: str
    variant: str = ""
    extra: t.Mapping[str, t.Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Platform:
        """The platform written as ``os/architecture[/variant]``; an architecture may have the name that uname tells."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(_WORD.fullmatch(part) for part in parts):
            raise OciError(
                f"invalid platform {quoted(text)}",
                why="it has to be written as os/architecture[/variant]",
                fix="For instance: linux/amd64",
            )
        architecture, variant = _MACHINES.get(parts[1], (parts[1], ""))
        return cls(parts[0], architecture, parts[2] if len(parts) == 3 else variant)

    @classmethod
    def host(cls) -> Platform:
        """The platform this runs on."""
        machine = host_platform.machine()
        architecture, variant = _MACHINES.get(machine, (machine, ""))
        return cls(host_platform.system().lower(), architecture, variant)

    @classmethod
    def from_json(cls, value: t.Any) -> Platform:
        """The platform in a descriptor."""
        if not isinstance(value, dict):
            raise OciError("a descriptor's platform is not an object")
        known = {key: _text(value, key, "platform") for key in ("os", "architecture", "variant")}
        if not known["os"] or not known["architecture"]:
            raise OciError("a descriptor's platform lacks os or architecture")
        return cls(**known, extra={key: item for key, item in value.items() if key not in known})

    def to_json(self) -> JsonObject:
        """As it stands in a descriptor."""
        result: JsonObject = {"os": self.os, "architecture": self.architecture, **self.extra}
        if self.variant:
            result["variant"] = self.variant
        return result

    def matches(self, other: Platform) -> bool:
        """Whether both mean the same platform: a missing variant is the architecture's usual one."""
        return (self.os, self.architecture, self._usual_variant) == (
            other.os,
            other.architecture,
            other._usual_variant,
        )

    @property
    def _usual_variant(self) -> str:
        return self.variant or _DEFAULT_VARIANTS.get(self.architecture, "")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True)
class Descriptor:
    """A blob told by media type, digest and size."""

    media_type: str
    digest: Digest
    size: int
    annotations: t.Mapping[str, str] = field(default_factory=dict)
    platform: t.Optional[Platform] = None
    artifact_type: str = ""
    extra: t.Mapping[str, t.Any] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.media_type, self.digest, self.size))

    @classmethod
    def from_json(cls, value: t.Any) -> Descriptor:
        """The descriptor in a document; keys not known here are kept."""
        if not isinstance(value, dict):
            raise OciError("a descriptor is not an object")
        media_type = _text(value, "mediaType", "descriptor")
        if _MEDIA_TYPE.fullmatch(media_type) is None:
            raise OciError(f"a descriptor's mediaType {quoted(media_type)} is not a media type")
        size = value.get("size")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _SIZE_LIMIT:
            raise OciError(f"a descriptor's size is {quoted(size)}, not a number of bytes")
        platform = value.get("platform")
        return cls(
            media_type=media_type,
            digest=Digest.parse(_text(value, "digest", "descriptor")),
            size=size,
            annotations=_annotations(value),
            platform=None if platform is None else Platform.from_json(platform),
            artifact_type=_text(value, "artifactType", "descriptor"),
            extra={key: item for key, item in value.items() if key not in _DESCRIPTOR_KEYS},
        )

    def to_json(self) -> JsonObject:
        """As it stands in a document."""
        result: JsonObject = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
            **self.extra,
        }
        if self.annotations:
            result["annotations"] = dict(self.annotations)
        if self.platform is not None:
            result["platform"] = self.platform.to_json()
        if self.artifact_type:
            result["artifactType"] = self.artifact_type
        return result


_DESCRIPTOR_KEYS = frozenset({"mediaType", "digest", "size", "annotations", "platform", "artifactType"})


@dataclass(frozen=True)
class _Document:
    raw: bytes = field(repr=False)
    digest: Digest
    media_type: str
    annotations: t.Mapping[str, str]
    artifact_type: str
    subject: t.Optional[Descriptor]

    def descriptor(
        self,
        annotations: t.Optional[t.Mapping[str, str]] = None,
        platform: t.Optional[Platform] = None,
    ) -> Descriptor:
        """The descriptor of this very document."""
        return Descriptor(self.media_type, self.digest, len(self.raw), dict(annotations or {}), platform)


@dataclass(frozen=True)
class Manifest(_Document):
    """An image of one platform."""

    config: Descriptor
    layers: t.List[Descriptor]

    @classmethod
    def parse(cls, raw: bytes, media_type: t.Optional[str] = None) -> Manifest:
        """The manifest in these bytes."""
        document = parse_document(raw, media_type)
        if not isinstance(document, cls):
            raise OciError(f"{document.digest} is an index, not a manifest")
        return document

    @property
    def children(self) -> t.List[Descriptor]:
        """Every blob that the document names."""
        return [self.config, *self.layers]


@dataclass(frozen=True)
class Index(_Document):
    """A list of manifests."""

    manifests: t.List[Descriptor]

    @classmethod
    def parse(cls, raw: bytes, media_type: t.Optional[str] = None) -> Index:
        """The index in these bytes."""
        document = parse_document(raw, media_type)
        if not isinstance(document, cls):
            raise OciError(f"{document.digest} is a manifest, not an index")
        return document

    @property
    def children(self) -> t.List[Descriptor]:
        """Every document that this one names."""
        return list(self.manifests)


Document = t.Union[Manifest, Index]


def parse_document(raw: bytes, media_type: t.Optional[str] = None) -> Document:
    """The manifest or index in these bytes.

    What it is says its own mediaType, else the one given (where that names a document at all), else its fields.
    Bytes that could be read as both are refused.
    """
    value = load_object(raw, "image document")
    if value.get("schemaVersion") != 2:
        raise OciError(
            f"image document has schemaVersion {quoted(value.get('schemaVersion'))}",
            why="only version 2 is known",
            fix="Push the image again with a tool of this decade.",
        )
    found = _document_type(value, media_type)
    subject = value.get("subject")
    common: t.Dict[str, t.Any] = {
        "raw": raw,
        "digest": Digest.of(raw),
        "media_type": found,
        "annotations": _annotations(value),
        "artifact_type": _text(value, "artifactType", "image document"),
        "subject": None if subject is None else Descriptor.from_json(subject),
    }
    if found in INDEX_TYPES:
        return Index(**common, manifests=_descriptors(value, "manifests"))
    return Manifest(**common, config=Descriptor.from_json(value.get("config")), layers=_descriptors(value, "layers"))


def _document_type(value: JsonObject, given: t.Optional[str]) -> str:
    own = _text(value, "mediaType", "image document")
    given = given.partition(";")[0].strip() if given else ""
    if given not in DOCUMENT_TYPES:
        given = ""
    if own and own not in DOCUMENT_TYPES:
        raise OciError(f"{quoted(own)} is not the media type of a manifest or an index")
    if own and given and own != given:
        raise OciError("image document contradicts its media type", why=f"it says {own}, but came as {given}")
    shape = _shape(value)
    found = own or given or shape
    if (found in INDEX_TYPES) != (shape in INDEX_TYPES):
        raise OciError("image document contradicts its media type", why=f"{found} with the fields of {shape}")
    return found


def _shape(value: JsonObject) -> str:
    index, manifest = "manifests" in value, "config" in value or "layers" in value
    if index == manifest:
        why = "it has the fields of both" if index else "it has neither manifests nor config and layers"
        raise OciError("image document is neither a manifest nor an index", why=why)
    return OCI_INDEX if index else OCI_MANIFEST


def _descriptors(value: JsonObject, key: str) -> t.List[Descriptor]:
    items = value.get(key)
    if not isinstance(items, list):
        raise OciError(f"image document's {key} is not a list")
    return [Descriptor.from_json(item) for item in items]


def _text(value: JsonObject, key: str, what: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise OciError(f"a {what}'s {key} is not a string")
    return found


def _annotations(value: JsonObject) -> t.Dict[str, str]:
    found = value.get("annotations")
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(item, str) for item in found.values()):
        raise OciError("annotations are not a map of strings")
    return found
