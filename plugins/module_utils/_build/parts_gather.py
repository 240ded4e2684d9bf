# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gathering: fill a build context and the store from a parts list, and write down what was taken from where.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import concurrent.futures
import os
import shutil
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._build import parts_files
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts import (
    FILE_NAME,
    Download,
    PartsList,
    read_parts,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_download import Downloader, NotPublished
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_image import make_image
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_lock import (
    LeftOut,
    PartsLock,
    PinnedImage,
    PinnedProgram,
    read_parts_lock,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_making import (
    Made,
    replace_file,
    replace_text,
    run,
    sweep,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.parts_plan import (
    PROGRAMS,
    ImageTask,
    Makers,
    Plan,
    Planner,
    ProgramKey,
    ProgramTask,
)
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Manifest, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference


@dataclass(frozen=True)
class Request:
    """What is asked for."""

    path: str
    dest: str
    platforms: t.Sequence[Platform]
    source: str
    mirrors: t.Sequence[t.Tuple[str, str]]
    cache: str
    store: str
    lock: str
    parallel: int
    update: bool


@dataclass
class Result:
    """What was, or would be, done."""

    changed: bool
    lock: PartsLock
    before: t.Dict[str, str] = field(default_factory=dict)
    after: t.Dict[str, str] = field(default_factory=dict)


def gather(request: Request, progress: Progress, check: bool) -> Result:
    """Do it, or with ``check`` only say what would be done."""
    _refuse_overlap(request)
    parts = read_parts(request.path)
    lock = read_parts_lock(request.lock)
    downloader = Downloader(request.cache, request.mirrors, progress=progress)
    makers = Makers(request.path, request.cache, downloader)
    planner = Planner(parts, makers, lock, dest=request.dest, store=request.store, update=request.update)
    with progress.doing("comparing the parts list with what is here"):
        plan = planner.plan(request.source, request.platforms)
    files = parts_files.wanted(parts, {one.part for one in plan.left_out})
    stale = parts_files.stale(request.dest, parts, {*files, *(task.place for task in plan.programs)})
    before, after = _told(request, plan, files, stale)
    if check:
        return Result(before != after or lock is None, _predicted(plan), before, after)
    sweep(request.cache)
    gathering = _Gathering(request, parts, makers, progress)
    fresh = gathering.run(plan, files, stale)
    saved = _saved(request.lock, lock, fresh)
    return Result(gathering.wrote or saved, fresh, before, after)


class _Gathering:
    """One run; ``wrote`` tells whether anything in the context or the store is new."""

    def __init__(self, request: Request, parts: PartsList, makers: Makers, progress: Progress) -> None:
        self.wrote = False
        self._request = request
        self._parts = parts
        self._makers = makers
        self._progress = progress
        self._left_out: t.List[LeftOut] = []

    def run(self, plan: Plan, files: t.Mapping[str, parts_files.Content], stale: t.Sequence[str]) -> PartsLock:
        """Make what is lacking and drop what is not wanted."""
        images = [task for task in plan.images if not task.current]
        inside = {(name, task.platform) for task in images for name in task.image.programs.values()}
        lacking = [task for task in plan.programs if not task.current or task.key in inside]
        self._progress.total(0, len(lacking) + len(images))
        made = self._programs(lacking)
        self.wrote |= parts_files.write(self._request.dest, files, stale)
        parts_files.drop_empty(self._request.dest, self._parts)
        self._check_required()
        pins = [_pin(task, made[task.key]) if task.key in made else task.pin for task in plan.programs]
        pinned = self._images(plan, made)
        known = tuple(pin for pin in pins if pin is not None)
        return PartsLock(plan.way, known, tuple(pinned), (*plan.left_out, *self._left_out))

    def _programs(self, lacking: t.Sequence[ProgramTask]) -> t.Dict[ProgramKey, Made]:
        """Downloads run side by side, while the builds, which use every core by themselves, run one after another."""
        with concurrent.futures.ThreadPoolExecutor(self._request.parallel) as pool:
            downloads = {
                task.key: pool.submit(self._program, task) for task in lacking if isinstance(task.spec, Download)
            }
            try:
                made = {task.key: self._program(task) for task in lacking if task.key not in downloads}
                made.update({key: future.result() for key, future in downloads.items()})
            except BaseException:
                for future in downloads.values():
                    future.cancel()
                raise
        return {key: program for key, program in made.items() if program is not None}

    def _program(self, task: ProgramTask) -> t.Optional[Made]:
        """Make one and put it into its place; None for an optional one that is not published."""
        architecture, pin = task.platform.architecture, task.pin
        try:
            with self._progress.doing(task.doing):
                made = self._makers.make(task.spec, task.program, architecture, pin.source_sha256 if pin else "")
        except NotPublished as error:
            if not task.part.optional:
                raise
            self._left_out.append(LeftOut(task.part.name, str(task.platform), str(error)))
            return None
        if pin and made.sha256 != pin.sha256:
            raise BuildError(
                f"{task.program} is not what it was when it was gathered first",
                where=self._request.lock,
                why=f"its sha256 is {made.sha256}, the lock says {pin.sha256} for {task.origin.source}",
                fix="Find out why. `update: true` accepts the new one.",
            )
        if task.place and not task.current:
            replace_file(os.path.join(self._request.dest, task.place), lambda fresh: _copy(made.path, fresh))
            self.wrote = True
        self._progress.item(task.program)
        return made

    def _check_required(self) -> None:
        """Every image that the program which starts the cluster asks for is in the list."""
        if not self._parts.required_images:
            return
        program, *arguments = self._parts.required_images
        place = self._parts.part_of(program).programs[program]
        path = os.path.join(self._request.dest, PROGRAMS, Platform.host().architecture, place)
        if not os.path.exists(path):
            return
        told = run([path, *arguments], what=f"cannot ask {program} for its images")
        known = {image.reference for image in self._parts.images}
        lacking = sorted({str(Reference.parse(name)) for name in told.split()} - known)
        if lacking:
            raise BuildError(
                f"{program} needs images that the parts list does not have",
                where=os.path.join(self._request.path, FILE_NAME),
                why=", ".join(lacking),
            )

    def _images(self, plan: Plan, made: t.Mapping[ProgramKey, Made]) -> t.List[PinnedImage]:
        lacking = [task for task in plan.images if not task.current]
        pinned = [task.pin for task in plan.images if task.current and task.pin]
        if not lacking:
            return pinned
        layout = Layout.open(self._request.store, create=True)
        workers = min(self._request.parallel, os.cpu_count() or 1)
        with layout.session(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
            pinned += pool.map(lambda task: self._image(task, layout, made), lacking)
        return pinned

    def _image(self, task: ImageTask, layout: Layout, made: t.Mapping[ProgramKey, Made]) -> PinnedImage:
        with self._progress.doing(f"making the image {task.image.reference}"):
            descriptor = make_image(
                task.image,
                task.platform.architecture,
                layout=layout,
                directory=self._parts.directory,
                programs={name: made[name, task.platform].path for name in task.image.programs.values()},
                userland=self._makers.debian.entries(task.packages) if task.packages else [],
            )
        layout.tag(Reference.parse(task.image.reference), descriptor)
        self.wrote = True
        self._progress.item(task.image.reference)
        manifest = Manifest.parse(layout.read_blob(descriptor.digest))
        return PinnedImage(
            reference=task.image.reference,
            platform=str(task.platform),
            recipe=task.recipe,
            digest=str(descriptor.digest),
            size=sum(child.size for child in manifest.children),
            packages=tuple(package.told for package in task.packages),
        )


def _copy(source: str, fresh: str) -> None:
    shutil.copyfile(source, fresh)


def _pin(task: ProgramTask, made: Made) -> PinnedProgram:
    return PinnedProgram(
        part=task.part.name,
        program=task.program,
        path=task.part.programs[task.program],
        platform=str(task.platform),
        version=task.origin.version,
        way=task.way,
        source=task.origin.source,
        recipe=task.origin.key,
        source_sha256=made.source_sha256,
        sha256=made.sha256,
        size=made.size,
    )


def _refuse_overlap(request: Request) -> None:
    path, dest = os.path.realpath(request.path), os.path.realpath(request.dest)
    if dest == path or dest.startswith(f"{path}/") or path.startswith(f"{dest}/"):
        raise BuildError("dest must lie outside of path", where=request.dest, fix="Name another directory.")


def _told(
    request: Request, plan: Plan, files: t.Mapping[str, parts_files.Content], stale: t.Sequence[str]
) -> t.Tuple[t.Dict[str, str], t.Dict[str, str]]:
    """What is there and what is to be there, for a diff and for knowing whether anything changes."""
    after = {name: content.told for name, content in files.items()}
    before = {**parts_files.present(request.dest, files), **{name: "not in the parts list" for name in stale}}
    for task in plan.programs:
        if task.place:
            after[task.place] = task.told
            if task.current:
                before[task.place] = task.told
            elif os.path.exists(os.path.join(request.dest, task.place)):
                before[task.place] = "not what the parts lock says"
    for image in plan.images:
        name = f"{image.image.reference} {image.platform}"
        after[name] = f"made by recipe {image.recipe}"
        if image.current:
            before[name] = after[name]
    return before, after


def _predicted(plan: Plan) -> PartsLock:
    """The pins that are known before anything is made."""
    programs = tuple(task.pin for task in plan.programs if task.pin)
    images = tuple(task.pin for task in plan.images if task.pin)
    return PartsLock(plan.way, programs, images, tuple(plan.left_out))


def _saved(path: str, before: t.Optional[PartsLock], fresh: PartsLock) -> bool:
    if before is not None and before.dump() == fresh.dump():
        return False
    replace_text(path, fresh.dump().encode())
    return True
