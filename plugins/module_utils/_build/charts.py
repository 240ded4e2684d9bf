# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Helm charts among the files of a rootfs: directories with a Chart.yaml, and archives of such directories.

Private to the collection: may change at any time.

Which container images a chart needs is known only to helm, which makes documents of its templates when it runs.
"""

from __future__ import annotations

import gzip
import io
import posixpath
import tarfile
import typing as t
import zlib

ARCHIVES = (".tgz", ".tar.gz")
TEMPLATES = (".tmpl", ".tpl", ".j2", ".gotmpl")
_NAME = "Chart.yaml"
# helm writes Chart.yaml first; a program's archive need not be unpacked to its end to see that it is no chart.
_SEARCHED = 16 << 20


class Charts:
    """The charts that lie unpacked among these files. A chart within another one is part of it."""

    def __init__(self, paths: t.Iterable[str]) -> None:
        self._roots = sorted(posixpath.dirname(path) for path in paths if posixpath.basename(path) == _NAME)

    def outermost(self, paths: t.Iterable[str]) -> t.List[str]:
        """The directories of the charts that one of these paths lies in, without those within others."""
        charts = [root for root in self._roots if not any(_is_below(root, other) for other in self._roots)]
        holding = {root for path in paths for root in charts if _is_below(path, root)}
        return [root for root in charts if root in holding]

    def hides(self, path: str) -> bool:
        """Whether the file is one of a chart's templates, or a chart that is packed into it."""
        if any(_is_below(path, posixpath.join(root, "templates")) for root in self._roots):
            return True
        return path.endswith(ARCHIVES + TEMPLATES) and any(_is_below(path, root) for root in self._roots)


def is_packed_chart(content: bytes) -> bool:
    """Whether the archive holds a chart as helm packs it: one directory with a Chart.yaml."""
    try:
        with gzip.open(io.BytesIO(content)) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                if posixpath.normpath(member.name).split("/")[1:] == [_NAME]:
                    return True
                if member.offset_data + member.size > _SEARCHED:
                    return False
    except (OSError, EOFError, zlib.error, tarfile.TarError):
        pass
    return False


def _is_below(path: str, directory: str) -> bool:
    return path != directory and (not directory or path.startswith(f"{directory}/"))
