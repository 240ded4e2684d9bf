# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files out of Debian packages, taken without installing anything and without being root.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import shutil
import tarfile
import tempfile
import typing as t
from dataclasses import asdict, dataclass, replace

from ansible_collections.sealer.cluster.plugins.module_utils._build.context import DIRECTORY, FILE, LINK
from ansible_collections.sealer.cluster.plugins.module_utils._build.layer import Entry
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import DebianBuild
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import (
    Made,
    Origin,
    key_of,
    put,
    put_directory,
    run,
    sum_of,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError

_TOOLS = "Run this on Debian or a system made from it, or gather with `source: download`."
_UPDATE = "Run `apt-get update`, and look whether the package's section is among the machine's sources."
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_LIBRARIES = re.compile(r"(?:.*/)?libs")
_NONE_FOUND = 100
_DEPENDENCY = re.compile(r"\s*([a-z0-9][a-z0-9+.-]+)")
_LEFT_OUT = (
    "etc/cron.d", "etc/cron.daily", "etc/init.d", "etc/logrotate.d", "lib/systemd", "usr/lib/systemd",
    "usr/lib/tmpfiles.d", "usr/share/apport", "usr/share/bash-completion", "usr/share/bug", "usr/share/doc",
    "usr/share/doc-base", "usr/share/info", "usr/share/lintian", "usr/share/locale", "usr/share/man",
)  # fmt: skip


@dataclass(frozen=True)
class Package:
    """What apt knows of a package's version that it would install."""

    name: str
    version: str
    arch: str
    sha256: str
    libraries: t.Tuple[str, ...]

    @property
    def told(self) -> str:
        """Name and version."""
        return f"{self.name}={self.version}"


class Debian:
    """The packages that this machine's apt can get."""

    def __init__(self, cache: str) -> None:
        self._cache = cache
        self._known: t.Dict[str, t.Optional[Package]] = {}
        self._is_library: t.Dict[str, bool] = {}

    def origin(self, build: DebianBuild, program: str, arch: str) -> Origin:
        """The package that a program is taken from."""
        self._require_native(arch, program)
        package = self._package(build.package)
        return Origin(package.version, f"Debian package {package.told} /{build.member}", key_of(package, build.member))

    def make(self, build: DebianBuild, program: str, arch: str) -> Made:
        """One program in the cache."""
        origin = self.origin(build, program, arch)
        package = self._package(build.package)
        path = os.path.join(self._cache, "build", origin.key, program)

        def take(fresh: str) -> None:
            wanted = next((entry for entry in self._tree(package) if entry.path == _merged(build.member)), None)
            if wanted is None or wanted.kind != FILE:
                raise BuildError(f"Debian package {package.told} has no file /{build.member}")
            shutil.copyfile(wanted.source, fresh)

        if not os.path.exists(path):
            put(path, take)
        return Made(path, *sum_of(path), package.sha256)

    def closure(self, names: t.Sequence[str], arch: str) -> t.List[Package]:
        """These packages and all libraries that they need, sorted by name."""
        self._require_native(arch, ", ".join(names))
        found: t.Dict[str, Package] = {}
        waiting = list(names)
        while waiting:
            self._look_up(waiting)
            fresh = [self._package(name) for name in sorted(set(waiting)) if name not in found]
            found.update({package.name: package for package in fresh})
            needed = sorted({name for package in fresh for name in package.libraries} - set(found))
            self._look_up(needed)
            waiting = [name for name in needed if self._is_library.get(name)]
        return [found[name] for name in sorted(found)]

    def entries(self, packages: t.Sequence[Package]) -> t.List[Entry]:
        """The files of packages as they would be installed, with one /usr, less documentation and services."""
        result: t.Dict[str, Entry] = {name: Entry(name, LINK, 0o777, target=f"usr/{name}") for name in _MERGED[:3]}
        result["lib64"] = Entry("lib64", LINK, 0o777, target="usr/lib64")
        for package in packages:
            result.update({entry.path: entry for entry in self._tree(package)})
        return list(result.values())

    def _package(self, name: str) -> Package:
        self._look_up([name])
        package = self._known[name]
        if package is None:
            raise BuildError(f"apt knows no package {name}", fix=_UPDATE)
        return package

    def _look_up(self, names: t.Sequence[str]) -> None:
        unknown = [name for name in names if name not in self._known]
        if not unknown:
            return
        for stanza in _shown(unknown):
            name = stanza["Package"]
            self._is_library[name] = bool(_LIBRARIES.fullmatch(stanza.get("Section", "")))
            self._known[name] = Package(
                name, stanza["Version"], stanza["Architecture"], stanza.get("SHA256", ""), _needed(stanza)
            )
        for name in unknown:
            self._known.setdefault(name, None)

    def _tree(self, package: Package) -> t.List[Entry]:
        place = os.path.join(self._cache, "debian", key_of(package))
        index = os.path.join(place, "index.json")
        if not os.path.exists(index):
            put_directory(place, lambda fresh: self._unpack(package, fresh))
        try:
            with open(index, encoding="utf-8") as handle:
                entries = [Entry(**fields) for fields in json.load(handle)]
        except (OSError, ValueError, TypeError) as error:
            raise BuildError(
                "the cache is damaged", where=place, why=str(error), fix="Delete that directory."
            ) from error
        return [replace(one, source=os.path.join(place, one.source)) if one.source else one for one in entries]

    def _unpack(self, package: Package, fresh: str) -> None:
        what = f"cannot get the Debian package {package.told}"
        run(["apt-get", "download", "-q", package.told], what=what, cwd=fresh, missing=_TOOLS)
        archive = next(os.path.join(fresh, name) for name in os.listdir(fresh) if name.endswith(".deb"))
        found = sum_of(archive)[0]
        if found != package.sha256:
            raise BuildError(
                what, why=f"its sha256 is {found}, apt's list says {package.sha256 or 'none'}", fix=_UPDATE
            )
        with tempfile.TemporaryFile(dir=fresh) as stream:
            run(["dpkg-deb", "--fsys-tarfile", archive], what=what, missing=_TOOLS, output=stream)
            stream.seek(0)
            with tarfile.open(fileobj=stream) as tar:
                entries = list(_unpacked(tar, fresh))
        os.unlink(archive)
        with open(os.path.join(fresh, "index.json"), "w", encoding="utf-8") as handle:
            json.dump([asdict(entry) for entry in entries], handle)

    def _require_native(self, arch: str, what: str) -> None:
        own = run(["dpkg", "--print-architecture"], what=f"cannot get {what}", missing=_TOOLS).strip()
        if arch != own:
            raise BuildError(
                f"{what} cannot be had for {arch}",
                why=f"this machine's Debian packages are for {own}",
                fix="Gather on a machine of that architecture, or with `source: download`.",
            )


def _shown(names: t.Sequence[str]) -> t.Iterator[t.Dict[str, str]]:
    told = run(
        ["apt-cache", "show", "--no-all-versions", *names],
        what="cannot look up Debian packages",
        missing=_TOOLS,
        accepted=(0, _NONE_FOUND),
    )
    for text in told.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and not line.startswith(" "))
        if "Package" in fields and "Version" in fields:
            yield fields


def _needed(stanza: t.Mapping[str, str]) -> t.Tuple[str, ...]:
    both = f"{stanza.get('Pre-Depends', '')},{stanza.get('Depends', '')}"
    first_choices = [_DEPENDENCY.match(one.partition("|")[0]) for one in both.split(",")]
    return tuple(sorted({match.group(1) for match in first_choices if match} - {stanza["Package"]}))


def _unpacked(tar: tarfile.TarFile, fresh: str) -> t.Iterator[Entry]:
    for number, info in enumerate(tar):
        path = _merged(posixpath.normpath(info.name))
        if path in (".", *_MERGED) or any(path == out or path.startswith(f"{out}/") for out in _LEFT_OUT):
            continue
        if info.isdir():
            yield Entry(path, DIRECTORY, info.mode & 0o1777)
        elif info.issym():
            yield Entry(path, LINK, 0o777, target=info.linkname)
        else:
            source = tar.extractfile(info)
            if source is None:
                raise BuildError(f"{info.name} in a Debian package is neither file, directory nor link")
            name = str(number)
            with source, open(os.path.join(fresh, name), "wb") as sink:
                shutil.copyfileobj(source, sink)
            sha256, size = sum_of(os.path.join(fresh, name))
            yield Entry(path, FILE, info.mode & 0o755, source=name, size=size, sha256=sha256)


def _merged(path: str) -> str:
    """The path where there is one /usr."""
    first = path.partition("/")[0]
    return f"usr/{path}" if first in _MERGED and path != first else path
