# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sums of releases that a second source published: written in the parts list, checked beside the publisher's own.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_reading import Value
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

SUM = re.compile(r"[0-9a-f]{64}")

_SOURCE = "source"
_ARCHITECTURES = ("amd64", "arm64", "arm", "386", "loong64", "ppc64le", "riscv64", "s390x")


@dataclass(frozen=True)
class ListedSum:
    """What a second source says of one file; ``where`` is the line of the parts list that repeats it."""

    sha256: str
    source: str
    where: str

    def check(self, found: str, told_by: str, url: str) -> None:
        """Refuse another sum of the file at ``url``, which ``told_by`` says."""
        if found != self.sha256:
            raise BuildError(
                "its sha256 sums disagree",
                where=url,
                why=f"{told_by} says {found}, {self.source} ({self.where}) says {self.sha256}",
                fix="Find out which is right before you use it. Where the part's version was changed, change `sums`.",
            )


Sums = t.Mapping[t.Tuple[str, str], ListedSum]


def read_sums(value: Value, programs: t.Collection[str], each: bool) -> Sums:
    """Sums by architecture and program. With ``each`` every program is a file of its own, else all come in one."""
    fields = value.fields((_SOURCE,), _ARCHITECTURES)
    source = fields.pop(_SOURCE).text()
    if not fields:
        raise value.error("no architecture is named", fix=f"Known are: {', '.join(_ARCHITECTURES)}.")
    result: t.Dict[t.Tuple[str, str], ListedSum] = {}
    for arch, sums in fields.items():
        files = sums.fields((), tuple(programs)) if each else dict.fromkeys(programs, sums)
        if not files:
            raise sums.error("no program is named")
        result.update({(arch, program): _listed(found, source) for program, found in files.items()})
    return result


def _listed(value: Value, source: str) -> ListedSum:
    if not SUM.fullmatch(value.text()):
        raise value.error(f"{value.text()} is not a sha256 sum", fix="Write its 64 small hexadecimal digits.")
    return ListedSum(value.text(), source, value.where)
