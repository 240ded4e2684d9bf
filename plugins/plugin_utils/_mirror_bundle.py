# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror as one file: our modules and the packages they need, in a zip archive that python3 runs.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import ast
import hashlib
import io
import typing as t
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.sealer.cluster.plugins.plugin_utils._wheels import Files, wheels

OLDEST_PYTHON = (3, 8)
SHEBANG = b"#!/usr/bin/env python3\n"

_COLLECTION = "ansible_collections.sealer.cluster."
_ENTRY_MODULE = f"{_COLLECTION}plugins.module_utils._mirror.serving.server"
_COLLECTION_ROOT = Path(__file__).parents[2]
_EPOCH = (1980, 1, 1, 0, 0, 0)

_MAIN = """\
import sys

if sys.version_info < {oldest}:
    sys.exit("sealer-mirror: needs Python {python} or newer, this is " + sys.version.split()[0])

from {entry} import main

sys.exit(main())
"""

Version = t.Tuple[int, int]


@dataclass(frozen=True)
class Bundle:
    """The file's content, and what went into it."""

    data: bytes
    packages: dict[str, str]

    @property
    def sha256(self) -> str:
        """The hash of the file."""
        return hashlib.sha256(self.data).hexdigest()


def build() -> Bundle:
    """Make the file: the same collection gives the same bytes, on every controller. Raises MirrorError."""
    files = _our_modules(_ENTRY_MODULE)
    bundled = wheels()
    for wheel in bundled:
        files.update(wheel.files())
    main = _MAIN.format(oldest=OLDEST_PYTHON, python=version_text(OLDEST_PYTHON), entry=_ENTRY_MODULE)
    files["__main__.py"] = main.encode("utf-8")
    return Bundle(_zipapp(files), {wheel.name: wheel.version for wheel in bundled})


def version_text(version: Version) -> str:
    """A version as it is written."""
    return f"{version[0]}.{version[1]}"


def _our_modules(entry: str) -> Files:
    """The collection's module and all it imports from the collection, under their own import path.

    Each directory is made a package of its own: a name space package would lose against an ``ansible_collections`` that
    is installed on the host.
    """
    files: Files = {}
    waiting, seen = [entry], {entry}
    while waiting:
        path = waiting.pop().removeprefix(_COLLECTION).replace(".", "/") + ".py"
        source = (_COLLECTION_ROOT / path).read_bytes()
        name = _COLLECTION.replace(".", "/") + path
        files[name] = source
        files.update({f"{parent}/__init__.py": b"" for parent in Path(name).parents if parent.name})
        for module in _collection_imports(source, path) - seen:
            seen.add(module)
            waiting.append(module)
    return files


def _collection_imports(source: bytes, path: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    ours = {name.removeprefix(_COLLECTION) for name in found if name.startswith(_COLLECTION)}
    return {_COLLECTION + name for name in ours if (_COLLECTION_ROOT / f"{name.replace('.', '/')}.py").is_file()}


def _zipapp(files: Files) -> bytes:
    """Stored, not compressed: compressors differ from machine to machine, and the file is small."""
    buffer = io.BytesIO()
    buffer.write(SHEBANG)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()
