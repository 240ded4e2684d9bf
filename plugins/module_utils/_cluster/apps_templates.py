# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of applications with their templates filled in, beside those of the image, which stay as they are.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._errors import ClusterError
from ansible_collections.sealer.cluster.plugins.module_utils._template import fill, plain_name

Environ = t.Mapping[str, str]


def filled_in(rootfs: str, applications: t.Mapping[str, Environ], scratch: str) -> str:
    """Where the files of the image are, with the templates of these applications filled in.

    applications: the variables of each by its directory in the image; scratch: a directory for what has to be made.
    That is the image's own directory where no application has a template. Raises TemplateError, and ClusterError where
    a template cannot be read.
    """
    templated = {path: env for path, env in applications.items() if _has_template(os.path.join(rootfs, path))}
    if not templated:
        return rootfs
    tree = tempfile.mkdtemp(prefix="filled-in-", dir=scratch)
    _Tree(rootfs, tree, templated).make("")
    return tree


def _has_template(directory: str) -> bool:
    return any(plain_name(name) != name for _place, _children, files in os.walk(directory) for name in files)


class _Tree:
    """Links to what is in the image, but for the directories of applications with templates, which are copied."""

    def __init__(self, rootfs: str, tree: str, applications: t.Mapping[str, Environ]) -> None:
        self._rootfs = rootfs
        self._tree = tree
        self._applications = applications

    def make(self, directory: str, environ: t.Optional[Environ] = None) -> None:
        """Make a directory. environ: the variables of the application that it belongs to."""
        for name in sorted(os.listdir(os.path.join(self._rootfs, directory))):
            path = os.path.join(directory, name)
            source, target = os.path.join(self._rootfs, path), os.path.join(self._tree, path)
            own = environ if environ is not None else self._applications.get(path)
            leads_to_one = any(known.startswith(f"{path}/") for known in self._applications)
            if os.path.isdir(source) and not os.path.islink(source) and (own is not None or leads_to_one):
                os.mkdir(target, 0o700)
                self.make(path, own)
            elif own is None:
                os.symlink(source, target)
            else:
                self._put(path, own)

    def _put(self, path: str, environ: Environ) -> None:
        source, target = os.path.join(self._rootfs, path), os.path.join(self._tree, plain_name(path))
        if plain_name(path) == path:
            shutil.copy2(source, target, follow_symlinks=False)
            return
        try:
            with open(source, encoding="utf-8") as stream:
                text = stream.read()
        except (OSError, UnicodeDecodeError) as error:
            raise ClusterError("a template cannot be read", where=path, why=str(error)) from error
        if os.path.lexists(os.path.join(self._rootfs, plain_name(path))):
            name = os.path.basename(plain_name(path))
            raise ClusterError(
                f"there is a file {name} beside the template", where=path, fix="Leave one of them out of the image"
            )
        with open(target, "w", encoding="utf-8") as stream:
            stream.write(fill(text, environ.get, path))
