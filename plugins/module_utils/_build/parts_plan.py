# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a gathering will do: every program, image and file that is wanted, and which of them are there already.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import os
import typing as t
import zlib
from dataclasses import dataclass, field, replace

from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import (
    Build,
    CBuild,
    DebianBuild,
    Download,
    FileBuild,
    GoBuild,
    Image,
    Part,
    PartsList,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_compile import Compiler
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_debian import Debian, Package
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_download import Downloader
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_lock import (
    LeftOut,
    PartsLock,
    PinnedImage,
    PinnedProgram,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import Made, Origin, key_of, sum_of
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference
from ansible_collections.sealer.cluster.plugins.module_utils._oci.transport import api_host

AUTO, DOWNLOAD, BUILD = "auto", "download", "build"
PROGRAMS = "parts"
_DOING: t.Dict[t.Type[t.Union[Download, Build]], str] = {
    Download: "downloading",
    GoBuild: "building",
    CBuild: "building",
    DebianBuild: "fetching the Debian package of",
    FileBuild: "reading",
}

ProgramKey = t.Tuple[str, Platform]


class Makers:
    """All ways of making, behind one pair of questions: what is it made from, and make it."""

    def __init__(self, directory: str, cache: str, downloader: Downloader) -> None:
        self.downloader = downloader
        self.debian = Debian(cache)
        self._compiler = Compiler(directory, cache)
        self._directory = directory

    def origin(self, spec: t.Union[Download, Build], program: str, arch: str) -> Origin:
        """What a program is made from."""
        if isinstance(spec, Download):
            return self.downloader.origin(spec.filled(arch, program), program)
        if isinstance(spec, GoBuild):
            return self._compiler.go_origin(spec, program, arch)
        if isinstance(spec, CBuild):
            return self._compiler.c_origin(spec, program, arch)
        if isinstance(spec, FileBuild):
            made = self._beside(spec, program)
            return Origin(spec.version, f"{spec.path} sha256:{made.sha256}", key_of(made.sha256, arch))
        return self.debian.origin(spec, program, arch)

    def make(self, spec: t.Union[Download, Build], program: str, arch: str, pinned: str) -> Made:
        """The program in the cache. ``pinned`` is the sum of the archive that it was gathered from first."""
        if isinstance(spec, Download):
            return self.downloader.make(spec.filled(arch, program), program, pinned, spec.listed(arch, program))
        if isinstance(spec, GoBuild):
            return self._compiler.go_make(spec, program, arch)
        if isinstance(spec, CBuild):
            return self._compiler.c_make(spec, program, arch)
        if isinstance(spec, FileBuild):
            return self._beside(spec, program)
        return self.debian.make(spec, program, arch)

    def _beside(self, spec: FileBuild, program: str) -> Made:
        path = os.path.join(self._directory, spec.path)
        if not os.path.isfile(path):
            raise BuildError(
                f"{program} cannot be built here",
                where=path,
                why="its project's modules cannot be had",
                fix=f"Gather with `source: download`, or put {program} {spec.version} there, made by its project's own means.",
            )
        return Made(path, *sum_of(path))


@dataclass(frozen=True)
class ProgramTask:
    """One program on one platform. ``pin`` is what the lock says of this very origin."""

    part: Part
    program: str
    platform: Platform
    spec: t.Union[Download, Build]
    origin: Origin
    pin: t.Optional[PinnedProgram]
    current: bool

    @property
    def key(self) -> ProgramKey:
        """What there is one of."""
        return self.program, self.platform

    @property
    def way(self) -> str:
        """How it is had."""
        return DOWNLOAD if isinstance(self.spec, Download) else BUILD

    @property
    def doing(self) -> str:
        """What is said while it is made."""
        return f"{_DOING[type(self.spec)]} {self.program}"

    @property
    def place(self) -> str:
        """Where it lies in the build context; "" when only images hold it."""
        path = self.part.programs[self.program]
        return f"{PROGRAMS}/{self.platform.architecture}/{path}" if path else ""

    @property
    def told(self) -> str:
        """For a diff."""
        return f"{self.origin.version}, {self.way}: {self.origin.source}"


@dataclass(frozen=True)
class ImageTask:
    """One container image on one platform."""

    image: Image
    platform: Platform
    packages: t.Sequence[Package]
    recipe: str
    pin: t.Optional[PinnedImage]
    current: bool


@dataclass
class Plan:
    """All that is wanted."""

    way: str
    programs: t.List[ProgramTask] = field(default_factory=list)
    images: t.List[ImageTask] = field(default_factory=list)
    left_out: t.List[LeftOut] = field(default_factory=list)


class Planner:
    """Compares a parts list with what is there."""

    def __init__(
        self, parts: PartsList, makers: Makers, lock: t.Optional[PartsLock], *, dest: str, store: str, update: bool
    ) -> None:
        self._parts = parts
        self._makers = makers
        self._lock = lock
        self._dest = dest
        self._layout = Layout.open(store) if Layout.exists(store) else None
        self._update = update

    def plan(self, source: str, platforms: t.Sequence[Platform]) -> Plan:
        """What is to be had for these platforms."""
        result = Plan(self._way(source, platforms))
        for platform in platforms:
            images = [image for image in self._parts.images if result.way == BUILD or not image.published]
            result.left_out += [LeftOut(one.reference, str(platform), one.optional) for one in images if one.optional]
            images = [image for image in images if not image.optional]
            inside = {program for image in images for program in image.programs.values()}
            for part in self._parts.parts:
                self._add_part(result, part, platform, inside)
            for image in images:
                result.images.append(self._image(image, platform, result.programs))
        return result

    def _way(self, source: str, platforms: t.Sequence[Platform]) -> str:
        if source != AUTO:
            return source
        if self._lock is not None and not self._update:
            return self._lock.way
        urls = [
            part.download.filled(platform.architecture, program).checksums
            for platform in platforms
            for part in self._parts.parts
            for program, place in part.programs.items()
            if part.download and place
        ]
        if urls:
            return BUILD if self._makers.downloader.reachable(urls) else DOWNLOAD
        registries = {Reference.parse(image.reference).registry for image in self._parts.images if image.published}
        if not registries or self._makers.downloader.registries_reachable(map(api_host, sorted(registries))):
            return BUILD
        return DOWNLOAD

    def _add_part(self, result: Plan, part: Part, platform: Platform, inside: t.Collection[str]) -> None:
        wanted = [program for program, place in part.programs.items() if place or program in inside]
        spec: t.Optional[t.Union[Download, Build]] = part.download if result.way == DOWNLOAD else part.build
        if wanted and spec is None and part.optional:
            result.left_out.append(LeftOut(part.name, str(platform), part.optional))
            return
        absent = self._known_absent(part, platform) if isinstance(spec, Download) else None
        if wanted and absent:
            result.left_out.append(absent)
            return
        spec = spec or part.build or part.download
        if spec is not None:
            result.programs += [self._program(part, program, platform, spec) for program in wanted]

    def _known_absent(self, part: Part, platform: Platform) -> t.Optional[LeftOut]:
        """What the lock says of a part that its publisher did not have."""
        if self._lock is None or self._update or self._lock.way != DOWNLOAD:
            return None
        key = (part.name, str(platform))
        return next((one for one in self._lock.left_out if (one.part, one.platform) == key), None)

    def _program(self, part: Part, program: str, platform: Platform, spec: t.Union[Download, Build]) -> ProgramTask:
        origin = self._makers.origin(spec, program, platform.architecture)
        pin = self._lock.program(program, str(platform)) if self._lock and not self._update else None
        if pin and pin.recipe != origin.key:
            pin = None
        listed = spec.listed(platform.architecture, program) if isinstance(spec, Download) else None
        if pin and listed:
            listed.check(pin.source_sha256, "the parts lock", origin.source)
        task = ProgramTask(part, program, platform, spec, origin, pin, current=False)
        return replace(task, current=pin is not None and (not task.place or self._holds(task.place, pin)))

    def _holds(self, place: str, pin: PinnedProgram) -> bool:
        path = os.path.join(self._dest, place)
        return os.path.isfile(path) and os.access(path, os.X_OK) and sum_of(path) == (pin.sha256, pin.size)

    def _image(self, image: Image, platform: Platform, programs: t.Sequence[ProgramTask]) -> ImageTask:
        arch = platform.architecture
        origins = {task.program: task.origin for task in programs if task.platform == platform}
        for program in image.programs.values():
            if program not in origins:
                raise BuildError(f"{image.reference} cannot be made", why=f"its program {program} is left out")
        packages = self._makers.debian.closure(image.packages, arch) if image.packages else []
        files = {path: sum_of(os.path.join(self._parts.directory, name))[0] for path, name in image.files.items()}
        inside = {path: origins[program].key for path, program in image.programs.items()}
        shape = (sorted(image.links.items()), sorted(image.directories.items()), sorted(image.config.items()))
        recipe = key_of(arch, inside, files, packages, shape, zlib.ZLIB_RUNTIME_VERSION)
        pin = self._lock.image(image.reference, str(platform)) if self._lock and not self._update else None
        if pin and pin.recipe != recipe:
            pin = None
        return ImageTask(image, platform, packages, recipe, pin, pin is not None and self._stored(image, pin))

    def _stored(self, image: Image, pin: PinnedImage) -> bool:
        if self._layout is None:
            return False
        found = self._layout.find(Reference.parse(image.reference))
        return found is not None and str(found.digest) == pin.digest and not self._layout.missing(found)
