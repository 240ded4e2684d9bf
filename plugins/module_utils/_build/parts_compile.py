# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs compiled on this machine: packages of Go modules, and single source files of C.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import CBuild, GoBuild
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import (
    Made,
    Origin,
    key_of,
    put,
    run,
    sum_of,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_reading import fill
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform

_GO = re.compile(r"go(\d+)\.(\d+)(?:\.(\d+))?.*")
_NEEDED_GO = re.compile(r"^go[ \t]+(\d+)\.(\d+)(?:\.(\d+))?[ \t]*$", re.MULTILINE)
_REQUIRED = re.compile(r"^(?:require[ \t]+|[ \t]+)([^\s()]+)[ \t]+(v[^\s]+)", re.MULTILINE)
_C_FLAGS = ("-Os", "-static", "-s", "-Wall", "-ffile-prefix-map=./=")
_INSTALL_GO = "Install Go from the distribution or go.dev, or gather with `source: download`."
_INSTALL_GCC = (
    "Install gcc and the C library's development files (Debian: gcc libc6-dev), or gather with `source: download`."
)
_ENVIRONMENT = {
    "CC": "gcc",
    "GOAMD64": "v1",
    "GOARM64": "v8.0",
    "GOEXPERIMENT": "",
    "GOFLAGS": "-mod=readonly",
    "GOOS": "linux",
    "GOWORK": "off",
}
_GO_FLAGS = ("-trimpath", "-buildvcs=false")
# How far the compiler's memory grows before it looks for garbage. It decides no byte of a program, so it is in no key. It saves
# about a sixth of etcd's time; the link of kube-apiserver takes 1.8 GiB with it and 1.7 GiB without.
_GARBAGE_PERCENT = "400"


class Compiler:
    """Compiles for the architecture of this machine, each program once."""

    def __init__(self, directory: str, cache: str) -> None:
        self._directory = directory
        self._cache = cache
        self._toolchains: t.Dict[str, str] = {}
        self._gcc = ""

    def go_origin(self, build: GoBuild, program: str, arch: str) -> Origin:
        """What one program is built from: module, version, toolchain, and in the key all that decides its bytes."""
        self._require_native(arch, program)
        package = fill(build.package, {"arch": arch, "program": program, "version": build.version})
        group = os.path.join(self._directory, build.directory)
        module, version = _module_of(package, _read(os.path.join(group, "go.mod")), group)
        if version.partition("+")[0] != f"v{build.version}":
            raise BuildError(
                f"{program} is to be {build.version}, but the Go module says {version}",
                where=os.path.join(group, "go.mod"),
                fix=f"Run `go get -tool {package}@v{build.version}` there, or change the version in the parts list.",
            )
        toolchain = self._toolchain(group)
        sums = _read(os.path.join(group, "go.sum"))
        gcc = self._gcc_version() if build.cgo else ""
        key = key_of(
            package,
            _read(os.path.join(group, "go.mod")),
            sums,
            toolchain,
            gcc,
            arch,
            build.ldflags,
            build.cgo,
            _GO_FLAGS,
            _ENVIRONMENT,
        )
        told = f"{package}@{version}" if package == module else f"{package} of {module}@{version}"
        return Origin(build.version, f"{told} ({' '.join(filter(None, [toolchain, gcc]))})", key)

    def go_make(self, build: GoBuild, program: str, arch: str) -> Made:
        """One program in the cache."""
        origin = self.go_origin(build, program, arch)
        package = fill(build.package, {"arch": arch, "program": program, "version": build.version})
        environment = {
            "GOGC": os.environ.get("GOGC", _GARBAGE_PERCENT),
            **_ENVIRONMENT,
            "CGO_ENABLED": "1" if build.cgo else "0",
            "GOARCH": arch,
        }
        flags = " ".join(filter(None, ["-s -w", "-extldflags=-static" if build.cgo else "", build.ldflags]))

        def build_it(fresh: str) -> None:
            run(
                ["go", "build", *_GO_FLAGS, "-ldflags", flags, "-o", fresh, package],
                what=f"cannot build {program}",
                cwd=os.path.join(self._directory, build.directory),
                environment=environment,
                missing=_INSTALL_GO,
            )

        return self._made(origin, program, build_it)

    def c_origin(self, build: CBuild, program: str, arch: str) -> Origin:
        """What one program is compiled from."""
        self._require_native(arch, program)
        source, gcc = os.path.join(self._directory, build.source), self._gcc_version()
        digest = sum_of(source)[0]
        return Origin(build.version, f"{build.source} sha256:{digest} ({gcc})", key_of(digest, gcc, arch, _C_FLAGS))

    def c_make(self, build: CBuild, program: str, arch: str) -> Made:
        """One program in the cache."""
        directory, name = os.path.split(os.path.join(self._directory, build.source))

        def compile_it(fresh: str) -> None:
            argv = ["gcc", *_C_FLAGS, "-o", fresh, name]
            run(argv, what=f"cannot compile {program}", cwd=directory, missing=_INSTALL_GCC)

        return self._made(self.c_origin(build, program, arch), program, compile_it)

    def _made(self, origin: Origin, program: str, write: t.Callable[[str], None]) -> Made:
        path = os.path.join(self._cache, "build", origin.key, program)
        if not os.path.exists(path):
            put(path, write)
        return Made(path, *sum_of(path))

    def _require_native(self, arch: str, program: str) -> None:
        own = Platform.host().architecture
        if arch != own:
            raise BuildError(
                f"{program} cannot be built for {arch}",
                why=f"this machine is {own}, and programs are built for the machine's own architecture only",
                fix="Gather with `source: download`, or on a machine of that architecture.",
            )

    def _toolchain(self, group: str) -> str:
        if group not in self._toolchains:
            told = run(["go", "env", "GOVERSION"], what="cannot build", cwd=group, missing=_INSTALL_GO).strip()
            needed = _NEEDED_GO.search(_read(os.path.join(group, "go.mod")))
            found = _GO.fullmatch(told)
            if needed and found and _numbers(found) < _numbers(needed):
                raise BuildError(
                    "Go is too old",
                    where=os.path.join(group, "go.mod"),
                    why=f"{told} is installed, {'.'.join(map(str, _numbers(needed)))} is needed",
                    fix=_INSTALL_GO,
                )
            self._toolchains[group] = told
        return self._toolchains[group]

    def _gcc_version(self) -> str:
        if not self._gcc:
            told = run(["gcc", "-dumpfullversion"], what="cannot compile", missing=_INSTALL_GCC)
            self._gcc = f"gcc {told.strip()}"
        return self._gcc


def _numbers(match: t.Match[str]) -> t.Tuple[int, ...]:
    return tuple(int(number or 0) for number in match.groups())


def _module_of(package: str, text: str, group: str) -> t.Tuple[str, str]:
    """The required module that has a package, and its version."""
    found = ("", "")
    for module, version in _REQUIRED.findall(text):
        if (package == module or package.startswith(f"{module}/")) and len(module) > len(found[0]):
            found = (module, version)
    if not found[0]:
        raise BuildError(
            f"no module for {package} is required",
            where=os.path.join(group, "go.mod"),
            fix=f"Run `go get -tool {package}@VERSION` there.",
        )
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as handle:
            return handle.read()
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError("cannot read the file", where=path, why=str(error)) from error
