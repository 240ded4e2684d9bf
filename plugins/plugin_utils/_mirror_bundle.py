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
import sys
import typing as t
import zipfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ansible_collections.sealer.cluster.plugins.module_utils._errors import MirrorError

OLDEST_PYTHON = (3, 8)
SHEBANG = b"#!/usr/bin/env python3\n"

_COLLECTION = "ansible_collections.sealer.cluster."
_ENTRY_MODULE = f"{_COLLECTION}plugins.module_utils._mirror.serving.server"
_COLLECTION_ROOT = Path(__file__).parents[2]
_LICENSES = ("LICENSE", "LICENCE", "COPYING", "NOTICE", "METADATA")
_EPOCH = (1980, 1, 1, 0, 0, 0)

# gunicorn asks for 'packaging' too, but only its gevent and eventlet workers, which are not used, import it.
BUNDLED = {"gunicorn": ">=23,<24", "prometheus_client": ">=0.20,<1", "urllib3": ">=2.0,<3"}

_MAIN = """\
import sys

if sys.version_info < {oldest}:
    sys.exit("sealer-mirror: needs Python {python} or newer, this is " + sys.version.split()[0])

from {entry} import main

sys.exit(main())
"""

Files = t.Dict[str, bytes]
Version = t.Tuple[int, int]


@dataclass(frozen=True)
class Bundle:
    """The file's content, and what went into it."""

    data: bytes
    packages: dict[str, str]
    pythons: dict[str, Version]

    @property
    def python(self) -> Version:
        """The oldest Python that can run it."""
        return max(self.pythons.values())

    @property
    def sha256(self) -> str:
        """The hash of the file."""
        return hashlib.sha256(self.data).hexdigest()


def build() -> Bundle:
    """Make the file: the same sources give the same bytes, on every machine. Raises MirrorError."""
    files = _our_modules(_ENTRY_MODULE)
    packages, pythons = {}, {"sealer.cluster": OLDEST_PYTHON}
    for name, versions in BUNDLED.items():
        distribution = _distribution(name, versions)
        packages[name] = distribution.version
        pythons[name] = _oldest_python(distribution)
        files.update(_package_files(distribution))
    oldest = max(pythons.values())
    main = _MAIN.format(oldest=oldest, python=version_text(oldest), entry=_ENTRY_MODULE)
    files["__main__.py"] = main.encode("utf-8")
    return Bundle(_zipapp(files), packages, pythons)


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


def _distribution(name: str, versions: str) -> metadata.Distribution:
    from packaging.specifiers import SpecifierSet

    wanted = f"{name}{versions}"
    fix = f"Install it where Ansible runs: python3 -m pip install '{wanted}'."
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError as error:
        raise MirrorError(f"the Python package {name} is missing", where="controller", fix=fix) from error
    if found.version not in SpecifierSet(versions):
        raise MirrorError(
            f"the Python package {name} has version {found.version}",
            where="controller",
            why=f"the mirror is made with {wanted}",
            fix=fix,
        )
    return found


def _oldest_python(distribution: metadata.Distribution) -> Version:
    from packaging.specifiers import SpecifierSet

    wanted = SpecifierSet(str(distribution.metadata.json.get("requires_python", "")))
    candidates = [(OLDEST_PYTHON[0], minor) for minor in range(OLDEST_PYTHON[1], sys.version_info.minor + 1)]
    return next((version for version in candidates if version_text(version) in wanted), candidates[-1])


def _package_files(distribution: metadata.Distribution) -> Files:
    files: Files = {}
    for file in distribution.files or ():
        is_told = file.parts[0].endswith(".dist-info") and file.name.startswith(_LICENSES)
        if ".." not in file.parts and (file.suffix == ".py" or is_told):
            files[file.as_posix()] = file.read_binary()
    if not any(name.endswith(".py") for name in files):
        raise MirrorError(
            f"the files of the Python package {distribution.name} cannot be listed",
            where="controller",
            why="its installation has no RECORD",
            fix="Install it with pip.",
        )
    return files


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
