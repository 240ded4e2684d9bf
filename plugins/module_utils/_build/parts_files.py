# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a build context that are no programs: copied from beside the parts list, or written from it.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t
from dataclasses import dataclass

from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import PartsList
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import replace_text
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_plan import PROGRAMS
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

_LIMIT = 16 << 20
_LIST_HEAD = "# Written from parts.yml by sealer.cluster.base_image.\n"


@dataclass(frozen=True)
class Content:
    """What a file is to hold."""

    data: bytes
    mode: int

    @property
    def told(self) -> str:
        """For a diff."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()} {self.mode:04o}"


def wanted(parts: PartsList, left_out: t.Collection[str] = ()) -> t.Dict[str, Content]:
    """Every file by its path in the context; images that are left out are not in the list."""
    result: t.Dict[str, Content] = {}
    for name in parts.context:
        source = os.path.join(parts.directory, name)
        if not os.path.exists(source):
            raise BuildError("the parts list's context names what is not there", where=source)
        for path in _below(source) if os.path.isdir(source) else [source]:
            result[os.path.relpath(path, parts.directory)] = _read(path)
    if parts.image_list:
        names = sorted({image.reference for image in parts.images} - set(left_out))
        result[parts.image_list] = Content((_LIST_HEAD + "".join(f"{name}\n" for name in names)).encode(), 0o644)
    return result


def present(dest: str, files: t.Iterable[str]) -> t.Dict[str, str]:
    """What those of the files that are there hold now."""
    return {name: _read(path).told for name in files for path in [os.path.join(dest, name)] if os.path.isfile(path)}


def stale(dest: str, parts: PartsList, kept: t.Collection[str]) -> t.List[str]:
    """Files in directories that are wholly ours and that nobody wants any more."""
    found = (path for name in _ours(parts) for path in _below(os.path.join(dest, name)))
    return sorted({os.path.relpath(path, dest) for path in found} - set(kept))


def write(dest: str, files: t.Mapping[str, Content], unwanted: t.Sequence[str]) -> bool:
    """Bring the context up to date. Answers whether anything was to do."""
    there = present(dest, files)
    fresh = [name for name, content in sorted(files.items()) if there.get(name) != content.told]
    for name in fresh:
        replace_text(os.path.join(dest, name), files[name].data, files[name].mode)
    for name in unwanted:
        path = os.path.join(dest, name)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        except OSError as error:
            raise BuildError("cannot remove the file", where=path, why=error.strerror or str(error)) from error
    return bool(fresh or unwanted)


def drop_empty(dest: str, parts: PartsList) -> None:
    """Take away the directories in which nothing is left, which would otherwise be copied into the image."""
    for name in _ours(parts):
        for place, _directories, _names in os.walk(os.path.join(dest, name), topdown=False):
            if not os.listdir(place):
                os.rmdir(place)


def _ours(parts: PartsList) -> t.List[str]:
    """The directories that are wholly ours."""
    return [PROGRAMS, *(name for name in parts.context if os.path.isdir(os.path.join(parts.directory, name)))]


def _below(directory: str) -> t.Iterator[str]:
    for place, _directories, names in os.walk(directory):
        for name in names:
            yield os.path.join(place, name)


def _read(path: str) -> Content:
    try:
        with open(path, "rb") as handle:
            data = handle.read(_LIMIT + 1)
            mode = 0o755 if os.fstat(handle.fileno()).st_mode & 0o100 else 0o644
    except OSError as error:
        raise BuildError("cannot read the file", where=path, why=error.strerror or str(error)) from error
    if len(data) > _LIMIT:
        raise BuildError("the file is too large for a context", where=path, why=f"more than {_LIMIT} bytes")
    return Content(data, mode)
