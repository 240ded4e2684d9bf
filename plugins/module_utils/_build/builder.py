# Copyright (c) 2026, sealer.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Build a cluster image out of a Kubefile.

Private to the collection: may change at any time.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field

from ansible_collections.sealer.cluster.plugins.module_utils._build import assemble
from ansible_collections.sealer.cluster.plugins.module_utils._build.base import Base, load
from ansible_collections.sealer.cluster.plugins.module_utils._build.base_tree import load_tree
from ansible_collections.sealer.cluster.plugins.module_utils._build.context import Context
from ansible_collections.sealer.cluster.plugins.module_utils._build.description import LABEL
from ansible_collections.sealer.cluster.plugins.module_utils._build.evaluate import (
    Evaluation,
    Plan,
    check_build_args,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.kubefile import Instruction, parse
from ansible_collections.sealer.cluster.plugins.module_utils._build.lock import (
    Lock,
    LockedBase,
    read_lock,
    write_lock,
)
from ansible_collections.sealer.cluster.plugins.module_utils._build.needs import Asked, Needs, Search
from ansible_collections.sealer.cluster.plugins.module_utils._build.pool import Pool
from ansible_collections.sealer.cluster.plugins.module_utils._build.report import BuildResult, Parts, report
from ansible_collections.sealer.cluster.plugins.module_utils._build.resolve import Resolved, resolve_all
from ansible_collections.sealer.cluster.plugins.module_utils._build.sources import MISSING, Registry, Sources
from ansible_collections.sealer.cluster.plugins.module_utils._build.tree import Tree
from ansible_collections.sealer.cluster.plugins.module_utils._errors import BuildError
from ansible_collections.sealer.cluster.plugins.module_utils._oci.cluster_image import ClusterImage, ContainerImage
from ansible_collections.sealer.cluster.plugins.module_utils._oci.digest import Digest
from ansible_collections.sealer.cluster.plugins.module_utils._oci.files import partial_path
from ansible_collections.sealer.cluster.plugins.module_utils._oci.layout import Layout
from ansible_collections.sealer.cluster.plugins.module_utils._oci.media import INDEX_TYPES, OCI_INDEX
from ansible_collections.sealer.cluster.plugins.module_utils._oci.model import Descriptor, Platform
from ansible_collections.sealer.cluster.plugins.module_utils._oci.progress import Progress
from ansible_collections.sealer.cluster.plugins.module_utils._oci.reference import Reference

LOCK_SUFFIX = ".lock"
_SHOWN = 10


@dataclass(frozen=True)
class BuildRequest:
    """What to build. `file` is the path of the Kubefile; the lock stands beside it."""

    name: Reference
    path: str
    file: str
    platforms: t.Sequence[Platform]
    build_args: t.Mapping[str, str] = field(default_factory=dict)
    labels: t.Mapping[str, str] = field(default_factory=dict)
    asked: Asked = field(default_factory=Asked)
    pull: str = MISSING
    frozen: bool = False
    epoch: int = 0
    parallel: int = 8

    @property
    def lock_file(self) -> str:
        return self.file + LOCK_SUFFIX


@dataclass(frozen=True)
class _OnePlatform:
    """All that is known about a platform before anything is packed."""

    platform: Platform
    base: Base
    plan: Plan
    needs: Needs

    @property
    def warnings(self) -> t.List[str]:
        return [*self.plan.warnings, *self.needs.warnings]


def build(
    request: BuildRequest, layout: t.Optional[Layout], registry: Registry, progress: Progress, *, write: bool = True
) -> BuildResult:
    """Build the image and name it in the store; without `write` only tell what would come of it."""
    if request.name.digest is not None:
        raise BuildError(f"{request.name} cannot be given to an image", why="its digest is not known before")
    with layout.session() if layout and write else contextlib.nullcontext():
        return _Build(request, Pool(layout, write=write), registry).run(progress)


class _Build:
    def __init__(self, request: BuildRequest, pool: Pool, registry: Registry) -> None:
        self._request = request
        self._pool = pool
        self._old_lock = read_lock(request.lock_file)
        self._sources = Sources(pool, registry, request.pull, request.frozen, self._old_lock or Lock())

    def run(self, progress: Progress) -> BuildResult:
        request, pool = self._request, self._pool
        platforms = self._plan()
        wanted = [one for platform in platforms for one in platform.needs.wanted]
        resolved = resolve_all(self._sources, wanted, request.parallel, progress)
        lock = self._lock(platforms, resolved)
        parts = Parts()
        for one in platforms:
            self._add_platform(parts, one, lock, [image for image in resolved if image.wanted.platform == one.platform])
        raw = ClusterImage.assemble(rootfs=parts.rootfs, locks=parts.locks, images=parts.images)
        before = pool.named(request.name) if pool.is_given(request.name) else None
        descriptor = Descriptor(OCI_INDEX, pool.put(raw), len(raw))
        if pool.write and pool.layout:
            if lock != self._old_lock:
                write_lock(request.lock_file, lock)
            pool.layout.tag(request.name, descriptor)
        progress.done()
        return report(
            pool=pool,
            name=request.name,
            lock_file=request.lock_file,
            before=before,
            after=descriptor,
            old_lock=self._old_lock,
            new_lock=lock,
            parts=parts,
            plans=[(one.platform, one.plan) for one in platforms],
            warnings=list(dict.fromkeys(text for one in platforms for text in one.warnings)),
        )

    def _plan(self) -> t.List[_OnePlatform]:
        """Everything that can be found wrong without fetching a container image is found here."""
        request = self._request
        instructions = _read_kubefile(request.file)
        check_build_args(instructions, request.build_args)
        if LABEL in request.labels:
            raise BuildError(f"labels: {LABEL} is written by the build", fix="Use another name")
        if not request.platforms:
            raise BuildError("platforms is empty", fix="Name at least one, for example linux/amd64")
        context = Context(request.path, without=[request.lock_file, partial_path(request.lock_file)])
        search = Search(request.asked, request.path)
        evaluations = [Evaluation(instructions, platform, request.build_args) for platform in request.platforms]
        names = [evaluation.base() for evaluation in evaluations]
        result = []
        for platform, evaluation, name in zip(request.platforms, evaluations, names):
            base = load(self._sources, name, platform) if name else Base()
            tree = load_tree(self._sources, base) if evaluation.brings_files else Tree()
            plan = evaluation.run(base.inherited, context, tree)
            plan.labels.update(request.labels)
            result.append(_OnePlatform(platform, base, plan, search.needs(plan, base, platform)))
        return result

    def _lock(self, platforms: t.Sequence[_OnePlatform], resolved: t.Sequence[Resolved]) -> Lock:
        images = [image.locked() for image in resolved]
        for one in platforms:
            images.extend(one.needs.from_base)
        if self._old_lock:
            images.extend(self._old_lock.other_platforms(self._request.platforms))
        bases = {LockedBase(one.base.reference, one.base.digest) for one in platforms if one.base.reference}
        lock = Lock.of(images, bases)
        if self._request.frozen and lock != self._old_lock:
            raise _frozen_error(self._old_lock, lock, self._request.lock_file)
        return lock

    def _add_platform(self, parts: Parts, one: _OnePlatform, lock: Lock, resolved: t.Sequence[Resolved]) -> None:
        pool, epoch = self._pool, self._request.epoch
        layers = []
        for step in one.plan.steps:
            layer, reused = pool.layer(step.entries, epoch) if step.entries is not None else (None, False)
            layers.append(layer)
            parts.bytes_reused += layer.size if layer and reused else 0
        manifest = assemble.rootfs(pool, one.base, one.plan, layers, one.platform, epoch)
        parts.rootfs.append((one.platform, manifest))
        documents = [image.document for image in resolved if image.document.media_type in INDEX_TYPES]
        bases = [LockedBase(one.base.reference, one.base.digest)] if one.base.reference else []
        own = Lock.of(lock.of_platform(one.platform).images, bases)
        parts.locks.append((one.platform, assemble.lock(pool, own, one.base.documents + documents)))
        parts.images.extend(
            ContainerImage(image.reference, image.descriptor, one.platform) for image in one.base.images
        )
        parts.images.extend(
            ContainerImage(str(image.wanted.reference), image.manifest, one.platform) for image in resolved
        )
        reused_images: t.Dict[Digest, int] = {image.manifest.digest: image.size for image in resolved if image.reused}
        parts.bytes_reused += sum(reused_images.values())


def _read_kubefile(path: str) -> t.List[Instruction]:
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            return parse(handle.read(), path)
    except FileNotFoundError as error:
        raise BuildError(
            "there is no Kubefile", where=path, fix="Set `path` to the directory with it, or `file` to its name"
        ) from error
    except UnicodeDecodeError as error:
        raise BuildError("the Kubefile is no UTF-8 text", where=path, why=str(error)) from error
    except OSError as error:
        raise BuildError("cannot read the Kubefile", where=path, why=error.strerror or str(error)) from error


def _frozen_error(old: t.Optional[Lock], new: Lock, path: str) -> BuildError:
    before, after = set(old.lines() if old else []), set(new.lines())
    lines = [f"- {line}" for line in sorted(before - after)] + [f"+ {line}" for line in sorted(after - before)]
    if old is None:
        what, why = "there is no lock, and frozen is set", "frozen builds from a lock only"
    else:
        what, why = "the lock would change, and frozen is set", "; ".join(lines[:_SHOWN]) or "reasons or sizes in it"
    return BuildError(
        what,
        where=path,
        why=why,
        fix="Build once without frozen, and keep the lock that it writes",
    )
