# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which container images a build needs: searched for in its files, named by options, brought by the base.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field, replace

from ansible_collections.sealer.cluster.plugins.module_utils._build.base import Base
from ansible_collections.sealer.cluster.plugins.module_utils._build.charts import Charts
from ansible_collections.sealer.cluster.plugins.module_utils._build.context import FILE
from ansible_collections.sealer.cluster.plugins.module_utils._build.discovery import (
    SIZE_LIMIT,
    is_interesting,
    scan,
    warn_of_charts,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.evaluate import Plan
from ansible_collections.sealer.cluster.plugins.module_utils._build.imagelist import Found, parse_list, parse_name
from ansible_collections.sealer.cluster.plugins.module_utils._build.lock import LockedImage
from ansible_collections.sealer.cluster.plugins.module_utils._build.resolve import Wanted
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

OPTION = "option images"
_WHY = re.compile(r"(.+?):[0-9]+(?: |$)")


@dataclass(frozen=True)
class Asked:
    """The options that name container images."""

    images: t.Sequence[str] = ()
    files: t.Sequence[str] = ()
    ignored: t.Sequence[str] = ()


@dataclass
class Needs:
    """Container images of one platform: ours to be found, and the base's, which are what they are."""

    wanted: t.List[Wanted] = field(default_factory=list)
    from_base: t.List[LockedImage] = field(default_factory=list)
    warnings: t.List[str] = field(default_factory=list)


class Search:
    """Collects what is asked for."""

    def __init__(self, asked: Asked, directory: str) -> None:
        self._ignored_texts = frozenset(asked.ignored)
        self._ignored = frozenset(one for one in map(_reference, asked.ignored) if one)
        self._named = [Found(parse_name(one, OPTION), OPTION) for one in asked.images]
        for name in asked.files:
            self._named.extend(_read_list(os.path.join(directory, name), name, self._ignored_texts))

    def needs(self, plan: Plan, base: Base, platform: Platform) -> Needs:
        """Everything that one platform needs. The base's files were searched when it was built."""
        entries = plan.tree.entries()
        ours = [entry for entry in entries if entry.source]
        charts = Charts(entry.path for entry in entries)
        result = Needs(warnings=warn_of_charts(charts, (entry.path for entry in ours)))
        found = list(self._named)
        for entry in ours:
            if entry.kind == FILE and is_interesting(entry.path, charts):
                findings = scan(entry.path, _content(entry.source), self._ignored_texts)
                found.extend(findings.found)
                result.warnings.extend(findings.warnings)
        whys: t.Dict[Reference, t.List[str]] = {}
        for one in found:
            if one.reference not in self._ignored:
                whys.setdefault(one.reference, []).append(one.why)
        for image in base.images:
            asked = whys.pop(Reference.parse(image.reference), [])
            result.from_base.append(_of_base(base, image.reference, platform, asked, plan.replaced))
        result.wanted = [Wanted(one, platform, tuple(dict.fromkeys(whys[one]))) for one in sorted(whys, key=str)]
        return result


def _reference(text: str) -> t.Optional[Reference]:
    """A name to ignore may be what is no name at all: then only its very text is passed over."""
    try:
        return Reference.parse(text)
    except OciError:
        return None


def _of_base(
    base: Base, reference: str, platform: Platform, ours: t.Sequence[str], replaced: t.Collection[str]
) -> LockedImage:
    """What the base's lock says. Who asked for it in a file that is replaced does so no more; the image stays."""
    locked = base.lock.image(reference, platform)
    if locked is None:
        raise BuildError(
            f"{base.reference} is no sound cluster image",
            why=f"its lock does not name {reference}",
            fix="Build or pull it again",
        )
    kept = [why for why in locked.why if _file_of(why) not in replaced]
    return replace(locked, why=tuple(dict.fromkeys([*kept, *ours])) or (f"base image {base.reference}",))


def _file_of(why: str) -> str:
    """The file that asks, as imagelist and discovery write it."""
    found = _WHY.match(why)
    return found.group(1) if found else ""


def _read_list(path: str, name: str, ignored: t.Collection[str]) -> t.List[Found]:
    try:
        with open(path, encoding="utf-8") as handle:
            return parse_list(handle.read(), name, ignored)
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError("cannot read images_files", where=path, why=str(error)) from error


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise BuildError("cannot read a file", where=path, why=error.strerror or str(error)) from error
