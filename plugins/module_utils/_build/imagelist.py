# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of images: one name a line, # begins a comment.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError, OciError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

NAME = "imageList"


@dataclass(frozen=True)
class Found:
    """A container image somebody asks for."""

    reference: Reference
    why: str


def parse_name(text: str, where: str) -> Reference:
    """The full name; BuildError with its place when it is none."""
    try:
        return Reference.parse(text)
    except OciError as error:
        raise BuildError(
            f"{text!r} is no name of an image",
            where=where,
            why=error.why or error.what,
            fix="Write it in full, for example registry.example.com/team/web:1.0, or add it to ignore_images",
        ) from error


def parse_list(text: str, file: str, ignored: t.Collection[str] = ()) -> t.List[Found]:
    """Every name of a list. `ignored` holds texts that are left out as they stand, names or not."""
    found = []
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        words = []
        for word in raw.split():
            if word.startswith("#"):
                break
            words.append(word)
        if len(words) > 1:
            raise BuildError(
                f"{raw.strip()!r} is no name of an image", where=f"{file}:{number}", fix="Write one name a line"
            )
        if words and words[0] not in ignored:
            where = f"{file}:{number}"
            found.append(Found(parse_name(words[0], where), where))
    return found
