# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of applications with their templates filled in, apart from those of the image, which stay as they are.

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
    """A directory with the files of those of these applications that have templates, with all templates filled in.

    applications: the variables of each by its directory in the image; scratch: where the directory is made.
    Empty where no application has a template. Raises TemplateError, and ClusterError where a file cannot be read.
    """
    templated = {path: env for path, env in applications.items() if _has_template(os.path.join(rootfs, path))}
    if not templated:
        return ""
    tree = tempfile.mkdtemp(prefix="filled-in-", dir=scratch)
    for path, environ in templated.items():
        _fill_directory(rootfs, tree, path, environ)
    return tree


def _has_template(directory: str) -> bool:
    return any(plain_name(name) != name for _place, _children, files in os.walk(directory) for name in files)


def _fill_directory(rootfs: str, tree: str, path: str, environ: Environ) -> None:
    os.makedirs(os.path.join(tree, path), mode=0o700)
    for name in sorted(os.listdir(os.path.join(rootfs, path))):
        inner = os.path.join(path, name)
        source = os.path.join(rootfs, inner)
        if os.path.isdir(source) and not os.path.islink(source):
            _fill_directory(rootfs, tree, inner, environ)
        elif plain_name(inner) == inner:
            shutil.copy2(source, os.path.join(tree, inner), follow_symlinks=False)
        else:
            _fill_file(rootfs, tree, inner, environ)


def _fill_file(rootfs: str, tree: str, path: str, environ: Environ) -> None:
    if os.path.lexists(os.path.join(rootfs, plain_name(path))):
        name = os.path.basename(plain_name(path))
        raise ClusterError(
            f"there is a file {name} beside the template", where=path, fix="Leave one of them out of the image"
        )
    try:
        with open(os.path.join(rootfs, path), encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ClusterError("a template cannot be read", where=path, why=str(error)) from error
    with open(os.path.join(tree, plain_name(path)), "w", encoding="utf-8") as stream:
        stream.write(fill(text, environ.get, path))
