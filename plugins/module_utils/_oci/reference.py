# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of images by Docker's rules.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.sealer.cluster.plugins.module_utils._errors import OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.redact import quoted

DOCKER_HUB = "docker.io"
DEFAULT_TAG = "latest"

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::[0-9]{{1,5}})?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")
_REGISTRY_LIMIT = 261
_REPOSITORY_LIMIT = 255


@dataclass(frozen=True, order=True)
class Reference:
    """A full image name: registry, repository, and a tag, a digest or both."""

    registry: str
    repository: str
    tag: t.Optional[str] = None
    digest: t.Optional[Digest] = None

    def __post_init__(self) -> None:
        text = f"{self.registry}/{self.repository}"
        if len(self.registry) > _REGISTRY_LIMIT or _REGISTRY.fullmatch(self.registry) is None:
            raise _invalid(text, f"{quoted(self.registry)} is not a registry's host[:port]")
        _check_repository(text, self.repository)
        if self.tag is None and self.digest is None:
            raise _invalid(text, "it has neither tag nor digest")
        if self.tag is not None and _TAG.fullmatch(self.tag) is None:
            why = f"{quoted(self.tag)} is not a tag: up to 128 letters, digits, '_', '.', '-'"
            raise _invalid(f"{text}:{self.tag}", why)

    @classmethod
    def parse(cls, text: str) -> Reference:
        """The name that Docker understands; without tag and digest it means ``:latest``."""
        rest, at, digest = text.partition("@")
        name, colon, tag = _split_tag(rest)
        if not name:
            raise _invalid(text, "it has no repository")
        if _IMAGE_ID.fullmatch(name):
            raise _invalid(text, "64 hex digits are an image's id, not a name")
        if colon and not tag:
            raise _invalid(text, "its tag is empty")
        registry, repository = _split_registry(name)
        try:
            found = Digest.parse(digest) if at else None
            return cls(registry, repository, tag if colon else (None if at else DEFAULT_TAG), found)
        except OciError as error:
            raise _invalid(text, error.why or error.what) from error

    @property
    def name(self) -> str:
        """The registry and the repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def suffix(self) -> str:
        """What follows the name: ``:tag``, ``@digest`` or ``:tag@digest``."""
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def familiar(self) -> str:
        """The shortest form that is read as the same name."""
        if self.registry != DOCKER_HUB:
            return str(self)
        library, slash, short = self.repository.partition("/")
        if library == "library" and slash and "/" not in short:
            return str(self) if _IMAGE_ID.fullmatch(short) else short + self.suffix
        return str(self) if not slash or _is_registry(library) else self.repository + self.suffix

    def with_digest(self, digest: Digest) -> Reference:
        """The same name and tag, pinned."""
        return replace(self, digest=digest)

    def with_tag(self, tag: str) -> Reference:
        """Another tag of the same repository, pinned to nothing."""
        return replace(self, tag=tag, digest=None)

    def __str__(self) -> str:
        return self.name + self.suffix


def _split_tag(text: str) -> t.Tuple[str, str, str]:
    colon = text.rfind(":")
    if colon <= text.rfind("/"):
        return text, "", ""
    return text[:colon], ":", text[colon + 1 :]


def _split_registry(name: str) -> t.Tuple[str, str]:
    first, slash, rest = name.partition("/")
    registry, repository = (first, rest) if slash and _is_registry(first) else (DOCKER_HUB, name)
    if registry == "index.docker.io":
        registry = DOCKER_HUB
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return registry, repository


def _is_registry(component: str) -> bool:
    return "." in component or ":" in component or component == "localhost" or component.lower() != component


def _check_repository(text: str, repository: str) -> None:
    if len(repository) > _REPOSITORY_LIMIT:
        raise _invalid(text, f"its repository is longer than {_REPOSITORY_LIMIT} characters")
    for component in repository.split("/"):
        if _COMPONENT.fullmatch(component) is None:
            case = " (it has to be lower case)" if _COMPONENT.fullmatch(component.lower()) else ""
            raise _invalid(text, f"{quoted(component)} cannot be part of a repository's name{case}")


def _invalid(text: str, why: str) -> OciError:
    return OciError(f"invalid image name {quoted(text)}", why=why)
